//! The run configuration: a TOML file with the sections `[model]`, `[train]` and `[data]`. A key that is left out has the
//! value of its [`Preset`].

mod names;
mod overrides;
mod sections;
#[cfg(all(test, feature = "cli"))]
mod settings_page;
mod spec;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Message, Remedy, Result};
use crate::executor::{AdamW, Schedule, Training};
use crate::flow::{Activation, FlowSpec, TransformKind};
use crate::random::{Purpose, words};

pub use names::{BaseName, ConditionerName, MixingName, ScheduleName, Start};
pub use overrides::Overrides;
pub use sections::{
    DataConfig, DataOverrides, ModelConfig, ModelOverrides, SettingAbout, TrainConfig,
    TrainOverrides,
};

/// Where the values of keys that are not set come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// The reference experiment as published, with every safeguard off: [`Config::default`].
    Published,
    /// The defaults for a table: [`Config::safe`].
    Safe,
}

impl Preset {
    /// Its settings, with those that depend on the conditioner, the effort and the table's size, where they are known.
    pub fn defaults(
        self,
        conditioner: Option<ConditionerName>,
        effort: Option<f64>,
        table: Option<TableSize>,
    ) -> Config {
        match self {
            Preset::Published => Config::default(),
            Preset::Safe => {
                let mut config = Config::safe(conditioner.unwrap_or(ConditionerName::Mlp));
                config.train.effort = effort.unwrap_or(config.train.effort);
                if let Some(size) = table {
                    config.fit_to(size);
                }
                config
            }
        }
    }
}

/// A whole run. Its default is the reference experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The flow.
    pub model: ModelConfig,
    /// How it is trained.
    pub train: TrainConfig,
    /// What is done to the table first.
    pub data: DataConfig,
}

/// The size of a table, which defaults depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSize {
    /// How many rows it is worth.
    pub rows: usize,
    /// Modelled columns.
    pub columns: usize,
    /// Columns of context.
    pub context: usize,
}

/// What a model is made of that training starts from.
#[derive(Clone, Copy, Debug)]
pub struct ModelShape<'a> {
    /// Each of its flows.
    pub spec: &'a FlowSpec,
    /// How many there are.
    pub flows: usize,
    /// Whether a mixture is beside them.
    pub mixture: bool,
}

impl TableSize {
    /// Of a table without context.
    pub fn new(rows: usize, columns: usize) -> Self {
        TableSize {
            rows,
            columns,
            context: 0,
        }
    }
}

/// Fewer different rows than this make a short table, with smaller flows by default.
const SHORT: usize = 2000;

/// From this many columns on the layers are affine by default.
const WIDE: usize = 33;

/// Up to this many different rows several flows are averaged by default; one is trained on more, for as long as it pays.
const LONG: usize = 20_000;

/// The same of one column given others, of which less is to be learned.
const LONG_OF_ONE: usize = 5000;

/// Steps that one flow takes by default, at most.
const MOST_STEPS: f64 = 16_000.0;

/// From this many different rows on, some are held out by default.
pub(crate) const SHORTEST: usize = 20;

/// Flows of an ensemble, at most.
pub(crate) const MOST_FLOWS: usize = 100;

/// The highest effort.
const MOST_EFFORT: f64 = 20.0;

impl Config {
    /// As a file that says the same, whatever the defaults are there.
    pub fn to_toml(&self) -> String {
        // Keys that have their published values may be left out of it.
        let text = toml::to_string(self);
        format!(
            "preset = \"published\"\n\n{}",
            text.unwrap_or_else(|error| format!("# {error}\n"))
        )
    }

    /// What suits data: whitened columns, a deep flow of splines with mixing between them (for polynomials, of affine maps
    /// with bounded scales), minibatches, clipped gradients, a schedule, rows held out. docs/quality.md says what each of
    /// these is worth.
    pub fn safe(conditioner: ConditionerName) -> Self {
        let polynomial = conditioner != ConditionerName::Mlp;
        let (transform, mixing) = match polynomial {
            true => (TransformKind::Affine, MixingName::None),
            false => (TransformKind::Spline, MixingName::Lu),
        };
        Config {
            model: ModelConfig {
                // Polynomials bend more in a layer, and start further from the identity.
                layers: if polynomial { 6 } else { 10 },
                transform,
                bins: 16,
                mixing,
                hidden: vec![64, 64],
                activation: Activation::Relu,
                separate: false,
                base: BaseName::Normal,
                conditioner,
                // Ten layers of it still span e^20; rows far out are not thrown further than they must.
                scale_bound: 2.0,
                input_bound: match conditioner {
                    // Legendre polynomials are at home on [-1, 1].
                    ConditionerName::Legendre => 1.0,
                    _ => 3.0,
                },
                ..ModelConfig::default()
            },
            train: TrainConfig {
                steps: 4000,
                batch_size: 512,
                learning_rate: if polynomial { 1e-2 } else { 5e-3 },
                schedule: ScheduleName::Cosine,
                warm_up: 50,
                weight_decay: 1e-4,
                clip_norm: 1.0,
                average: if polynomial { 0.0 } else { 0.99 },
                validation: 0.1,
                patience: 2000,
                start: Start::Identity,
                ..TrainConfig::default()
            },
            data: DataConfig {
                standardize: true,
                whiten: true,
                robust: true,
                ..DataConfig::default()
            },
        }
    }

    /// Fits the settings of [`Config::safe`] to the table's size. A short table has a larger fraction of its rows held out, a long
    /// one no more than 10,000. With fewer than 20 rows none are held out, and since nothing would tell then how long to train,
    /// nothing is trained: the density is a Gaussian. With few rows the flow is smaller and its parameters decay faster, so that
    /// it does not overfit; a wide table has splines of fewer bins, whose networks would be slow, and beyond that affine maps whose
    /// weights decay fast; and correlations are only taken away where there are rows to estimate them from.
    ///
    /// A single column takes fewer layers, since each of them transforms it. Networks that see context are smooth and learn at a
    /// higher rate; those of a single column are cheap enough for twice the steps. docs/quality.md says what that is worth.
    pub fn fit_to(&mut self, size: TableSize) {
        let TableSize {
            rows,
            columns,
            context,
        } = size;
        // With fewer, what a column leaves of another is small by chance, and new rows would be thrown far out.
        const ROWS_TO_A_COLUMN: usize = 10;
        const MOST_HELD_OUT: f64 = 10_000.0;
        let (model, train) = (&mut self.model, &mut self.train);
        if rows < SHORTEST {
            train.steps = 0;
        }
        train.validation = match rows {
            0..SHORTEST => 0.0,
            SHORTEST..SHORT => 2.0 * train.validation,
            _ => train.validation.min(MOST_HELD_OUT / rows as f64),
        };
        let trained_on = rows as f64 * (1.0 - train.validation);
        // Of a density that is not trained the fit itself weighs correlations against chance.
        self.data.whiten &= rows < SHORTEST || trained_on >= (ROWS_TO_A_COLUMN * columns) as f64;
        if model.conditioner != ConditionerName::Mlp {
            return;
        }
        let decay = (1000.0 / rows.max(1) as f64).powi(2);
        train.weight_decay = rounded(decay).clamp(train.weight_decay, 1.0);
        if context > 0 {
            model.activation = Activation::Gelu;
            train.learning_rate = 1e-2;
            if columns == 1 {
                train.steps *= 2;
            }
        }
        if rows > LONG {
            let most = (MOST_STEPS * train.effort) as usize;
            train.extension = most.saturating_sub(train.steps);
        }
        match columns {
            1 if rows < SHORT => {
                model.layers = 3;
                model.hidden = vec![32; 2];
            }
            1 => model.layers = 5,
            _ if rows < SHORT && columns < WIDE => {
                model.layers = 8;
                model.hidden = vec![32; 2];
            }
            0..=8 => {}
            9..WIDE => model.bins = 8,
            _ => {
                model.transform = TransformKind::Affine;
                model.hidden = vec![128; 2];
                // So many weights memorize rows unless they are held down.
                train.weight_decay = match rows > LONG {
                    true => rounded(50_000.0 / rows as f64).clamp(0.1, 1.0),
                    false => 2.0,
                };
                // A step costs several times as much as elsewhere.
                train.extension = 0;
            }
        }
    }

    /// Puts a Gaussian mixture in the place of the flow where rows are few and nothing is given, and beside five flows where they are
    /// not many, unless only flows are asked for. docs/quality.md says what that is worth.
    pub(crate) fn mix(&mut self, size: TableSize, with_flows: bool) {
        const FEW: usize = 500;
        let most = match size.columns {
            1 => LONG_OF_ONE,
            _ => LONG,
        };
        if !(SHORTEST..=most).contains(&size.rows) {
            return;
        }
        let is_mixture_alone =
            size.rows < FEW && size.context == 0 && !with_flows && self.train.effort <= 1.0;
        // A flow over one column is as good as a mixture.
        if size.columns == 1 && size.context == 0 && !is_mixture_alone {
            return;
        }
        self.model.mixture = true;
        let train = &mut self.train;
        if is_mixture_alone {
            train.steps = 0;
            // Each row is judged by what is fitted to others, and correlations are weighed by the mixture.
            train.validation = 0.0;
            self.data.whiten = self.data.standardize;
            return;
        }
        let flows;
        (flows, train.validation, train.steps) = match (size.rows, size.columns) {
            // So little is to be learned that one flow is as good as five.
            (SHORT.., 2) if size.context == 0 => (1.0, 0.1, 4000),
            (0..SHORT, 1) => (3.0, 0.2, 2000),
            (_, 1) => (3.0, 0.2, 4000),
            (_, WIDE..) => (3.0, 0.1, 1500),
            (0..SHORT, _) => (5.0, 0.2, 1000),
            _ => (5.0, 0.2, 2000),
        };
        let flows = (flows * train.effort).round();
        train.ensemble = flows.clamp(1.0, MOST_FLOWS as f64) as usize;
    }

    /// How training goes, for an executor.
    pub fn training(&self) -> Training {
        let train = &self.train;
        Training {
            batch_size: train.batch_size,
            seed: train.seed,
            optimizer: AdamW {
                learning_rate: Schedule {
                    peak: train.learning_rate,
                    warm_up: train.warm_up as u64,
                    cosine_end: match train.schedule {
                        ScheduleName::Constant => None,
                        ScheduleName::Cosine => Some(train.steps as u64),
                    },
                    restart: train.extension as u64,
                },
                weight_decay: train.weight_decay,
                clip_norm: train.clip_norm,
                average: train.average,
            },
        }
    }

    /// How many parts the rows fall into, each as large as what a flow of an ensemble holds out, and how many of them are held out by
    /// some flow; none where no rows are held out.
    pub(crate) fn folds(&self) -> Option<(usize, usize)> {
        let train = &self.train;
        // To the next percent: 0.33 is a third.
        let parts = (1.0 / train.validation + 0.05) as usize;
        let parts = parts.clamp(2, usize::from(u16::MAX));
        (train.validation > 0.0).then_some((parts, parts.min(train.ensemble)))
    }

    /// The same for one flow of an ensemble, which has a seed of its own.
    pub(crate) fn of_flow(&self, index: usize) -> Config {
        let mut config = self.clone();
        if self.train.ensemble > 1 {
            config.train.ensemble = 1;
            let seed = words(self.train.seed, Purpose::Ensemble, index as u64, 0);
            config.train.seed = u64::from(seed[0]) << 32 | u64::from(seed[1]);
        }
        config
    }

    /// The fraction of rows that no part of the model is fitted to.
    pub(crate) fn held_out(&self) -> f64 {
        match self.train.ensemble {
            1 => self.train.validation,
            // What one flow holds out the others are fitted to.
            _ => 0.0,
        }
    }

    /// Checks the values that no spec checks.
    ///
    /// # Errors
    /// [`Error::Spec`] names the setting, its value and what is allowed.
    pub fn validate(&self) -> Result<()> {
        let train = &self.train;
        let fail = |message: String| Err(Error::Spec(message.into()));
        if !(train.learning_rate > 0.0 && train.learning_rate.is_finite()) {
            return fail(format!(
                "learning_rate = {}: must be a positive number",
                train.learning_rate
            ));
        }
        if !(train.weight_decay >= 0.0 && train.weight_decay.is_finite()) {
            return fail(format!(
                "weight_decay = {}: must be 0 or a positive number",
                train.weight_decay
            ));
        }
        if !(train.clip_norm >= 0.0 && train.clip_norm.is_finite()) {
            return fail(format!(
                "clip_norm = {}: must be a positive number, or 0 for no clipping",
                train.clip_norm
            ));
        }
        if !(0.0..1.0).contains(&train.average) {
            return fail(format!(
                "average = {}: must be a decay below 1, for instance 0.999, or 0 for no average",
                train.average
            ));
        }
        if !(0.0..1.0).contains(&train.validation) {
            return fail(format!(
                "validation = {}: must be a fraction of the rows, from 0 to below 1",
                train.validation
            ));
        }
        if !(1..=MOST_FLOWS).contains(&train.ensemble) {
            return fail(format!(
                "ensemble = {}: must be from 1 to {MOST_FLOWS} flows",
                train.ensemble
            ));
        }
        if !(train.effort > 0.0 && train.effort <= MOST_EFFORT) {
            return fail(format!(
                "effort = {}: must be a number above 0, {MOST_EFFORT} at most",
                train.effort
            ));
        }
        if self.model.mixture && train.steps > 0 && train.validation == 0.0 {
            let text = "a mixture beside a flow is weighed by rows that are held out";
            return Err(Error::Spec(
                Message::about("mixture", true, text)
                    .remedy(Remedy::new("hold out a tenth", "validation", 0.1))
                    .remedy(Remedy::new("fit the flow alone", "mixture", false)),
            ));
        }
        for (key, set) in [("whiten", self.data.whiten), ("robust", self.data.robust)] {
            if set && !self.data.standardize {
                return fail(format!("{key} = true needs standardize = true"));
            }
        }
        self.model.spec(2).map(|_| ())
    }
}

/// A setting rounded to its significant digits.
fn rounded(value: f64) -> f64 {
    format!("{value:.1e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_reference_experiment() {
        let config: Config = toml::from_str("").unwrap();
        assert_eq!(config, Config::default());
        let back: Config = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(back, config);
    }
}
