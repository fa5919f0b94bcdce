use std::ops::Range;

use super::layout::Layout;
use super::polynomial::{Family, Term};
use super::spec::{Activation, Base, FlowSpec};
use super::transform::Transform;

/// A numbered activation buffer: `width` columns of one number per row of the batch.
pub type BufferId = usize;

/// Some neighboring columns of an activation buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    /// Whose columns.
    pub buffer: BufferId,
    /// The first of them.
    pub first: usize,
    /// How many.
    pub count: usize,
}

impl Columns {
    /// The columns as an index range of their buffer.
    pub fn range(&self) -> Range<usize> {
        self.first..self.first + self.count
    }
}

/// A flow lowered to a list of layers, each a short list of ops over numbered activation buffers. Both executors run these
/// same ops.
///
/// `forward` maps data to latent and is walked backwards for gradients; `inverse` maps latent to data. Some buffers are the
/// flow's states, each of width D: the data, the output of each layer, and so on to the latent. The others belong to
/// conditioners. The C columns of context follow the D of the data in the data's buffer; no layer changes or copies them. All numbers of a column lie side by side, row after row (feature-major).
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The flow that it is a plan of.
    pub spec: FlowSpec,
    /// The parameters.
    pub layout: Layout,
    /// The width of each activation buffer.
    pub widths: Vec<usize>,
    /// For each activation buffer, the gradient buffer that holds the loss's gradient with respect to it. Layers take
    /// turns with the same few gradient buffers, so that they stay in cache.
    pub gradient_slots: Vec<usize>,
    /// The width of each gradient buffer.
    pub gradient_widths: Vec<usize>,
    /// From the data to the latent.
    pub layers: Vec<Layer>,
    /// The ops from data to latent, in order; the gradient takes them backwards.
    pub forward: Vec<Op>,
    /// The ops from latent to data, in order.
    pub inverse: Vec<Op>,
    /// The density of the latent.
    pub base: BaseOp,
}

/// An invertible map from one state of the flow to the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Its number in the names of tensors: `layers.{number}`.
    pub number: usize,
    /// What is mixed.
    pub input: BufferId,
    /// Where it goes.
    pub output: BufferId,
    /// Its ops in the plan's forward list.
    pub forward: Range<usize>,
    /// Its ops in the plan's inverse list.
    pub inverse: Range<usize>,
    /// Parameters that make it the identity where all of them are zero, whatever the others are.
    pub identity_at_zero: Vec<Range<usize>>,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// The inputs of a conditioner that has both frozen columns and context.
    Concat(Concat),
    /// Polynomials of columns.
    Basis(Basis),
    /// A linear map, with its activation.
    Linear(Linear),
    /// The map of a layer's active columns.
    Coupling(Coupling),
    /// Half of a mixing.
    Triangular(Triangular),
}

/// Copies frozen columns, and the context after them, side by side: the input of a conditioner. It has no backward pass: the
/// conditioner's first op adds its gradient to the frozen columns', and the context needs none.
#[derive(Clone, Debug, PartialEq)]
pub struct Concat {
    /// The frozen columns.
    pub frozen: Columns,
    /// The context.
    pub context: Columns,
    /// Where both go.
    pub output: Columns,
}

/// `output[m]` = the product over the factors (d, n) of term m of `p_n(u_d)`, where `u` is the input, bounded.
#[derive(Clone, Debug, PartialEq)]
pub struct Basis {
    /// The frozen columns, then the context.
    pub input: Columns,
    /// A column a term.
    pub output: Columns,
    /// Hermite or Legendre.
    pub family: Family,
    /// The terms, in the order of the outputs.
    pub terms: Vec<Term>,
    /// c > 0 makes the input c * tanh(x / c); 0 leaves it.
    pub input_bound: f64,
    /// None where it is not needed: the input is the data, or context.
    pub input_gradient: Option<InputGradient>,
    /// The columns that get the gradient of the first inputs: the input itself or, where that is a [`Concat`], the frozen columns
    /// in it.
    pub gradient_target: Columns,
}

/// `output = activate(weight * input + bias)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// What is multiplied.
    pub input: Columns,
    /// Where the products go.
    pub output: Columns,
    /// The weight's position in the parameters.
    pub weight: Range<usize>,
    /// Whether the weight lies as [inputs, outputs] (a polynomial's coefficients) rather than [outputs, inputs].
    pub transposed: bool,
    /// Empty where there is no bias; else right behind the weight.
    pub bias: Range<usize>,
    /// None after a network's last linear map.
    pub activation: Option<Activation>,
    /// Where the backward pass finds what it needs for the activation's derivative: the output itself, or for an
    /// activation whose output is not enough a buffer of its own, for what the executor chooses to keep.
    pub saved: BufferId,
    /// None where it is not needed: the input is the data, or context.
    pub input_gradient: Option<InputGradient>,
    /// The columns that get the gradient of the first inputs: the input itself or, where that is a [`Concat`], the frozen columns
    /// in it.
    pub gradient_target: Columns,
}

/// What the backward pass of an op does with the gradient of its input. An input that is the data has none. `Saved` is what leads
/// an executor to what was saved for a derivative: in a plan the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InputGradient<Saved = BufferId> {
    /// The input has other users, which come earlier in the backward pass: add to what they left.
    Add,
    /// The input has no earlier user: write.
    Write,
    /// The input is a hidden layer: write, times the derivative of that layer's activation, found in `saved`.
    Through {
        /// Of the layer before.
        activation: Activation,
        /// Where that layer saved what its derivative is made of.
        saved: Saved,
    },
}

impl<Saved> InputGradient<Saved> {
    /// The same with something else instead of `saved`.
    pub fn map<T>(self, f: impl FnOnce(Saved) -> T) -> InputGradient<T> {
        match self {
            InputGradient::Add => InputGradient::Add,
            InputGradient::Write => InputGradient::Write,
            InputGradient::Through { activation, saved } => InputGradient::Through {
                activation,
                saved: f(saved),
            },
        }
    }
}

impl Linear {
    /// How far apart in the parameters are the weights of neighboring outputs, and of neighboring inputs.
    pub fn weight_strides(&self) -> (usize, usize) {
        if self.transposed {
            (1, self.output.count)
        } else {
            (self.input.count, 1)
        }
    }
}

/// The transform of one coupling layer. Forward: each active column of `input` becomes what the transform makes of it in
/// `output`, the others are copied, and the log-determinant gains the sum of the log-derivatives. Inverse: the same from `input` =
/// z to `output` = x.
#[derive(Clone, Debug, PartialEq)]
pub struct Coupling {
    /// Its layer's number, from 0.
    pub layer: usize,
    /// The columns before.
    pub input: BufferId,
    /// The columns after; those that are not active are the same numbers.
    pub output: BufferId,
    /// The columns that it maps.
    pub active: Range<usize>,
    /// By what.
    pub transform: Transform,
    /// What the conditioner's networks give: the transform's parameters, in one buffer or, for each of them, in its own.
    pub heads: Vec<Columns>,
    /// In one buffer: how far apart are neighboring parameters of a column, and the same parameter of neighboring columns.
    pub strides: (usize, usize),
}

impl Coupling {
    /// The head that holds parameter `parameter` of the `k`-th active column, and its index in it.
    #[inline(always)]
    pub fn index(&self, parameter: usize, k: usize) -> (usize, usize) {
        match self.heads.len() {
            1 => (0, parameter * self.strides.0 + k * self.strides.1),
            _ => (parameter, k),
        }
    }
}

/// Multiplies a state by a triangular matrix: upper, with exp(log_diagonal) on the diagonal, or lower, with ones. What lies
/// outside the triangle counts for nothing. In the inverse list it divides.
#[derive(Clone, Debug, PartialEq)]
pub struct Triangular {
    /// The columns before.
    pub input: BufferId,
    /// The columns after.
    pub output: BufferId,
    /// The matrix's position in the parameters, [D, D].
    pub matrix: Range<usize>,
    /// The position of the diagonal's logarithms, right after the matrix; empty where the matrix is lower.
    pub log_diagonal: Range<usize>,
}

impl Triangular {
    /// Whether the matrix is upper triangular, else lower.
    pub fn is_upper(&self) -> bool {
        !self.log_diagonal.is_empty()
    }

    /// The columns in which row `i` has numbers off the diagonal.
    pub fn off_diagonal(&self, i: usize, dims: usize) -> Range<usize> {
        if self.is_upper() { i + 1..dims } else { 0..i }
    }

    /// The rows in which column `j` has numbers off the diagonal.
    pub fn rows_off_diagonal(&self, j: usize, dims: usize) -> Range<usize> {
        if self.is_upper() { 0..j } else { j + 1..dims }
    }
}

/// The base density over the last state.
#[derive(Clone, Debug, PartialEq)]
pub struct BaseOp {
    /// Which density.
    pub kind: Base,
    /// Where the latent is.
    pub latent: BufferId,
    /// Position of the location in the parameters; empty where it is fixed.
    pub location: Range<usize>,
    /// Position of the raw spread in the parameters; empty where it is fixed.
    pub raw_spread: Range<usize>,
}

impl Plan {
    /// Number of modelled columns: the width of every state.
    pub fn dims(&self) -> usize {
        self.spec.dims
    }

    /// Number of columns of a row: the modelled ones, then the context.
    pub fn width(&self) -> usize {
        self.spec.width()
    }

    /// The context, behind the data.
    pub fn context(&self) -> Columns {
        Columns {
            buffer: self.data(),
            first: self.spec.dims,
            count: self.spec.context,
        }
    }

    /// The buffer that holds the data.
    pub fn data(&self) -> BufferId {
        self.layers[0].input
    }

    /// The buffer that holds the latent.
    pub fn latent(&self) -> BufferId {
        self.base.latent
    }

    /// The layer that an op of the forward list belongs to.
    pub fn layer_of(&self, op: usize) -> Option<&Layer> {
        self.layers.iter().find(|layer| layer.forward.contains(&op))
    }
}
