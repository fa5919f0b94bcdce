use serde::{Deserialize, Serialize};

/// The learning-rate schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleName {
    /// The same rate in every step.
    Constant,
    /// Down to 0 at the last step, along half a cosine.
    Cosine,
}

/// The initial parameters of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// Every tensor random, as the published experiment has it.
    Random,
    /// As `Random`, but s and t are zero, so that the flow is the identity.
    Identity,
}

/// The mixing between two coupling layers, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MixingName {
    /// Nothing.
    None,
    /// A linear map of all columns, as a product of two triangular ones.
    Lu,
}

/// The conditioner, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConditionerName {
    /// A network.
    Mlp,
    /// Hermite polynomials.
    Hermite,
    /// Legendre polynomials.
    Legendre,
}

/// The density of the latent, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BaseName {
    /// Standard normal.
    Normal,
    /// Normal, with means and variances that are trained.
    TrainableNormal,
    /// Standard logistic.
    Logistic,
    /// Logistic, with locations and scales that are trained.
    TrainableLogistic,
}
