//! The run configuration: a TOML file with the sections `[model]`, `[train]` and `[data]`. A key that is left out has the
//! value of the reference experiment.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::flow::{Activation, Base, Conditioner, Density, Family, FlowSpec, Transform};

/// A whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub model: ModelConfig,
    pub train: TrainConfig,
    pub data: DataConfig,
}

/// `[model]`: what a [`FlowSpec`] is made of, less the number of columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    pub layers: usize,
    pub transform: TransformName,
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
    pub learning_rate: f64,
    pub weight_decay: f64,
    /// Gradients longer than this are scaled down to it; 0 leaves them.
    pub clip_norm: f64,
    /// The fraction of rows held out for validation.
    pub validation: f64,
    pub seed: u64,
}

/// `[data]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// Shift and scale each column to mean 0 and standard deviation 1. The model remembers how; log-densities stay in the
    /// units of the data.
    pub standardize: bool,
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

impl Default for ModelConfig {
    fn default() -> Self {
        ModelConfig {
            layers: 2,
            transform: TransformName::Affine,
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
            weight_decay: 0.1,
            clip_norm: 0.0,
            validation: 0.0,
            seed: 42,
        }
    }
}

impl Config {
    /// What a table gets that comes without a configuration: standardised columns, bounded scales, a deeper flow,
    /// minibatches. Safe rather than fast.
    pub fn for_data() -> Self {
        Config {
            model: ModelConfig {
                layers: 6,
                hidden: vec![64],
                separate: false,
                base: BaseName::Normal,
                scale_bound: 3.0,
                ..ModelConfig::default()
            },
            train: TrainConfig {
                steps: 2000,
                batch_size: 512,
                learning_rate: 1e-3,
                weight_decay: 1e-4,
                ..TrainConfig::default()
            },
            data: DataConfig { standardize: true },
        }
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`Error::Spec`] with the place and the keys that are allowed; [`Error::Io`].
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        toml::from_str(&text).map_err(|error| {
            let line = error
                .span()
                .map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            Error::Spec(format!(
                "{}: line {line}: {}",
                path.display(),
                error.message()
            ))
        })
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
        if train.clip_norm != 0.0 {
            return fail(format!(
                "clip_norm = {}: gradient clipping is not built yet; leave it at 0",
                train.clip_norm
            ));
        }
        if train.validation != 0.0 {
            return fail(format!(
                "validation = {}: a validation split is not built yet; leave it at 0",
                train.validation
            ));
        }
        self.model.spec(2).map(|_| ())
    }
}

impl ModelConfig {
    /// The spec of a flow over `dims` columns.
    ///
    /// # Errors
    /// [`Error::Spec`] where a part is not built yet, and as [`FlowSpec::validate`].
    pub fn spec(&self, dims: usize) -> Result<FlowSpec> {
        let transform = match self.transform {
            TransformName::Affine => Transform::Affine {
                scale_bound: self.scale_bound,
            },
            TransformName::Additive => Transform::Additive,
            TransformName::Spline => {
                return Err(Error::Spec(
                    "transform = \"spline\" is not built yet in this version".into(),
                ));
            }
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
            base,
        };
        spec.validate()?;
        Ok(spec)
    }

    /// The configuration that yields a spec.
    pub fn of(spec: &FlowSpec) -> Self {
        let (transform, scale_bound) = match spec.transform {
            Transform::Affine { scale_bound } => (TransformName::Affine, scale_bound),
            Transform::Additive => (TransformName::Additive, 0.0),
        };
        let config = match &spec.conditioner {
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
        ModelConfig {
            layers: spec.layers,
            transform,
            base: match (spec.base.density, spec.base.trained) {
                (Density::Normal, false) => BaseName::Normal,
                (Density::Normal, true) => BaseName::TrainableNormal,
                (Density::Logistic, false) => BaseName::Logistic,
                (Density::Logistic, true) => BaseName::TrainableLogistic,
            },
            scale_bound,
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
