use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

use super::polynomial::{Family, count_terms, max_terms};
use super::transform::Transform;

/// What a flow is: plain data, checked by [`FlowSpec::validate`] before anything is built from it.
///
/// The flow maps data `x` (layer 0's input) to latent `z` (the last layer's output). Layer `i` is a coupling layer
/// (Dinh et al. 2017, "Density estimation using Real NVP", eq. 7): its *active* dimensions are transformed by
/// numbers that a conditioner computes from its *frozen* ones and from the context (Winkler et al. 2019, "Learning likelihoods with
/// conditional normalizing flows", section 3.2). A single column is active in every layer.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowSpec {
    /// Number of modelled columns, at least 1.
    pub dims: usize,
    /// Number of context columns: the flow is a density of the modelled columns given these.
    pub context: usize,
    /// Number of coupling layers, at least 1.
    pub layers: usize,
    /// What a layer does to its columns.
    pub transform: Transform,
    /// What says how.
    pub conditioner: Conditioner,
    /// What stands between two coupling layers.
    pub mixing: Mixing,
    /// The density of the latent.
    pub base: Base,
}

/// A linear map of all columns between two coupling layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mixing {
    /// None: the layers take turns with the two halves.
    None,
    /// `y = L U x` with L unit lower, U upper triangular and exp(d) on its diagonal: log|det| is the sum of d (Kingma and
    /// Dhariwal 2018, "Glow", eq. 10 and 11, without the permutation). It starts as the identity.
    Lu,
}

/// The function of the frozen dimensions that yields the transform's parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum Conditioner {
    /// A multilayer perceptron; no hidden layer makes it a linear map.
    Mlp {
        /// Widths of the hidden layers.
        hidden: Vec<usize>,
        /// Behind each hidden layer.
        activation: Activation,
        /// One network for s and another for t, rather than one network with two heads.
        separate: bool,
    },
    /// A linear map of orthonormal polynomials of the frozen dimensions: tensor products with each degree at most `degree`
    /// and their sum at most `total_degree`. s and t have coefficients of their own.
    Polynomial {
        /// Hermite or Legendre.
        family: Family,
        /// The highest degree in one column.
        degree: usize,
        /// The highest degree of a term, over all columns.
        total_degree: usize,
        /// c > 0 makes the input `c * tanh(x / c)`, so that no row can send the polynomials to infinity; 0 leaves it.
        input_bound: f64,
    },
}

/// The nonlinearity after each hidden layer of an MLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// tanh x.
    Tanh,
    /// max(x, 0).
    Relu,
    /// x / (1 + exp(-x)).
    Silu,
    /// The Gaussian error linear unit ([Hendrycks and Gimpel 2016](https://arxiv.org/abs/1606.08415)), in its tanh form:
    /// x sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3)).
    Gelu,
}

impl Activation {
    /// Every activation.
    pub const ALL: [Activation; 4] = [
        Activation::Tanh,
        Activation::Relu,
        Activation::Silu,
        Activation::Gelu,
    ];

    /// Whether its derivative follows from its output alone. Where it does not, something is saved beside the output on the way
    /// forward: the derivative itself, or what it follows from.
    pub fn derivative_from_output(self) -> bool {
        match self {
            Activation::Tanh | Activation::Relu => true,
            Activation::Silu | Activation::Gelu => false,
        }
    }
}

/// The density of the latent `z`: independent dimensions, standard or with a trained location and spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Base {
    /// Which density.
    pub density: Density,
    /// Whether location and raw spread r are trained; the spread is softplus(r).
    pub trained: bool,
}

/// The density of one dimension of the base, at location 0 and spread 1 where it is not trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Density {
    /// N(location, spread): the spread is the variance.
    Normal,
    /// The logistic distribution; the spread is its scale.
    Logistic,
}

impl Base {
    /// Every base.
    pub const ALL: [Base; 4] = [
        Base::new(Density::Normal, false),
        Base::new(Density::Normal, true),
        Base::new(Density::Logistic, false),
        Base::new(Density::Logistic, true),
    ];

    /// A density, with parameters or without.
    pub const fn new(density: Density, trained: bool) -> Self {
        Base { density, trained }
    }

    /// The names that location and raw spread bear in a model file.
    pub fn tensor_names(&self) -> [&'static str; 2] {
        match self.density {
            Density::Normal => ["base.mean", "base.raw_variance"],
            Density::Logistic => ["base.location", "base.raw_scale"],
        }
    }
}

/// The largest number of parameters accepted: offsets into the flat parameter buffer are 32-bit on the GPU, and a
/// flow anywhere near this size is a mistake in the configuration.
pub const MAX_PARAMETERS: usize = 1 << 28;

/// The largest number of tensors accepted: each has a name and an offset of its own.
const MAX_TENSORS: usize = 1 << 22;

impl FlowSpec {
    /// The dimensions that layer `layer` transforms: the first floor(D/2) in even layers, the others in odd ones; with D = 1
    /// the one dimension in every layer.
    pub fn active(&self, layer: usize) -> Range<usize> {
        let half = self.dims / 2;
        if layer.is_multiple_of(2) && half > 0 {
            0..half
        } else {
            half..self.dims
        }
    }

    /// The dimensions that layer `layer` leaves as they are and conditions on.
    pub fn frozen(&self, layer: usize) -> Range<usize> {
        match self.dims {
            1 => 0..0,
            _ => self.active(layer + 1),
        }
    }

    /// The number of columns of a row: the modelled ones, then the context.
    pub fn width(&self) -> usize {
        self.dims + self.context
    }

    /// The number of inputs of layer `layer`'s conditioner: its frozen dimensions, then the context.
    pub fn inputs(&self, layer: usize) -> usize {
        self.frozen(layer).len() + self.context
    }

    /// Whether the flow mixes its columns between couplings: a single column has nothing to mix with.
    pub fn is_mixed(&self) -> bool {
        self.mixing == Mixing::Lu && self.dims > 1
    }

    /// The networks of one layer's conditioner, by the name they bear in the model file, with their output widths
    /// as multiples of the number of active dimensions.
    pub fn networks(&self) -> Vec<(&'static str, usize)> {
        let separate = match self.conditioner {
            Conditioner::Mlp { separate, .. } => separate,
            Conditioner::Polynomial { .. } => true,
        };
        match (self.transform, separate) {
            (Transform::Affine { .. }, true) => vec![("s", 1), ("t", 1)],
            (Transform::Additive, _) => vec![("t", 1)],
            (transform, _) => vec![("net", transform.parameters())],
        }
    }

    /// Checks that a flow can be built from this.
    ///
    /// # Errors
    /// [`Error::Spec`] names the setting, its value and what is allowed.
    pub fn validate(&self) -> Result<()> {
        let fail = |message: String| Err(Error::Spec(message.into()));
        if self.dims < 1 {
            return fail("a flow needs at least 1 column to model".into());
        }
        let columns = self.dims.saturating_add(self.context);
        if columns > MAX_PARAMETERS {
            return fail(format!("{columns} columns are too many"));
        }
        if self.layers < 1 {
            return fail("layers = 0: a flow needs at least 1 coupling layer".into());
        }
        let mixing = if self.is_mixed() { 3 } else { 0 };
        let tensors = self.layers.saturating_mul(match &self.conditioner {
            Conditioner::Mlp { hidden, .. } => mixing + 4 * (hidden.len() + 1),
            Conditioner::Polynomial { .. } => mixing + 2,
        });
        if tensors > MAX_TENSORS {
            return fail(format!(
                "layers = {}: the model has more than {MAX_TENSORS} tensors; lower layers",
                self.layers
            ));
        }
        self.transform.validate()?;
        match &self.conditioner {
            Conditioner::Mlp { hidden, .. } => {
                if let Some(k) = hidden.iter().position(|&width| width == 0) {
                    return fail(format!(
                        "hidden[{k}] = 0: each hidden layer needs at least 1 unit"
                    ));
                }
            }
            &Conditioner::Polynomial {
                degree,
                total_degree,
                input_bound,
                ..
            } => {
                if !(input_bound >= 0.0 && input_bound.is_finite()) {
                    return fail(format!(
                        "input_bound = {input_bound}: must be 0 (unbounded) or a positive number"
                    ));
                }
                // Layer 0 has the most inputs.
                let inputs = self.inputs(0);
                let (count, most) = (
                    count_terms(inputs, degree, total_degree),
                    max_terms(inputs, degree, total_degree),
                );
                if count > most {
                    let count = match count {
                        usize::MAX => "more than a million".to_string(),
                        count => count.to_string(),
                    };
                    // Of the highest degrees there may be none at all.
                    let most = match most {
                        0..=2 => String::new(),
                        most => format!(" of them, and {most} can be computed"),
                    };
                    return fail(format!(
                        "degree = {degree} and total_degree = {total_degree} make too many polynomials over {inputs} inputs \
                         of a conditioner: {count}{most}; lower total_degree, or take conditioner = \"mlp\""
                    ));
                }
            }
        }
        match self.count_parameters() {
            Some(count) if count <= MAX_PARAMETERS => Ok(()),
            _ => fail(format!(
                "the model has more than {MAX_PARAMETERS} parameters; lower layers or hidden, or take fewer columns"
            )),
        }
    }

    /// The number of parameters, without building the layout; `None` when it overflows.
    pub fn count_parameters(&self) -> Option<usize> {
        // Even and odd layers differ by one dimension at most; count both kinds once.
        let layer = |parity: usize| {
            let active = self.active(parity).len();
            let conditioned_on = self.inputs(parity);
            if conditioned_on == 0 {
                return Some(active * self.transform.parameters());
            }
            let mut total = 0usize;
            for (_, heads) in self.networks() {
                match &self.conditioner {
                    Conditioner::Mlp { hidden, .. } => {
                        let mut inputs = conditioned_on;
                        for &outputs in hidden.iter().chain([&(heads * active)]) {
                            let numbers = inputs.checked_add(1)?.checked_mul(outputs)?;
                            total = total.checked_add(numbers)?;
                            inputs = outputs;
                        }
                    }
                    &Conditioner::Polynomial {
                        degree,
                        total_degree,
                        ..
                    } => {
                        let terms = count_terms(conditioned_on, degree, total_degree);
                        total = total.checked_add(terms.checked_mul(active)?)?;
                    }
                }
            }
            Some(total)
        };
        let couplings = layer(0)?
            .checked_mul(self.layers.div_ceil(2))?
            .checked_add(layer(1)?.checked_mul(self.layers / 2)?)?;
        let base = if self.base.trained { 2 } else { 0 };
        let mixing = match self.is_mixed() {
            false => 0,
            true => {
                let matrix = self.dims.checked_mul(self.dims)?;
                let each = matrix.checked_mul(2)?.checked_add(self.dims)?;
                each.checked_mul(self.layers.saturating_sub(1))?
            }
        };
        couplings
            .checked_add(mixing)?
            .checked_add(self.dims.checked_mul(base)?)
    }
}

impl fmt::Display for FlowSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = match self.transform {
            Transform::Affine { scale_bound } if scale_bound > 0.0 => {
                format!(" (log-scale within {scale_bound})")
            }
            Transform::Spline { bins, bound } => format!(" ({bins} bins, within {bound})"),
            _ => String::new(),
        };
        let transform = format!("{}{settings}", self.transform.kind().name());
        let conditioner = match &self.conditioner {
            Conditioner::Mlp {
                hidden,
                activation,
                separate,
            } => {
                let activation = format!("{activation:?}").to_lowercase();
                let networks = match (self.transform, separate) {
                    (Transform::Affine { .. }, true) => ", separate networks for s and t",
                    (Transform::Affine { .. }, false) => ", one network for s and t",
                    _ => "",
                };
                let widths = match hidden.len() {
                    0..=8 => format!("{hidden:?}"),
                    many => format!("of {many} hidden layers"),
                };
                format!("MLP {widths} {activation}{networks}")
            }
            Conditioner::Polynomial {
                family,
                degree,
                total_degree,
                input_bound,
            } => {
                let bound = match input_bound {
                    0.0 => String::new(),
                    bound => format!(", input within {bound}"),
                };
                format!("{family:?} polynomials of degree {degree}, total {total_degree}{bound}")
            }
        };
        let mixing = if self.is_mixed() { ", LU mixing" } else { "" };
        let trained = if self.base.trained { "trainable " } else { "" };
        let base = format!("{trained}{:?}", self.base.density).to_lowercase();
        let columns = match self.dims {
            1 => "1 column".into(),
            dims => format!("{dims} columns"),
        };
        let given = match self.context {
            0 => String::new(),
            context => format!(" given {context}"),
        };
        let conditioner = match self.inputs(0) {
            0 => "parameters of their own".into(),
            _ => conditioner,
        };
        write!(
            f,
            "{columns}{given}, {} {transform} coupling layers{mixing}, {conditioner}, {base} base",
            self.layers,
        )
    }
}
