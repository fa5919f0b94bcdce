use std::process::ExitCode;

fn main() -> ExitCode {
    couplet::cli::run(std::env::args_os(), &|executor| executor).into()
}
