//! The run configuration: a TOML file with the sections `[model]`, `[train]` and `[data]`. A key that is left out has the
//! value of its [`Preset`].

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::executor::{AdamW, Schedule, Training};
use crate::files::read_at_most;
use crate::flow::{Activation, Base, Conditioner, Density, Family, FlowSpec, Mixing, Transform};
use crate::preprocessing::Steps;

/// Where the keys that nobody sets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// The reference experiment, to the letter, where every safeguard is off: [`Config::default`].
    Published,
    /// What suits data that nobody has looked at: [`Config::safe`].
    Safe,
}

impl Preset {
    /// Its settings, with those that depend on the conditioner and on the table's rows and columns, where they are known.
    pub fn defaults(
        self,
        conditioner: Option<ConditionerName>,
        table: Option<(usize, usize)>,
    ) -> Config {
        match self {
            Preset::Published => Config::default(),
            Preset::Safe => {
                let mut config = Config::safe(conditioner.unwrap_or(ConditionerName::Mlp));
                if let Some((rows, columns)) = table {
                    config.fit_to(rows, columns);
                }
                config
            }
        }
    }
}

/// A configuration file: what it says, and nothing of what it leaves out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfigFile {
    pub preset: Option<Preset>,
    /// The sections with their keys.
    keys: toml::Table,
}

/// A whole run. Its default is the reference experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub model: ModelConfig,
    pub train: TrainConfig,
    pub data: Steps,
}

/// `[model]`: what a [`FlowSpec`] is made of, less the number of columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    pub layers: usize,
    pub transform: TransformName,
    /// Splines: the number of bins.
    #[serde(skip_serializing_if = "is_usual_bins")]
    pub bins: usize,
    /// Splines: the identity beyond it.
    #[serde(skip_serializing_if = "is_usual_bound")]
    pub spline_bound: f64,
    /// What stands between two coupling layers.
    #[serde(skip_serializing_if = "is_usual_mixing")]
    pub mixing: MixingName,
    pub conditioner: ConditionerName,
    /// Widths of the MLP's hidden layers.
    pub hidden: Vec<usize>,
    pub activation: Activation,
    /// One network for s and another for t; otherwise one network for both.
    pub separate: bool,
    /// Polynomials: the highest degree in each dimension.
    pub degree: usize,
    /// Polynomials: the highest total degree.
    pub total_degree: usize,
    pub base: BaseName,
    /// c > 0 makes the log-scale c * tanh(s / c); 0 leaves it.
    pub scale_bound: f64,
    /// Polynomials: c > 0 makes their input c * tanh(x / c); 0 leaves it.
    pub input_bound: f64,
}

/// `[train]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    pub steps: usize,
    /// Rows in each step; 0 takes all of them.
    pub batch_size: usize,
    /// The peak of the schedule.
    pub learning_rate: f64,
    pub schedule: ScheduleName,
    /// Steps over which the learning rate rises to its peak.
    pub warm_up: usize,
    pub weight_decay: f64,
    /// Gradients longer than this are scaled down to it; 0 leaves them.
    pub clip_norm: f64,
    /// Decay of a moving average of the parameters, which then is the model; 0 keeps none.
    pub average: f64,
    /// The fraction of rows held out for validation; the parameters that score them best are kept. 0 holds none out.
    pub validation: f64,
    /// Steps without a better validation NLL after which training ends; 0 goes on to the last step.
    pub patience: usize,
    pub start: Start,
    pub seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleName {
    /// The same rate in every step.
    Constant,
    /// Down to 0 at the last step, along half a cosine.
    Cosine,
}

/// What a flow is before training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// Every tensor random, as the published experiment has it.
    Random,
    /// As `Random`, but s and t are zero, so that the flow is the identity.
    Identity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransformName {
    Affine,
    Additive,
    Spline,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MixingName {
    None,
    Lu,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConditionerName {
    Mlp,
    Hermite,
    Legendre,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BaseName {
    Normal,
    TrainableNormal,
    Logistic,
    TrainableLogistic,
}

/// The published values of keys that came later than files: left out where they say nothing new, so that a model file
/// without a spline is what it was.
const BINS: usize = 8;
const SPLINE_BOUND: f64 = 4.0;

fn is_usual_mixing(mixing: &MixingName) -> bool {
    *mixing == MixingName::None
}

fn is_usual_bins(bins: &usize) -> bool {
    *bins == BINS
}

fn is_usual_bound(bound: &f64) -> bool {
    *bound == SPLINE_BOUND
}

impl Default for ModelConfig {
    fn default() -> Self {
        ModelConfig {
            layers: 2,
            transform: TransformName::Affine,
            bins: BINS,
            spline_bound: SPLINE_BOUND,
            mixing: MixingName::None,
            conditioner: ConditionerName::Mlp,
            hidden: vec![32],
            activation: Activation::Tanh,
            separate: true,
            degree: 3,
            total_degree: 3,
            base: BaseName::TrainableNormal,
            scale_bound: 0.0,
            input_bound: 0.0,
        }
    }
}

impl Default for TrainConfig {
    fn default() -> Self {
        TrainConfig {
            steps: 1000,
            batch_size: 0,
            learning_rate: 1e-3,
            schedule: ScheduleName::Constant,
            warm_up: 0,
            weight_decay: 0.1,
            clip_norm: 0.0,
            average: 0.0,
            validation: 0.0,
            patience: 0,
            start: Start::Random,
            seed: 42,
        }
    }
}

impl Config {
    /// What suits data: whitened columns, a deep flow of splines with mixing between them (for polynomials, of affine maps
    /// with bounded scales), minibatches, clipped gradients, a schedule, rows held out. docs/quality.md says what each of
    /// these is worth.
    pub fn safe(conditioner: ConditionerName) -> Self {
        let polynomial = conditioner != ConditionerName::Mlp;
        let (transform, mixing) = match polynomial {
            true => (TransformName::Affine, MixingName::None),
            false => (TransformName::Spline, MixingName::Lu),
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
            data: Steps {
                standardize: true,
                whiten: true,
                robust: true,
            },
        }
    }

    /// Fits the settings of [`Config::safe`] to the table's size. A short table has a larger share of its rows held out, a long
    /// one no more than 10,000; with few rows the flow is smaller and its parameters decay faster, so that it does not learn
    /// the rows by heart; a wide table has splines of fewer bins, whose networks would be slow, and beyond that affine maps;
    /// and correlations are only taken away where there are rows to estimate them from.
    pub fn fit_to(&mut self, rows: usize, columns: usize) {
        // With fewer, what a column leaves of another is small by chance, and new rows would be thrown far out.
        const ROWS_TO_A_COLUMN: usize = 10;
        const SHORTEST: usize = 20;
        const SHORT: usize = 2000;
        const MOST_HELD_OUT: f64 = 10_000.0;
        let (model, train) = (&mut self.model, &mut self.train);
        train.validation = match rows {
            0..SHORTEST => 0.0,
            SHORTEST..SHORT => 2.0 * train.validation,
            _ => train.validation.min(MOST_HELD_OUT / rows as f64),
        };
        let trained_on = rows as f64 * (1.0 - train.validation);
        self.data.whiten &= trained_on >= (ROWS_TO_A_COLUMN * columns) as f64;
        if model.conditioner != ConditionerName::Mlp {
            return;
        }
        let decay = (1000.0 / rows.max(1) as f64).powi(2);
        train.weight_decay = rounded(decay).clamp(train.weight_decay, 1.0);
        match columns {
            _ if rows < SHORT && columns <= 32 => {
                model.layers = 8;
                model.hidden = vec![32; 2];
            }
            0..=8 => {}
            9..=32 => model.bins = 8,
            _ => {
                model.transform = TransformName::Affine;
                model.mixing = MixingName::None;
                model.hidden = vec![128; 2];
            }
        }
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
                },
                weight_decay: train.weight_decay,
                clip_norm: train.clip_norm,
                average: train.average,
            },
        }
    }

    /// Checks the values that no spec checks.
    ///
    /// # Errors
    /// [`Error::Spec`] names the setting, its value and what is allowed.
    pub fn validate(&self) -> Result<()> {
        let train = &self.train;
        let fail = |message: String| Err(Error::Spec(message));
        if train.steps == 0 {
            return fail("steps = 0: training needs at least 1 step".into());
        }
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
        for (key, set) in [("whiten", self.data.whiten), ("robust", self.data.robust)] {
            if set && !self.data.standardize {
                return fail(format!("{key} = true needs standardize = true"));
            }
        }
        self.model.spec(2).map(|_| ())
    }
}

/// A setting with no more digits than it deserves.
fn rounded(value: f64) -> f64 {
    format!("{value:.1e}").parse().unwrap_or(value)
}

impl ConfigFile {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`Error::Spec`] with the place and the keys that are allowed; [`Error::Io`].
    pub fn read(path: &Path) -> Result<Self> {
        const LONGEST: u64 = 1 << 20;
        let text = String::from_utf8(read_at_most(path, LONGEST)?)
            .map_err(|_| Error::Spec(format!("{}: not UTF-8 text", path.display())))?;
        Self::parse(&text).map_err(|message| Error::Spec(format!("{}: {message}", path.display())))
    }

    fn parse(text: &str) -> Result<Self, String> {
        /// Every key that there is, so that errors tell their places.
        #[derive(Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[derive(Default)]
        struct Keys {
            preset: Option<Preset>,
            #[serde(rename = "model")]
            _model: ModelConfig,
            #[serde(rename = "train")]
            _train: TrainConfig,
            #[serde(rename = "data")]
            _data: Steps,
        }
        let place = |error: toml::de::Error| {
            let line = error
                .span()
                .map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            format!("line {line}: {}", error.message())
        };
        let known: Keys = toml::from_str(text).map_err(place)?;
        let mut keys: toml::Table = toml::from_str(text).map_err(place)?;
        keys.remove("preset");
        Ok(ConfigFile {
            preset: known.preset,
            keys,
        })
    }

    /// Whether the file sets a key.
    pub fn says(&self, section: &str, key: &str) -> bool {
        let section = self.keys.get(section).and_then(toml::Value::as_table);
        section.is_some_and(|section| section.contains_key(key))
    }

    /// `defaults`, with what the file says in their place.
    pub fn over(&self, defaults: &Config) -> Config {
        let mut all = toml::Table::try_from(defaults).expect("a configuration is a table");
        for (name, section) in &self.keys {
            if let (Some(toml::Value::Table(all)), Some(section)) =
                (all.get_mut(name), section.as_table())
            {
                all.extend(section.clone());
            }
        }
        all.try_into().expect("each key was read once before")
    }

    /// The conditioner, if the file says: other defaults depend on it.
    pub fn conditioner(&self) -> Option<ConditionerName> {
        let said = self.says("model", "conditioner");
        said.then(|| self.over(&Config::default()).model.conditioner)
    }
}

impl ModelConfig {
    /// The spec of a flow over `dims` columns.
    ///
    /// # Errors
    /// As [`FlowSpec::validate`].
    pub fn spec(&self, dims: usize) -> Result<FlowSpec> {
        let affine = Transform::Affine {
            scale_bound: self.scale_bound,
        };
        let spline = Transform::Spline {
            bins: self.bins,
            bound: self.spline_bound,
        };
        // A setting that cannot be is a mistake, whether or not it counts here.
        affine.validate()?;
        spline.validate()?;
        let transform = match self.transform {
            TransformName::Affine => affine,
            TransformName::Additive => Transform::Additive,
            TransformName::Spline => spline,
        };
        let polynomial = |family| Conditioner::Polynomial {
            family,
            degree: self.degree,
            total_degree: self.total_degree,
            input_bound: self.input_bound,
        };
        let conditioner = match self.conditioner {
            ConditionerName::Mlp => Conditioner::Mlp {
                hidden: self.hidden.clone(),
                activation: self.activation,
                separate: self.separate,
            },
            ConditionerName::Hermite => polynomial(Family::Hermite),
            ConditionerName::Legendre => polynomial(Family::Legendre),
        };
        let base = match self.base {
            BaseName::Normal => Base::new(Density::Normal, false),
            BaseName::TrainableNormal => Base::new(Density::Normal, true),
            BaseName::Logistic => Base::new(Density::Logistic, false),
            BaseName::TrainableLogistic => Base::new(Density::Logistic, true),
        };
        let spec = FlowSpec {
            dims,
            layers: self.layers,
            transform,
            conditioner,
            mixing: match self.mixing {
                MixingName::None => Mixing::None,
                MixingName::Lu => Mixing::Lu,
            },
            base,
        };
        spec.validate()?;
        Ok(spec)
    }

    /// The configuration that yields a spec.
    pub fn of(spec: &FlowSpec) -> Self {
        let mut config = match &spec.conditioner {
            Conditioner::Mlp {
                hidden,
                activation,
                separate,
            } => ModelConfig {
                conditioner: ConditionerName::Mlp,
                hidden: hidden.clone(),
                activation: *activation,
                separate: *separate,
                ..ModelConfig::default()
            },
            &Conditioner::Polynomial {
                family,
                degree,
                total_degree,
                input_bound,
            } => ModelConfig {
                conditioner: match family {
                    Family::Hermite => ConditionerName::Hermite,
                    Family::Legendre => ConditionerName::Legendre,
                },
                degree,
                total_degree,
                input_bound,
                ..ModelConfig::default()
            },
        };
        config.transform = match spec.transform {
            Transform::Affine { scale_bound } => {
                config.scale_bound = scale_bound;
                TransformName::Affine
            }
            Transform::Additive => TransformName::Additive,
            Transform::Spline { bins, bound } => {
                config.bins = bins;
                config.spline_bound = bound;
                TransformName::Spline
            }
        };
        ModelConfig {
            layers: spec.layers,
            mixing: match spec.mixing {
                Mixing::None => MixingName::None,
                Mixing::Lu => MixingName::Lu,
            },
            base: match (spec.base.density, spec.base.trained) {
                (Density::Normal, false) => BaseName::Normal,
                (Density::Normal, true) => BaseName::TrainableNormal,
                (Density::Logistic, false) => BaseName::Logistic,
                (Density::Logistic, true) => BaseName::TrainableLogistic,
            },
            ..config
        }
    }
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

    /// A file changes what it names, and nothing else, whatever the preset.
    #[test]
    fn left_out_keys_are_the_presets() {
        let file = ConfigFile::parse(
            "preset = \"safe\"\n[model]\nlayers = 3\nscale_bound = 1\n[train]\nsteps = 7\n",
        )
        .unwrap();
        assert_eq!(file.preset, Some(Preset::Safe));
        assert!(file.says("train", "steps") && !file.says("train", "patience"));
        for defaults in [Config::default(), Config::safe(ConditionerName::Mlp)] {
            let mut expected = defaults.clone();
            expected.model.layers = 3;
            expected.model.scale_bound = 1.0;
            expected.train.steps = 7;
            assert_eq!(file.over(&defaults), expected);
            assert_eq!(ConfigFile::default().over(&defaults), defaults);
        }
        let wrong = ConfigFile::parse("preset = \"safe\"\n\n[train]\nstep = 7\n").unwrap_err();
        assert!(
            wrong.starts_with("line 4: ") && wrong.contains("step"),
            "{wrong}"
        );
        assert!(
            ConfigFile::parse("preset = \"fast\"")
                .unwrap_err()
                .contains("published")
        );
    }

    #[test]
    fn a_spec_survives_the_way_through_its_configuration() {
        let config = ModelConfig {
            transform: TransformName::Additive,
            hidden: vec![3, 5],
            activation: Activation::Silu,
            ..ModelConfig::default()
        };
        let spec = config.spec(7).unwrap();
        assert_eq!(ModelConfig::of(&spec).spec(7).unwrap(), spec);
    }
}
