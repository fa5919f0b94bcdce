use std::ops::Range;

use super::layout::{Layout, coefficients_name, linear_name};
use super::polynomial::{Family, Term, terms};
use super::spec::{Activation, Base, Conditioner, FlowSpec, Transform};

/// A numbered activation buffer: `width` columns of one number per row of the batch.
pub type BufferId = usize;

/// Some neighbouring columns of an activation buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    pub buffer: BufferId,
    pub first: usize,
    pub count: usize,
}

impl Columns {
    /// The columns as an index range of their buffer.
    pub fn range(&self) -> Range<usize> {
        self.first..self.first + self.count
    }
}

/// A flow lowered to a short list of ops over numbered activation buffers. Both executors run this same list.
///
/// `forward` maps data to latent and is walked backwards for gradients; `inverse` maps latent to data. Buffers
/// 0..=layers are the flow's states, each of width D: state 0 is the data, the last one the latent. The others belong
/// to conditioners. All numbers of a column lie side by side, row after row (feature-major).
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub spec: FlowSpec,
    pub layout: Layout,
    /// The width of each activation buffer.
    pub widths: Vec<usize>,
    /// For each activation buffer, the gradient buffer that holds the loss's gradient with respect to it. Layers take
    /// turns with the same few gradient buffers, so that they stay in cache.
    pub gradient_slots: Vec<usize>,
    /// The width of each gradient buffer.
    pub gradient_widths: Vec<usize>,
    pub forward: Vec<Op>,
    pub inverse: Vec<Op>,
    pub base: BaseOp,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    Basis(Basis),
    Linear(Linear),
    Coupling(Coupling),
}

/// `output[m]` = the product over the factors (d, n) of term m of `p_n(u_d)`, where `u` is the input, bounded.
#[derive(Clone, Debug, PartialEq)]
pub struct Basis {
    pub input: Columns,
    pub output: Columns,
    pub family: Family,
    pub terms: Vec<Term>,
    /// c > 0 makes the input c * tanh(x / c); 0 leaves it.
    pub input_bound: f64,
    pub input_gradient: InputGradient,
}

/// `output = activate(weight * input + bias)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    pub input: Columns,
    pub output: Columns,
    /// The weight's place in the parameters.
    pub weight: Range<usize>,
    /// Whether the weight lies as [inputs, outputs] (a polynomial's coefficients) rather than [outputs, inputs].
    pub transposed: bool,
    /// Empty where there is no bias; else right behind the weight.
    pub bias: Range<usize>,
    /// None after a network's last linear map.
    pub activation: Option<Activation>,
    /// Where the backward pass finds what it needs for the activation's slope: the output itself, or for an
    /// activation that cannot be inverted (SiLU) a buffer of its own, for what the executor chooses to keep.
    pub saved: BufferId,
    pub input_gradient: InputGradient,
}

/// What the backward pass of a linear map does with the gradient of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputGradient {
    /// Nobody needs it: the input is the data.
    Skip,
    /// The input has other users, which come earlier in the backward pass: add to what they left.
    Add,
    /// The input has no earlier user: write.
    Write,
    /// The input is a hidden layer: write, times the slope of that layer's activation, found in `saved`.
    Through {
        activation: Activation,
        saved: BufferId,
    },
}

impl Linear {
    /// How far apart in the parameters are the weights of neighbouring outputs, and of neighbouring inputs.
    pub fn weight_strides(&self) -> (usize, usize) {
        if self.transposed {
            (1, self.output.count)
        } else {
            (self.input.count, 1)
        }
    }
}

/// The coupling transform of one layer. Forward: active columns of `input` become `x * exp(s) + t` in `output`, the
/// others are copied, and the log-determinant gains the sum of s. Inverse: the same from `input` = z to `output` = x.
#[derive(Clone, Debug, PartialEq)]
pub struct Coupling {
    pub layer: usize,
    pub input: BufferId,
    pub output: BufferId,
    pub active: Range<usize>,
    /// None for the additive transform.
    pub log_scale: Option<Columns>,
    /// c > 0 bounds the log-scale to c * tanh(s / c); 0 leaves it.
    pub scale_bound: f64,
    pub shift: Columns,
}

/// The base density over the last state.
#[derive(Clone, Debug, PartialEq)]
pub struct BaseOp {
    pub kind: Base,
    pub latent: BufferId,
    /// Place of the location in the parameters; empty where it is fixed.
    pub location: Range<usize>,
    /// Place of the raw spread in the parameters; empty where it is fixed.
    pub raw_spread: Range<usize>,
}

impl Plan {
    /// Lowers a spec that [`FlowSpec::validate`] accepts.
    ///
    /// # Errors
    /// As [`FlowSpec::validate`].
    pub fn new(spec: &FlowSpec) -> crate::Result<Self> {
        spec.validate()?;
        let layout = Layout::new(spec);
        let mut lowering = Lowering {
            spec,
            layout: &layout,
            widths: vec![spec.dims; spec.layers + 1],
            gradient_slots: (0..=spec.layers).map(|state| state % 2).collect(),
            gradient_widths: vec![spec.dims; 2],
        };
        let mut forward = Vec::new();
        // Layer by layer, to be put in reverse order.
        let mut back_through: Vec<Vec<Op>> = Vec::new();
        for layer in 0..spec.layers {
            let (ops, coupling) = lowering.layer(layer);
            // The frozen columns are the same before and after the coupling, so on the way back the conditioner
            // reads them from the layer's output.
            let mut back: Vec<Op> = ops
                .iter()
                .cloned()
                .map(|op| reading_from(op, layer, layer + 1))
                .collect();
            back.push(Op::Coupling(Coupling {
                input: coupling.output,
                output: coupling.input,
                ..coupling.clone()
            }));
            back_through.push(back);
            forward.extend(ops);
            forward.push(Op::Coupling(coupling));
        }
        let [location, raw_spread] = spec.base.tensor_names().map(|name| {
            if spec.base.trained {
                layout.range(name)
            } else {
                0..0
            }
        });
        Ok(Plan {
            spec: spec.clone(),
            base: BaseOp {
                kind: spec.base,
                latent: spec.layers,
                location,
                raw_spread,
            },
            widths: lowering.widths,
            gradient_slots: lowering.gradient_slots,
            gradient_widths: lowering.gradient_widths,
            forward,
            inverse: back_through.into_iter().rev().flatten().collect(),
            layout,
        })
    }

    /// Number of columns of the data.
    pub fn dims(&self) -> usize {
        self.spec.dims
    }

    /// The buffer that holds the data.
    pub fn data(&self) -> BufferId {
        0
    }

    /// The buffer that holds the latent.
    pub fn latent(&self) -> BufferId {
        self.base.latent
    }
}

/// `op`, reading flow state `to` where it read state `from`.
fn reading_from(op: Op, from: BufferId, to: BufferId) -> Op {
    match op {
        Op::Linear(mut linear) => {
            if linear.input.buffer == from {
                linear.input.buffer = to;
            }
            Op::Linear(linear)
        }
        Op::Basis(mut basis) => {
            basis.input.buffer = to;
            Op::Basis(basis)
        }
        Op::Coupling(_) => op,
    }
}

struct Lowering<'a> {
    spec: &'a FlowSpec,
    layout: &'a Layout,
    widths: Vec<usize>,
    gradient_slots: Vec<usize>,
    gradient_widths: Vec<usize>,
}

impl Lowering<'_> {
    /// The conditioner's ops of one layer, and its coupling.
    fn layer(&mut self, layer: usize) -> (Vec<Op>, Coupling) {
        let active = self.spec.active(layer);
        let mut ops = Vec::new();
        let mut outputs = Vec::new();
        // The same place in each layer takes the same gradient buffer; the two states have the first two.
        let mut slot = 2;
        let features = match self.spec.conditioner {
            Conditioner::Mlp { .. } => None,
            Conditioner::Polynomial { .. } => Some(self.basis(layer, &mut slot, &mut ops)),
        };
        for (k, &(network, heads)) in self.spec.networks().iter().enumerate() {
            let heads = heads * active.len();
            outputs.push(match features {
                None => self.mlp(layer, network, heads, &mut slot, &mut ops),
                Some(features) => {
                    let last = k + 1 == self.spec.networks().len();
                    self.coefficients(layer, network, features, heads, last, &mut slot, &mut ops)
                }
            });
        }
        let part = |columns: Columns, k: usize| Columns {
            first: k * active.len(),
            count: active.len(),
            ..columns
        };
        let (log_scale, shift, scale_bound) = match (self.spec.transform, &outputs[..]) {
            (Transform::Additive, [t]) => (None, *t, 0.0),
            (Transform::Affine { scale_bound }, [s, t]) => (Some(*s), *t, scale_bound),
            (Transform::Affine { scale_bound }, [both]) => {
                (Some(part(*both, 0)), part(*both, 1), scale_bound)
            }
            _ => unreachable!("FlowSpec::networks yields one or two networks"),
        };
        let coupling = Coupling {
            layer,
            input: layer,
            output: layer + 1,
            active,
            log_scale,
            scale_bound,
            shift,
        };
        (ops, coupling)
    }

    /// The ops of one MLP from the layer's frozen columns; returns where its output lies.
    fn mlp(
        &mut self,
        layer: usize,
        network: &str,
        heads: usize,
        slot: &mut usize,
        ops: &mut Vec<Op>,
    ) -> Columns {
        let Conditioner::Mlp {
            hidden, activation, ..
        } = &self.spec.conditioner
        else {
            unreachable!("called for MLPs alone")
        };
        let (mut input, mut input_gradient) = self.frozen(layer);
        for (k, &outputs) in hidden.iter().chain([&heads]).enumerate() {
            let name = linear_name(layer, network, k);
            let output = self.buffer(outputs, slot);
            let activation = (k < hidden.len()).then_some(*activation);
            let saved = match activation {
                Some(Activation::Silu) => self.buffer(outputs, slot),
                _ => output,
            };
            let whole = Columns {
                buffer: output,
                first: 0,
                count: outputs,
            };
            ops.push(Op::Linear(Linear {
                input,
                output: whole,
                weight: self.layout.range(&format!("{name}.weight")),
                transposed: false,
                bias: self.layout.range(&format!("{name}.bias")),
                activation,
                saved,
                input_gradient,
            }));
            if let Some(activation) = activation {
                input_gradient = InputGradient::Through { activation, saved };
            }
            input = whole;
        }
        input
    }

    /// The columns that a layer conditions on, and what becomes of their gradient.
    fn frozen(&self, layer: usize) -> (Columns, InputGradient) {
        let frozen = self.spec.frozen(layer);
        let columns = Columns {
            buffer: layer,
            first: frozen.start,
            count: frozen.len(),
        };
        match layer {
            0 => (columns, InputGradient::Skip),
            _ => (columns, InputGradient::Add),
        }
    }

    /// The polynomials of the layer's frozen columns, which s and t share.
    fn basis(&mut self, layer: usize, slot: &mut usize, ops: &mut Vec<Op>) -> Columns {
        let Conditioner::Polynomial {
            family,
            degree,
            total_degree,
            input_bound,
        } = self.spec.conditioner
        else {
            unreachable!("called for polynomials alone")
        };
        let (input, input_gradient) = self.frozen(layer);
        let terms = terms(input.count, degree, total_degree);
        let output = Columns {
            buffer: self.buffer(terms.len(), slot),
            first: 0,
            count: terms.len(),
        };
        ops.push(Op::Basis(Basis {
            input,
            output,
            family,
            terms,
            input_bound,
            input_gradient,
        }));
        output
    }

    /// The linear map of the polynomials to one of s and t. The last one comes first in the backward pass.
    #[allow(clippy::too_many_arguments)]
    fn coefficients(
        &mut self,
        layer: usize,
        network: &str,
        features: Columns,
        outputs: usize,
        last: bool,
        slot: &mut usize,
        ops: &mut Vec<Op>,
    ) -> Columns {
        let weight = self.layout.range(&coefficients_name(layer, network));
        let output = Columns {
            buffer: self.buffer(outputs, slot),
            first: 0,
            count: outputs,
        };
        ops.push(Op::Linear(Linear {
            input: features,
            output,
            bias: weight.end..weight.end,
            weight,
            transposed: true,
            activation: None,
            saved: output.buffer,
            // The first layer's polynomials are of the data, whose gradient nobody needs.
            input_gradient: match (layer, last) {
                (0, _) => InputGradient::Skip,
                (_, true) => InputGradient::Write,
                (_, false) => InputGradient::Add,
            },
        }));
        output
    }

    /// A new activation buffer and the gradient buffer that goes with its place in the layer.
    fn buffer(&mut self, width: usize, slot: &mut usize) -> BufferId {
        self.widths.push(width);
        self.gradient_slots.push(*slot);
        if *slot == self.gradient_widths.len() {
            self.gradient_widths.push(0);
        }
        self.gradient_widths[*slot] = self.gradient_widths[*slot].max(width);
        *slot += 1;
        self.widths.len() - 1
    }
}
