use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::Overrides;
use crate::data::TargetName;
use crate::fit::DeviceChoice;

use super::checkpoints::duration;
use super::{FallbackArgs, TableArgs};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  couplet train stars.csv                                  writes stars.safetensors
  couplet train stars.parquet --exclude id --report stars.html
  couplet train stars.csv --steps 20000 --resume kept      goes on where it was interrupted
  couplet train stars.csv --continue stars.safetensors     trains a model on
  couplet train --target two-moons                         a density that is known

Every setting has a flag (--steps, --layers, --learning-rate, --seed, ...): --help has them all.")]
pub struct TrainArgs {
    /// Table to fit (text, JSON Lines, NPY, NPZ, Parquet or Arrow; several files or a folder are one table; - is standard input); none runs the
    /// reference experiment
    pub(super) data: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) table: TableArgs,
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
    /// Run configuration (TOML); flags win over it
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Start from the tensors of this safetensors file
    #[arg(hide_short_help = true, long, value_name = "FILE")]
    pub(super) init: Option<PathBuf>,
    /// Train a model on, with its own settings and in its own place; flags win over them
    #[arg(long = "continue", value_name = "MODEL", conflicts_with_all = ["init", "config"])]
    pub(super) go_on: Option<PathBuf>,
    /// Model file to write [default: named after DATA or the target, or experiment.safetensors]
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Print the settings that would be, as a file for --config, and what the run would take; train nothing, write nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Let --out and --log replace files that are not their like, and --checkpoint another run's
    #[arg(hide_short_help = true, long)]
    pub(super) force: bool,
    /// Write each logged step as a line of JSON
    #[arg(long, value_name = "FILE.jsonl")]
    pub(super) log: Option<PathBuf>,
    /// Draw the run and the model into this folder, as SVG
    #[cfg(feature = "plots")]
    #[arg(long, value_name = "FOLDER", conflicts_with = "cpu_reference")]
    pub(super) plot: Option<PathBuf>,
    /// Report of the run on one page of HTML: how good it is, pictures, the lowest rows, how to do it again
    #[cfg(feature = "plots")]
    #[arg(long, value_name = "FILE.html", conflicts_with = "cpu_reference")]
    pub(super) report: Option<PathBuf>,
    /// The command line that says all this.
    #[arg(skip)]
    pub(super) command: Vec<OsString>,
    /// Steps between two logged ones
    #[arg(hide_short_help = true, long, value_name = "K", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) log_every: u64,
    /// Keep checkpoints in this folder, to go on from after an interruption
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
    /// Go on from the newest checkpoint in this folder, if there is one, and keep more there
    #[arg(long, value_name = "FOLDER", conflicts_with = "cpu_reference")]
    pub(super) resume: Option<PathBuf>,
    /// Print the summary as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Train on the CPU in f64 beside the device, and compare
    #[arg(hide_short_help = true, long)]
    pub(super) cpu_reference: bool,
    #[command(flatten)]
    pub(super) device: DeviceChoice,
    #[command(flatten)]
    pub(super) fallback: FallbackArgs,
    #[command(flatten)]
    pub(super) settings: Overrides,
}

impl TrainArgs {
    /// The file that training starts from, and the flag that names it.
    pub(super) fn start(&self) -> Option<(&'static str, &Path)> {
        let init = self.init.as_deref().map(|path| ("--init", path));
        init.or(self.go_on.as_deref().map(|path| ("--continue", path)))
    }
}
