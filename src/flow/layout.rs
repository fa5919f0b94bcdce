use std::collections::HashMap;
use std::ops::Range;

use super::polynomial::count_terms;
use super::spec::{Conditioner, FlowSpec};

/// One named tensor and its place in the flat parameter buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The name it bears in a model file, for instance `layers.0.s.1.weight`.
    pub name: String,
    /// Row-major; a linear map's weight is [outputs, inputs].
    pub shape: Vec<usize>,
    /// Where its numbers lie in the flat buffer.
    pub range: Range<usize>,
    /// The distribution its numbers start from.
    pub initial: Initial,
}

/// How a tensor's numbers start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initial {
    Zero,
    /// Normal around 0.
    Normal {
        deviation: f64,
    },
    /// Uniform in [low, high).
    Uniform {
        low: f64,
        high: f64,
    },
}

/// The place of every named tensor in one flat buffer.
///
/// Parameters, gradients and AdamW's moments are buffers with this same layout, on the CPU and on the GPU: a
/// tensor's range is worked out here and nowhere else.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    tensors: Vec<Tensor>,
    /// The place of each tensor in the list.
    by_name: HashMap<String, usize>,
    len: usize,
}

impl Layout {
    /// Lays out the tensors of a valid spec, layer by layer, the base last.
    pub fn new(spec: &FlowSpec) -> Self {
        let mut layout = Layout {
            tensors: Vec::new(),
            by_name: HashMap::new(),
            len: 0,
        };
        for layer in 0..spec.layers {
            let active = spec.active(layer).len();
            let frozen = spec.frozen(layer).len();
            for (network, heads) in spec.networks() {
                let hidden = match &spec.conditioner {
                    Conditioner::Mlp { hidden, .. } => hidden,
                    &Conditioner::Polynomial {
                        degree,
                        total_degree,
                        ..
                    } => {
                        let terms = count_terms(frozen, degree, total_degree);
                        layout.push(
                            coefficients_name(layer, network),
                            vec![terms, active],
                            Initial::Normal { deviation: 0.1 },
                        );
                        continue;
                    }
                };
                let mut inputs = frozen;
                for (k, &outputs) in hidden.iter().chain([&(heads * active)]).enumerate() {
                    // As PyTorch's Linear and Equinox's: weights and biases uniform within 1/sqrt(inputs).
                    let bound = 1.0 / (inputs as f64).sqrt();
                    let initial = Initial::Uniform {
                        low: -bound,
                        high: bound,
                    };
                    let name = linear_name(layer, network, k);
                    layout.push(format!("{name}.weight"), vec![outputs, inputs], initial);
                    layout.push(format!("{name}.bias"), vec![outputs], initial);
                    inputs = outputs;
                }
            }
        }
        if spec.base.trained {
            let [location, raw_spread] = spec.base.tensor_names();
            layout.push(location.into(), vec![spec.dims], Initial::Zero);
            let unit = Initial::Uniform {
                low: 0.0,
                high: 1.0,
            };
            layout.push(raw_spread.into(), vec![spec.dims], unit);
        }
        layout
    }

    fn push(&mut self, name: String, shape: Vec<usize>, initial: Initial) {
        let end = self.len + shape.iter().product::<usize>();
        self.by_name.insert(name.clone(), self.tensors.len());
        self.tensors.push(Tensor {
            name,
            shape,
            range: self.len..end,
            initial,
        });
        self.len = end;
    }

    /// Every tensor, in the order of the flat buffer.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The length of the flat buffer: the number of parameters.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is trained (never so for a flow).
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The tensor of that name, if the flow has one.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        Some(&self.tensors[*self.by_name.get(name)?])
    }

    /// The range of a tensor that the spec is known to have.
    pub(super) fn range(&self, name: &str) -> Range<usize> {
        self.tensor(name)
            .unwrap_or_else(|| panic!("the layout has no tensor {name}"))
            .range
            .clone()
    }
}

/// The stem of the names of one linear map's weight and bias.
pub(super) fn linear_name(layer: usize, network: &str, k: usize) -> String {
    format!("layers.{layer}.{network}.{k}")
}

/// The name of one network's polynomial coefficients.
pub(super) fn coefficients_name(layer: usize, network: &str) -> String {
    format!("layers.{layer}.{network}.coefficients")
}
