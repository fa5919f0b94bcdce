//! Declares each setting once: key, type, published value and description. The documentation, the help of the command line and
//! the error messages come from here.

use serde::{Deserialize, Serialize};

use crate::flow::{Activation, TransformKind};
use crate::kinds::ColumnKind;
use crate::preprocessing::PreprocessingConfig;

use super::{BaseName, ConditionerName, MixingName, ScheduleName, Start};

/// What a setting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettingAbout {
    /// Its key in a configuration.
    pub key: &'static str,
    /// A word for its values, or all of them: `K`, `none|lu`.
    pub takes: &'static str,
    /// What it does, in a sentence or two.
    pub about: &'static str,
}

/// A section of the configuration, and the same with every setting left open. In brackets is what the flag asks for; `read` names the
/// function that reads a setting that may be open, where it needs one of its own.
macro_rules! section {
    (
        $(#[$about:meta])*
        $config:ident, $overrides:ident {
            $(
                $(#[doc = $doc:literal])+
                $(#[serde($($serde:tt)+)])?
                $(#[read($read:literal)])?
                $key:ident: ($($type:tt)+) = $published:expr, [value_name = $takes:literal $($arg:tt)*];
            )+
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $config {
            $(
                $(#[doc = $doc])+
                $(#[serde($($serde)+)])?
                pub $key: $($type)+,
            )+
        }

        impl Default for $config {
            fn default() -> Self {
                $config { $($key: $published,)+ }
            }
        }

        overrides! {
            $overrides of $config { $($(#[doc = $doc])+ $(#[read($read)])? $key: ($($type)+), [value_name = $takes $($arg)*];)+ }
        }
    };
}

/// Settings of a section, each left open or not.
macro_rules! overrides {
    (
        $overrides:ident of $config:ident {
            $($(#[doc = $doc:literal])+ $(#[read($read:literal)])? $key:ident: ($($type:tt)+), [value_name = $takes:literal $($arg:tt)*];)+
        }
    ) => {
        #[doc = concat!("Some settings of [`", stringify!($config), "`].")]
        #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[cfg_attr(feature = "cli", derive(clap::Args))]
        #[cfg_attr(feature = "cli", group(skip))]
        pub struct $overrides {
            $(
                $(#[doc = $doc])+
                $(#[serde(deserialize_with = $read)])?
                #[cfg_attr(feature = "cli", arg(long, hide_short_help = true, value_name = $takes $($arg)*))]
                pub $key: Option<$($type)+>,
            )+
        }

        impl $overrides {
            /// Every key and its value in a configuration, in their order.
            #[allow(dead_code, reason = "not every section is written key by key")]
            pub(crate) fn entries(config: &$config) -> Vec<(&'static str, serde_json::Value)> {
                vec![$((stringify!($key), serde_json::json!(config.$key)),)+]
            }

            /// What each key is.
            pub const ABOUT: &[SettingAbout] = &[$(SettingAbout {
                key: stringify!($key),
                takes: $takes,
                about: concat!($($doc),+),
            }),+];

            /// Every setting of a configuration, set.
            pub fn all(config: &$config) -> Self {
                $overrides { $($key: Some(config.$key.clone()),)+ }
            }

            /// Puts what is set into a configuration.
            pub fn apply(&self, config: &mut $config) {
                $(
                    if let Some(value) = &self.$key {
                        config.$key = value.clone();
                    }
                )+
            }

            /// These, and over them others.
            pub fn and(self, over: Self) -> Self {
                $overrides { $($key: over.$key.or(self.$key),)+ }
            }
        }
    };
}

/// A name as the configuration file has it.
#[cfg(feature = "cli")]
pub(super) fn name<T: serde::de::DeserializeOwned>(
    text: &str,
) -> Result<T, serde::de::value::Error> {
    T::deserialize(serde::de::value::StrDeserializer::new(text))
}

section! {
    /// `[model]`: what a [`FlowSpec`](crate::flow::FlowSpec) is made of, less the number of columns.
    ModelConfig, ModelOverrides {
        /// Coupling layers.
        layers: (usize) = 2, [value_name = "K"];
        /// What a layer does to its columns.
        transform: (TransformKind) = TransformKind::Affine,
            [value_name = "affine|additive|spline", value_parser = name::<TransformKind>];
        /// Splines: the number of bins.
        #[serde(skip_serializing_if = "is_usual_bins")]
        bins: (usize) = BINS, [value_name = "K"];
        /// Splines: the identity beyond it.
        #[serde(skip_serializing_if = "is_usual_bound")]
        spline_bound: (f64) = SPLINE_BOUND, [value_name = "B", allow_negative_numbers = true];
        /// What stands between two coupling layers.
        #[serde(skip_serializing_if = "is_usual_mixing")]
        mixing: (MixingName) = MixingName::None, [value_name = "none|lu", value_parser = name::<MixingName>];
        /// Whether a Gaussian mixture stands beside the flow, or in its place where no steps are taken.
        #[serde(skip_serializing_if = "is_false")]
        mixture: (bool) = false, [value_name = "true|false", hide_possible_values = true];
        /// A network, or polynomials.
        conditioner: (ConditionerName) = ConditionerName::Mlp,
            [value_name = "mlp|hermite|legendre", value_parser = name::<ConditionerName>];
        /// Widths of the network's hidden layers, for instance 64,64.
        hidden: (Vec<usize>) = vec![32], [value_name = "WIDTHS", value_delimiter = ','];
        /// Activation of the hidden layers.
        activation: (Activation) = Activation::Tanh, [value_name = "tanh|relu|silu|gelu", value_parser = name::<Activation>];
        /// One network for the scales and another for the shifts; otherwise one for both.
        separate: (bool) = true, [value_name = "true|false", hide_possible_values = true];
        /// Polynomials: the highest degree in each dimension.
        degree: (usize) = 3, [value_name = "N"];
        /// Polynomials: the highest total degree.
        total_degree: (usize) = 3, [value_name = "N"];
        /// The density that the latent has: normal, trainable-normal, logistic or trainable-logistic.
        base: (BaseName) = BaseName::TrainableNormal, [value_name = "BASE", value_parser = name::<BaseName>];
        /// c > 0 makes the log-scale c * tanh(s / c); 0 leaves it.
        scale_bound: (f64) = 0.0, [value_name = "C", allow_negative_numbers = true];
        /// Polynomials: c > 0 makes their input c * tanh(x / c); 0 leaves it.
        input_bound: (f64) = 0.0, [value_name = "C", allow_negative_numbers = true];
    }
}

section! {
    /// `[train]`.
    TrainConfig, TrainOverrides {
        /// Maximum number of steps; with 0 the flow keeps its initial parameters.
        steps: (usize) = 1000, [value_name = "K"];
        /// Steps to go on for, along a second cosine, where the first ends while held-out rows still gain; 0 means none.
        #[serde(skip_serializing_if = "is_zero")]
        extension: (usize) = 0, [value_name = "K"];
        /// Rows in each step; 0 means all.
        batch_size: (usize) = 0, [value_name = "ROWS"];
        /// Peak learning rate.
        learning_rate: (f64) = 1e-3, [value_name = "RATE", allow_negative_numbers = true];
        /// Whether the learning rate is constant, or decays to 0 along a cosine.
        schedule: (ScheduleName) = ScheduleName::Constant,
            [value_name = "constant|cosine", value_parser = name::<ScheduleName>];
        /// Steps of warm-up, over which the learning rate rises to its peak.
        warm_up: (usize) = 0, [value_name = "K"];
        /// Decay of every parameter, times the learning rate.
        weight_decay: (f64) = 0.1, [value_name = "DECAY", allow_negative_numbers = true];
        /// Gradients with a larger norm are scaled down to it; 0 means no clipping.
        clip_norm: (f64) = 0.0, [value_name = "NORM", allow_negative_numbers = true];
        /// Decay of a moving average of the parameters, which then is the model; 0 means none.
        average: (f64) = 0.0, [value_name = "DECAY", allow_negative_numbers = true];
        /// The fraction of rows held out for validation, on which the best parameters are chosen; 0 means none.
        validation: (f64) = 0.0, [value_name = "FRACTION", allow_negative_numbers = true];
        /// Early stopping: steps without a better validation NLL after which training ends; 0 means never.
        patience: (usize) = 0, [value_name = "K"];
        /// Flows to train, each with other rows held out; the model is their average.
        #[serde(skip_serializing_if = "is_one")]
        ensemble: (usize) = 1, [value_name = "K"];
        /// The time that a fit may take: 4 allows four times the steps and flows.
        #[serde(skip_serializing_if = "is_usual_effort")]
        effort: (f64) = 1.0, [value_name = "E", hide_short_help = false];
        /// Whether the flow starts as the identity.
        start: (Start) = Start::Random, [value_name = "random|identity", value_parser = name::<Start>];
        /// Seed of everything random: initial parameters, order of the rows, rows held out, targets.
        seed: (u64) = 42, [value_name = "N"];
    }
}

section! {
    /// `[data]`.
    DataConfig, DataOverrides {
        /// Shift and scale columns to mean 0 and deviation 1.
        standardize: (bool) = false, [value_name = "true|false", hide_possible_values = true];
        /// Remove linear correlations between columns.
        whiten: (bool) = false, [value_name = "true|false", hide_possible_values = true];
        /// Fit both to the bulk of the rows, and compress outliers.
        robust: (bool) = false, [value_name = "true|false", hide_possible_values = true];
        /// Context: model the density of the other columns given these (names, numbers or ranges).
        #[serde(skip_serializing_if = "Vec::is_empty")]
        given: (Vec<String>) = Vec::new(), [value_name = "COLUMNS", value_delimiter = ',', hide_short_help = false];
        /// Column of row weights, not modelled: weight 2 counts as two rows.
        #[serde(skip_serializing_if = "String::is_empty")]
        weights: (String) = String::new(), [value_name = "COLUMN", hide_short_help = false];
        /// What a column holds: real, positive, bounded(0,1), integer, circular(360) or categorical.
        #[serde(with = "crate::kinds::by_name", skip_serializing_if = "Vec::is_empty")]
        #[read("crate::kinds::some_by_name")]
        columns: (Vec<ColumnKind>) = Vec::new(),
            [value_name = "NAME=KIND", long = "column", id = "column", hide_short_help = false];
    }
}

impl DataConfig {
    /// What is done to the columns before the flow sees them.
    pub fn preprocessing(&self) -> PreprocessingConfig {
        PreprocessingConfig {
            standardize: self.standardize,
            whiten: self.whiten,
            robust: self.robust,
        }
    }
}

/// The published values of keys that came later than files: left out where they say nothing new, so that a model file
/// without a spline is what it was.
const BINS: usize = 8;
const SPLINE_BOUND: f64 = 4.0;

fn is_usual_mixing(mixing: &MixingName) -> bool {
    *mixing == MixingName::None
}

fn is_false(value: &bool) -> bool {
    !*value
}

fn is_usual_effort(effort: &f64) -> bool {
    *effort == 1.0
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

fn is_one(count: &usize) -> bool {
    *count == 1
}

fn is_usual_bins(bins: &usize) -> bool {
    *bins == BINS
}

fn is_usual_bound(bound: &f64) -> bool {
    *bound == SPLINE_BOUND
}
