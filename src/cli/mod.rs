//! The command line. Data goes to standard output or `--out`; everything else goes to standard error.

mod bench;
mod devices;
mod info;
mod inputs;
mod interrupt;
mod logger;
mod output;
mod overwrite;
#[cfg(feature = "plots")]
mod plot;
mod ranks;
#[cfg(feature = "plots")]
mod report;
mod sample;
mod score;
mod screen;
mod shell;
mod train;
mod train_args;

use std::ffi::OsString;
use std::io;
use std::panic::{set_hook, take_hook};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::data::{self, Dropped, TableFormat};
use crate::error::{Error, Message, Setting};
use crate::fit::DeviceChoice;

use logger::Verbosity;
pub use output::stdout_is_closed;

#[derive(Parser)]
#[command(
    name = "couplet",
    version,
    about = "Train normalizing flows on any GPU; sample from them; score data with exact densities",
    after_help = "Examples:
  couplet train                                 the reference experiment, whose answer is known
  couplet train stars.csv                       fit a table: writes stars.safetensors
  couplet sample stars.safetensors -n 1000 --out new.csv
  couplet score stars.safetensors stars.csv --out scores.csv
  couplet plot stars.safetensors --data stars.csv
  couplet train --device gpu --cpu-reference    check the GPU against the CPU, step by step

Exit codes: 0 done, 1 failed, 2 usage, 3 bad data or model file, 4 no usable GPU, 5 diverged,
6 CPU and GPU disagree, 130 interrupted."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print warnings and errors only
    #[arg(short, long, global = true, display_order = 900)]
    quiet: bool,
    /// Print more: every setting, memory, checkpoints, speed
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "quiet",
        display_order = 901
    )]
    verbose: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Fit a flow to a table, or run the reference experiment
    Train(Box<train_args::TrainArgs>),
    /// Draw rows from a model
    Sample(sample::SampleArgs),
    /// Log-density of each row of a table under a model, in nats
    Score(score::ScoreArgs),
    /// Plot a model, and data in it, as SVG or PNG
    #[cfg(feature = "plots")]
    Plot(plot::PlotArgs),
    /// Show what is in a model file
    Info(info::InfoArgs),
    /// List the devices that can train
    Devices(devices::DevicesArgs),
    /// Time training, scoring and sampling, against the peak throughput of the machine
    Bench(bench::BenchArgs),
    /// Print a shell completion script
    Completions(shell::CompletionsArgs),
    /// Print a manual page
    Man(shell::ManArgs),
}

/// What to do if a GPU keeps failing.
#[derive(Args)]
struct FallbackArgs {
    /// Continue on the CPU if the GPU keeps failing, or cannot be opened
    #[arg(
        long,
        hide_short_help = true,
        value_name = "cpu",
        value_enum,
        hide_possible_values = true
    )]
    fallback: Option<Fallback>,
}

impl FallbackArgs {
    fn applied_to(&self, choice: &DeviceChoice) -> DeviceChoice {
        DeviceChoice {
            fallback_to_cpu: self.fallback == Some(Fallback::Cpu),
            ..choice.clone()
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Fallback {
    Cpu,
}

/// Where data goes.
#[derive(Args)]
struct OutputArgs {
    /// File to write (.csv, .tsv, .jsonl, .npy, .parquet or .arrow) [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Format to write, whatever the file's name: csv, tsv, jsonl, npy, parquet or arrow [default: csv]
    #[arg(long, value_name = "FORMAT", value_enum, hide_possible_values = true)]
    format: Option<TableFormat>,
    /// Write JSON Lines
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Let --out replace a model file
    #[arg(long, hide_short_help = true)]
    force: bool,
}

/// Why a command failed, and its exit code.
struct Failure {
    code: u8,
    message: String,
}

const USAGE: u8 = 2;
const BAD_INPUT: u8 = 3;
const DISAGREE: u8 = 6;
const INTERRUPTED: u8 = 130;

impl Failure {
    fn new(code: u8, message: impl Into<String>) -> Self {
        Failure {
            code,
            message: message.into(),
        }
    }

    fn usage(message: impl Into<String>) -> Self {
        Self::new(USAGE, message)
    }

    fn of(error: &Error) -> Self {
        Self::new(Self::code_of(error), words_of(error))
    }

    fn code_of(error: &Error) -> u8 {
        match error {
            Error::Spec(_) => USAGE,
            Error::Data(_) | Error::Model(_) => BAD_INPUT,
            Error::NoGpu(_) => 4,
            Error::Diverged(_) => 5,
            // A reader that has seen enough (`| head`) is no failure.
            Error::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe => 0,
            _ => 1,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::of(&error)
    }
}

/// What an error says, with flags for the settings that would help.
fn words_of(error: &Error) -> String {
    error
        .message()
        .map_or_else(|| error.to_string(), with_flags)
}

/// A message, with flags for the settings that would help.
fn with_flags(message: &Message) -> String {
    message.to_sentence(flag)
}

/// A setting as the flag that makes it.
fn flag(setting: &Setting) -> String {
    const SWITCHES: [&str; 4] = ["append", "cpu_reference", "decimal_comma", "force"];
    let name = setting.key.replace('_', "-");
    if setting.key.starts_with(char::is_uppercase) {
        return format!("{}={}", setting.key, setting.value);
    }
    match (SWITCHES.contains(&setting.key), &setting.value[..]) {
        (true, "false") => format!("without --{name}"),
        (true, _) | (_, "") => format!("--{name}"),
        (_, value) => format!("--{name} {value}"),
    }
}

type Result<T, E = Failure> = std::result::Result<T, E>;

/// For `map_err` on what reads an input: a file that cannot be read is a bad input.
fn input(error: Error) -> Failure {
    match error {
        Error::Io { .. } => Failure::new(BAD_INPUT, words_of(&error)),
        error => error.into(),
    }
}

/// Runs the command line and returns its exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    logger::listen(Verbosity::Usual);
    let words: Vec<OsString> = args.into_iter().collect();
    let cli = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        Err(error) => {
            return match error.use_stderr() {
                true => {
                    // A message that cannot be written has no other channel.
                    let _ = error.print();
                    error.exit_code() as u8
                }
                false => end(help(&error)),
            };
        }
    };
    quiet_damaged_files();
    interrupt::listen();
    logger::listen(match (cli.quiet, cli.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Usual,
    });
    let result = match cli.command {
        Command::Train(mut args) => {
            args.command = words;
            train::run(&mut args)
        }
        Command::Sample(args) => sample::run(&args),
        Command::Score(args) => score::run(&args),
        #[cfg(feature = "plots")]
        Command::Plot(args) => plot::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Devices(args) => devices::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
    };
    end(result)
}

#[cfg(not(feature = "arrow"))]
fn quiet_damaged_files() {}

/// Silences panics that become errors: the readers of Parquet and Arrow panic on some damaged files.
#[cfg(feature = "arrow")]
fn quiet_damaged_files() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = take_hook();
        set_hook(Box::new(move |panic| {
            if !data::is_panic_an_error() {
                others(panic);
            }
        }));
    });
}

/// Help, or the version, on standard output.
fn help(error: &clap::Error) -> Result<()> {
    let mut out = output::stdout()?;
    let written = error.print().and_then(|()| io::Write::flush(&mut out));
    Ok(written.map_err(Error::io(Path::new(output::STDOUT)))?)
}

/// Says why a command failed, if it did; returns its exit code.
fn end(result: Result<()>) -> u8 {
    match result {
        Ok(()) => 0,
        Err(failure) => {
            if failure.code != 0 {
                log::error!("{}", failure.message);
            }
            failure.code
        }
    }
}

/// Says how a table was read, and what was left out of it.
fn report_reading(notes: &[Message], dropped: &Dropped) {
    for note in notes {
        log::info!("note: {}", with_flags(note));
    }
    if dropped.rows > 0 {
        log::info!("{dropped}");
    }
}

/// Says how fast rows were processed.
fn report_speed(rows: u64, took: Duration) {
    let seconds = took.as_secs_f64();
    log::debug!(
        "{rows} rows in {seconds:.2} s, {:.0} rows a second",
        rows as f64 / seconds
    );
}
