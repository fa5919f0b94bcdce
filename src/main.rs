use std::process::ExitCode;

fn main() -> ExitCode {
    quiet_drivers();
    couplet::cli::run(std::env::args_os(), &|executor| executor).into()
}

/// Mesa's drivers look for a Wayland display when they are loaded, and where there is no session (a container, a cluster
/// node) libwayland prints "error: XDG_RUNTIME_DIR is invalid" in our name. Any absolute path silences it.
fn quiet_drivers() {
    const NAME: &str = "XDG_RUNTIME_DIR";
    if cfg!(target_os = "linux") && std::env::var_os(NAME).is_none() {
        // SAFETY: the first thing main does; no other thread exists yet that could read the environment.
        unsafe { std::env::set_var(NAME, "/nonexistent") };
    }
}
