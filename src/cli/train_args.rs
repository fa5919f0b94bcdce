use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::de::value::{Error, StrDeserializer};

use crate::config::{
    BaseName, ConditionerName, Config, MixingName, Preset, ScheduleName, Start, TransformName,
};
use crate::data::TargetName;
use crate::flow::Activation;

use super::checkpoints::duration;
use super::{DeviceArgs, FallbackArgs, TableArgs};

#[derive(clap::Args)]
pub struct TrainArgs {
    /// Table to fit (CSV or NPY, numbers only; - is standard input); none runs the reference experiment
    pub(super) data: Option<PathBuf>,
    #[command(flatten)]
    pub(super) table: TableArgs,
    /// Fit a built-in target, whose density is known: gaussian, two-moons, rings, pinwheel, checkerboard, two-spirals,
    /// mixture, banana or funnel
    #[arg(long, value_name = "NAME", conflicts_with = "data")]
    pub(super) target: Option<TargetName>,
    /// Rows to draw from the target [default: 50000]
    #[arg(long, value_name = "N", conflicts_with = "data", value_parser = clap::value_parser!(u32).range(2..))]
    pub(super) rows: Option<u32>,
    /// Columns of the gaussian [default: 4] or the funnel [default: 10]
    #[arg(long, value_name = "D", requires = "target")]
    pub(super) dims: Option<usize>,
    /// Condition number of the gaussian's covariance [default: as it is drawn]
    #[arg(
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
    #[arg(long, value_name = "FILE")]
    pub(super) init: Option<PathBuf>,
    /// Model file to write [default: named after DATA or the target, or experiment.safetensors]
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Let --out and --log replace files that are not their like, and --checkpoint another run's
    #[arg(long)]
    pub(super) force: bool,
    /// Write each logged step as a line of JSON
    #[arg(long, value_name = "FILE.jsonl")]
    pub(super) log: Option<PathBuf>,
    /// Steps between two logged ones
    #[arg(long, value_name = "K", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) log_every: u64,
    /// Keep checkpoints in this folder, to go on from after an interruption
    #[arg(long, value_name = "FOLDER", conflicts_with = "cpu_reference")]
    pub(super) checkpoint: Option<PathBuf>,
    /// Time between two checkpoints
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(super) checkpoint_every: Duration,
    /// Go on from the newest checkpoint in this folder, if there is one, and keep more there
    #[arg(long, value_name = "FOLDER", conflicts_with = "cpu_reference")]
    pub(super) resume: Option<PathBuf>,
    /// Print the summary as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Train on the CPU in f64 beside the device, and compare
    #[arg(long)]
    pub(super) cpu_reference: bool,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    #[command(flatten)]
    pub(super) fallback: FallbackArgs,
    #[command(flatten)]
    pub(super) settings: Settings,
}

/// Settings of the configuration that have a flag.
#[derive(clap::Args)]
#[command(next_help_heading = "Settings, as in the configuration")]
pub struct Settings {
    /// Where the settings that nothing sets come from [default: safe for a table or a target, published without]
    #[arg(long, value_name = "safe|published", value_parser = parse::<Preset>)]
    pub(super) preset: Option<Preset>,
    /// Steps to take, at most
    #[arg(long, value_name = "K")]
    steps: Option<usize>,
    /// Rows in each step; 0 takes all
    #[arg(long, value_name = "ROWS")]
    batch_size: Option<usize>,
    /// Learning rate at its peak
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    learning_rate: Option<f64>,
    /// Whether the learning rate stays, or falls to 0 along a cosine
    #[arg(long, value_name = "constant|cosine", value_parser = parse::<ScheduleName>)]
    schedule: Option<ScheduleName>,
    /// Steps over which the learning rate rises
    #[arg(long, value_name = "K")]
    warm_up: Option<usize>,
    /// Decay of every parameter, times the learning rate
    #[arg(long, value_name = "DECAY", allow_negative_numbers = true)]
    weight_decay: Option<f64>,
    /// Longer gradients are scaled down to this; 0: none
    #[arg(long, value_name = "NORM", allow_negative_numbers = true)]
    clip_norm: Option<f64>,
    /// Decay of a moving average of the parameters; 0: none
    #[arg(long, value_name = "DECAY", allow_negative_numbers = true)]
    average: Option<f64>,
    /// Fraction of the rows held out; 0: none
    #[arg(long, value_name = "FRACTION", allow_negative_numbers = true)]
    pub(super) validation: Option<f64>,
    /// Steps without a better validation NLL after which to stop; 0: never
    #[arg(long, value_name = "K")]
    pub(super) patience: Option<usize>,
    /// Whether the flow starts as the identity
    #[arg(long, value_name = "random|identity", value_parser = parse::<Start>)]
    start: Option<Start>,
    /// Coupling layers
    #[arg(long, value_name = "K")]
    layers: Option<usize>,
    /// What a layer does to its columns
    #[arg(long, value_name = "affine|additive|spline", value_parser = parse::<TransformName>)]
    transform: Option<TransformName>,
    /// Splines: number of bins
    #[arg(long, value_name = "K")]
    bins: Option<usize>,
    /// Splines: the identity beyond it
    #[arg(long, value_name = "B", allow_negative_numbers = true)]
    spline_bound: Option<f64>,
    /// What stands between coupling layers
    #[arg(long, value_name = "none|lu", value_parser = parse::<MixingName>)]
    mixing: Option<MixingName>,
    /// A network, or polynomials
    #[arg(long, value_name = "mlp|hermite|legendre", value_parser = parse::<ConditionerName>)]
    pub(super) conditioner: Option<ConditionerName>,
    /// Widths of the hidden layers, for instance 64,64
    #[arg(long, value_name = "WIDTHS", value_delimiter = ',')]
    hidden: Option<Vec<usize>>,
    /// Activation of the hidden layers
    #[arg(long, value_name = "tanh|relu|silu", value_parser = parse::<Activation>)]
    activation: Option<Activation>,
    /// Polynomials: highest degree in each dimension
    #[arg(long, value_name = "N")]
    degree: Option<usize>,
    /// Polynomials: highest total degree
    #[arg(long, value_name = "N")]
    total_degree: Option<usize>,
    /// normal, trainable-normal, logistic or trainable-logistic
    #[arg(long, value_name = "BASE", value_parser = parse::<BaseName>)]
    base: Option<BaseName>,
    /// Bound of the log-scale; 0: none
    #[arg(long, value_name = "C", allow_negative_numbers = true)]
    scale_bound: Option<f64>,
    /// Polynomials: bound of their input; 0: none
    #[arg(long, value_name = "C", allow_negative_numbers = true)]
    input_bound: Option<f64>,
    /// Shift and scale columns to mean 0 and deviation 1
    #[arg(long, value_name = "true|false", hide_possible_values = true)]
    standardize: Option<bool>,
    /// Take linear correlations between columns away
    #[arg(long, value_name = "true|false", hide_possible_values = true)]
    pub(super) whiten: Option<bool>,
    /// Fit both to the bulk of the rows, and draw in what is far out
    #[arg(long, value_name = "true|false", hide_possible_values = true)]
    pub(super) robust: Option<bool>,
    /// Seeds everything random: initial parameters, order of the rows, rows held out, targets
    #[arg(long)]
    seed: Option<u64>,
}

/// A name as the configuration file has it.
fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    T::deserialize(StrDeserializer::new(text))
}

impl Settings {
    pub(super) fn apply(&self, config: &mut Config) {
        fn set<T: Clone>(flag: &Option<T>, setting: &mut T) {
            if let Some(value) = flag {
                *setting = value.clone();
            }
        }
        let (model, train) = (&mut config.model, &mut config.train);
        set(&self.steps, &mut train.steps);
        set(&self.batch_size, &mut train.batch_size);
        set(&self.learning_rate, &mut train.learning_rate);
        set(&self.schedule, &mut train.schedule);
        set(&self.warm_up, &mut train.warm_up);
        set(&self.weight_decay, &mut train.weight_decay);
        set(&self.clip_norm, &mut train.clip_norm);
        set(&self.average, &mut train.average);
        set(&self.validation, &mut train.validation);
        set(&self.patience, &mut train.patience);
        set(&self.start, &mut train.start);
        set(&self.seed, &mut train.seed);
        set(&self.layers, &mut model.layers);
        set(&self.transform, &mut model.transform);
        set(&self.bins, &mut model.bins);
        set(&self.spline_bound, &mut model.spline_bound);
        set(&self.mixing, &mut model.mixing);
        set(&self.conditioner, &mut model.conditioner);
        set(&self.hidden, &mut model.hidden);
        set(&self.activation, &mut model.activation);
        set(&self.degree, &mut model.degree);
        set(&self.total_degree, &mut model.total_degree);
        set(&self.base, &mut model.base);
        set(&self.scale_bound, &mut model.scale_bound);
        set(&self.input_bound, &mut model.input_bound);
        set(&self.standardize, &mut config.data.standardize);
        set(&self.whiten, &mut config.data.whiten);
        set(&self.robust, &mut config.data.robust);
    }
}
