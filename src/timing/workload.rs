use crate::config::{BaseName, Config, ModelConfig, Preset, Start, TableSize, TrainConfig};
use crate::flow::Activation;
use crate::matrix::Matrix;
use crate::random::{Purpose, normal_at};

/// What is timed. Other programs time the same (`benches/peers`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum WorkloadName {
    /// The reference experiment: 4 columns, 2 layers, s and t of 32 tanh units, 50,000 rows in each step.
    Seed,
    /// 4 columns, 10 layers, 2 x 32 silu, batches of 512.
    Small,
    /// 8 columns, 10 layers, 2 x 128 tanh, batches of 4,096.
    Table,
    /// 64 columns, 8 layers, 2 x 512 relu, batches of 4,096.
    Wide,
    /// What the defaults train on 50,000 rows of 4 columns: splines with mixing.
    Default,
}

/// A flow, how it is trained, and on how many rows.
pub struct Workload {
    /// For the table of timings.
    pub name: String,
    /// The flow, and how it is trained.
    pub config: Config,
    /// Rows of the table.
    pub rows: usize,
    /// Columns of the table.
    pub columns: usize,
}

impl Workload {
    /// One of those that every machine can time.
    pub fn of(name: WorkloadName) -> Self {
        let (config, rows, columns) = match name {
            WorkloadName::Seed => (Config::default(), 50_000, 4),
            WorkloadName::Small => {
                let mut config = deep(10, 32, Activation::Silu);
                config.train.batch_size = 512;
                (config, 50_000, 4)
            }
            WorkloadName::Default => (
                Preset::Safe.defaults(None, None, Some(TableSize::new(50_000, 4))),
                50_000,
                4,
            ),
            WorkloadName::Table => (deep(10, 128, Activation::Tanh), 100_000, 8),
            WorkloadName::Wide => (deep(8, 512, Activation::Relu), 20_000, 64),
        };
        Workload {
            name: format!("{name:?}").to_lowercase(),
            config,
            rows,
            columns,
        }
    }

    /// Rows to train on: normal numbers, as preprocessing leaves them.
    pub fn data(&self) -> Matrix<f32> {
        Matrix::from_fn(self.rows, self.columns, |row, column| {
            normal_at(1, Purpose::TargetRows, row as u64, column)
        })
    }
}

/// A flow whose layers have one network of two hidden layers.
fn deep(layers: usize, width: usize, activation: Activation) -> Config {
    Config {
        model: ModelConfig {
            layers,
            hidden: vec![width; 2],
            activation,
            separate: false,
            base: BaseName::Normal,
            scale_bound: 2.0,
            ..ModelConfig::default()
        },
        train: TrainConfig {
            batch_size: 4096,
            clip_norm: 1.0,
            start: Start::Identity,
            ..TrainConfig::default()
        },
        ..Config::default()
    }
}
