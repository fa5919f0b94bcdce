use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::checkpoint::{CheckpointOptions, Checkpoints};
use crate::config::Overrides;
use crate::data::{Streaming, TableOptions, TargetName};
use crate::fit::DeviceChoice;

use super::overwrite::is_dash;
use super::ranks::Ranks;
use super::{FallbackArgs, Result, input};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  couplet train stars.csv                                  writes stars.safetensors
  couplet train stars.parquet --exclude id --report stars.html
  couplet train stars.csv --steps 20000 --resume kept      continues where it was interrupted
  couplet train stars.csv --continue stars.safetensors     trains a model on
  couplet train --target two-moons                         a density that is known

Every setting has a flag (--steps, --layers, --learning-rate, --seed, ...): --help has them all.")]
pub struct TrainArgs {
    /// Table to fit (text, JSON Lines, NPY, NPZ, Parquet or Arrow; several files or a folder are one table; - is standard input); none runs the
    /// reference experiment
    pub(super) data: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) table: TableOptions,
    /// Fit a built-in target, whose density is known: gaussian, two-moons, rings, pinwheel, checkerboard, two-spirals,
    /// mixture, banana or funnel
    #[arg(long, value_name = "NAME", conflicts_with = "data")]
    pub(super) target: Option<TargetName>,
    /// Rows to draw from the target [default: 50000]
    #[arg(hide_short_help = true, long, value_name = "N", conflicts_with = "data", value_parser = clap::value_parser!(u32).range(2..))]
    pub(super) rows: Option<u32>,
    /// Columns of the gaussian [default: 4] or the funnel [default: 10]
    #[arg(hide_short_help = true, long, value_name = "D", requires = "target")]
    pub(super) dims: Option<usize>,
    /// Condition number of the gaussian's covariance [default: as it is drawn]
    #[arg(
        hide_short_help = true,
        long,
        value_name = "K",
        requires = "target",
        allow_negative_numbers = true
    )]
    pub(super) condition: Option<f64>,
    /// Run configuration (TOML); flags override it
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Read rows from the disk while they are trained on, shuffled into a scratch file beside the model: done where they take
    /// more memory than they may, too
    #[arg(
        hide_short_help = true,
        long,
        requires = "data",
        conflicts_with = "cpu_reference"
    )]
    pub(super) stream: bool,
    /// Memory that training may take, for instance 1GiB [default: what is free]
    #[arg(hide_short_help = true, long, value_name = "SIZE", requires = "data", value_parser = size)]
    pub(super) max_memory: Option<u64>,
    /// Start from the tensors of this safetensors file
    #[arg(hide_short_help = true, long, value_name = "FILE")]
    pub(super) init: Option<PathBuf>,
    /// Continue training this model, with its own settings, and write it back; flags override its settings
    #[arg(long = "continue", value_name = "MODEL", conflicts_with_all = ["init", "config"])]
    pub(super) continue_from: Option<PathBuf>,
    /// Model file to write [default: named after DATA or the target, or experiment.safetensors]
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Print the settings, as a file for --config; train and write nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Let --out and --log replace files of other kinds, and --checkpoint delete another run's checkpoints
    #[arg(hide_short_help = true, long)]
    pub(super) force: bool,
    /// Write each logged step as a line of JSON
    #[arg(long, value_name = "FILE.jsonl")]
    pub(super) log: Option<PathBuf>,
    /// Draw the run and the model into this folder, as SVG
    #[cfg(feature = "plots")]
    #[arg(long, value_name = "FOLDER", conflicts_with = "cpu_reference")]
    pub(super) plot: Option<PathBuf>,
    /// Report on one page of HTML: how good the model is, how to repeat it
    #[cfg(feature = "plots")]
    #[arg(long, value_name = "FILE.html", conflicts_with = "cpu_reference")]
    pub(super) report: Option<PathBuf>,
    /// Whether several processes share the rows.
    #[arg(skip)]
    shares: bool,
    /// The command line that says all this.
    #[arg(skip)]
    pub(super) command: Vec<OsString>,
    /// Steps between two logged steps
    #[arg(hide_short_help = true, long, value_name = "K", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) log_every: u64,
    /// Keep checkpoints in this folder, to continue from after an interruption
    #[arg(
        hide_short_help = true,
        long,
        value_name = "FOLDER",
        conflicts_with = "cpu_reference"
    )]
    pub(super) checkpoint: Option<PathBuf>,
    /// Time between two checkpoints; 0s waits for each to be on the disk
    #[arg(hide_short_help = true, long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(super) checkpoint_every: Duration,
    /// Continue from the newest checkpoint here, and keep more of them
    #[arg(long, value_name = "FOLDER", conflicts_with = "cpu_reference")]
    pub(super) resume: Option<PathBuf>,
    /// Print the summary as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Train on the device and on the CPU in f64, and compare them step by step
    #[arg(hide_short_help = true, long)]
    pub(super) cpu_reference: bool,
    #[command(flatten)]
    device: DeviceChoice,
    #[command(flatten)]
    fallback: FallbackArgs,
    #[command(flatten)]
    pub(super) settings: Overrides,
}

impl TrainArgs {
    /// The file that training starts from, and the flag that names it.
    pub(super) fn start(&self) -> Option<(&'static str, &Path)> {
        let init = self.init.as_deref().map(|path| ("--init", path));
        init.or(self
            .continue_from
            .as_deref()
            .map(|path| ("--continue", path)))
    }

    /// The model file to write.
    pub(super) fn model_file(&self) -> PathBuf {
        let named = self.out.as_ref().or(self.continue_from.as_ref());
        named.cloned().unwrap_or_else(|| default_name(self))
    }

    /// What is done with a table that is longer than memory.
    pub(super) fn streaming(&self) -> Streaming {
        Streaming {
            folder: folder_of(&self.model_file()),
            memory: self.max_memory,
            always: self.stream && !self.shares,
            shares: self.shares,
        }
    }

    pub(super) fn device(&self) -> DeviceChoice {
        self.fallback.applied_to(&self.device)
    }

    /// Asks for no output but the model.
    pub(super) fn be_silent(&mut self) {
        (self.log, self.json) = (None, false);
        #[cfg(feature = "plots")]
        {
            (self.plot, self.report) = (None, None);
        }
    }

    /// Has the rows and the GPUs be shared between processes.
    pub(super) fn share_between(&mut self, ranks: &Ranks) {
        self.shares = ranks.are_several();
        self.device = ranks.device(self.device.clone());
    }

    /// Where checkpoints go and which one the run continues from.
    pub(super) fn checkpoints(&self) -> Result<Checkpoints> {
        let options = CheckpointOptions {
            dir: self.checkpoint.clone(),
            resume: self.resume.clone(),
            overwrite: self.force,
            every: self.checkpoint_every,
            spare: Some(self.model_file().with_extension("checkpoint")),
        };
        Checkpoints::look(options).map_err(input)
    }
}

/// Where the model goes where --out does not say: to a file named after what it was fitted to, in the current folder.
fn default_name(args: &TrainArgs) -> PathBuf {
    let mut name = match (args.data.first(), &args.target) {
        (Some(path), _) if is_stream(path) => "stdin".into(),
        // The whole of it, less what says which kind of table it is.
        (Some(path), _) => path.file_stem().unwrap_or("model".as_ref()).to_owned(),
        (None, Some(target)) => target.name().into(),
        (None, None) => "experiment".into(),
    };
    name.push(".safetensors");
    name.into()
}

/// Standard input, or a pipe that a shell made: names that say nothing.
pub(super) fn is_stream(path: &Path) -> bool {
    is_dash(path) || path.starts_with("/dev") || path.starts_with("/proc")
}

/// The folder of a file.
fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder.into(),
        _ => PathBuf::from("."),
    }
}

/// A number of bytes such as 500MB or 1.5GiB.
fn size(text: &str) -> Result<u64, String> {
    const LEAST: f64 = 64.0 * 1024.0 * 1024.0;
    const WRONG: &str = "a number with MB, GB, TB, MiB, GiB or TiB behind it, such as 1.5GiB";
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let bytes = match unit {
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        "MiB" => 2f64.powi(20),
        "GiB" => 2f64.powi(30),
        "TiB" => 2f64.powi(40),
        _ => return Err(WRONG.into()),
    };
    let number: f64 = text[..text.len() - unit.len()]
        .parse()
        .map_err(|_| WRONG.to_string())?;
    match number * bytes {
        bytes if bytes < LEAST => Err("64MiB at least".into()),
        bytes => Ok(bytes as u64),
    }
}

/// A time such as 30s, 5m or 1h.
fn duration(text: &str) -> Result<Duration, String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let seconds = match unit {
        "ms" => 1e-3,
        "s" | "" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("a number with ms, s, m or h behind it, such as 30s".into()),
    };
    let number: f64 = text[..text.len() - unit.len()]
        .parse()
        .map_err(|_| "a number with ms, s, m or h behind it, such as 30s".to_string())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| "that is too long".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("64MiB", 64 << 20),
            ("1.5GiB", 3 << 29),
            ("2GB", 2_000_000_000),
            ("1TiB", 1 << 40),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "1", "1G", "GiB", "-1GiB", "1.2.3GB", "1KiB", "63MiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_have_units() {
        let is = |text: &str, seconds: f64| {
            assert_eq!(
                duration(text),
                Ok(Duration::from_secs_f64(seconds)),
                "{text}"
            );
        };
        is("30s", 30.0);
        is("250ms", 0.25);
        is("1.5m", 90.0);
        is("2h", 7200.0);
        is("5", 5.0);
        for text in ["", "s", "-1s", "1d", "1e3", "..s", "99999999999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
