use pulp::Simd;

use crate::flow::{InputGradient, Linear};

use super::activation::{activate, derivative};
use super::columns::Column;
use super::product::{self, Start};
use super::real::Real;
use super::strided::Strided;

/// Whether a matrix library multiplies for this map.
#[inline(always)]
pub fn is_wide<T: Real>(op: &Linear) -> bool {
    T::is_wide(op.input.count, op.output.count)
}

/// `output[o] = activate(bias[o] + sum_i weight[o][i] * input[i])`; `saved`, where there is one, keeps what
/// the activation's derivative needs. Kernel: `shaders/linear_forward.wgsl`.
#[inline(always)]
pub fn forward<S: Simd, T: Real>(
    simd: S,
    op: &Linear,
    parameters: &[T],
    input: &[Column<T>],
    output: &mut [Column<T>],
    saved: Option<&mut [Column<T>]>,
) {
    let bias = &parameters[op.bias.clone()];
    let weight = Strided {
        values: &parameters[op.weight.clone()],
        strides: op.weight_strides(),
    };
    if is_wide::<T>(op) {
        for (o, output) in output.iter_mut().enumerate() {
            output.fill(bias.get(o).copied().unwrap_or(T::zero()));
        }
        T::add_weighted_sums(weight, input, output);
    } else {
        product::weighted_sums(simd, Start::Bias(bias), weight, input, output);
    }
    if let Some(activation) = op.activation {
        activate(simd, activation, output, saved);
    }
}

/// `input_gradient[i] (+)= sum_o weight[o][i] * output_gradient[o]`, added, written, or written times the derivative of the
/// activation that made the input. Kernel: `shaders/linear_backward_input.wgsl`.
#[inline(always)]
pub fn backward_input<S: Simd, T: Real>(
    simd: S,
    op: &Linear,
    parameters: &[T],
    output_gradient: &[Column<T>],
    input_gradient: &mut [Column<T>],
    way: InputGradient<Hidden<'_, T>>,
) {
    let (by_output, by_input) = op.weight_strides();
    let weight = Strided {
        values: &parameters[op.weight.clone()],
        strides: (by_input, by_output),
    };
    let add = matches!(way, InputGradient::Add);
    if is_wide::<T>(op) {
        if !add {
            input_gradient.as_flattened_mut().fill(T::zero());
        }
        T::add_weighted_sums(weight, output_gradient, input_gradient);
    } else {
        let start = if add { Start::Output } else { Start::Bias(&[]) };
        product::weighted_sums(simd, start, weight, output_gradient, input_gradient);
    }
    if let InputGradient::Through { activation, saved } = way {
        derivative(simd, activation, saved.output, saved.saved, input_gradient);
    }
}

/// What the derivative of a hidden layer's activation follows from.
#[derive(Clone, Copy)]
pub struct Hidden<'a, T> {
    pub output: &'a [Column<T>],
    /// What was saved beside the output, if it is not enough.
    pub saved: &'a [Column<T>],
}

/// `weight_gradient[o][i] += sum_rows output_gradient[o] * input[i]`, `bias_gradient[o] += sum_rows
/// output_gradient[o]`, as sums spread over vectors: `sums` holds them in the order of the weight, then the bias. Of a wide
/// map the weight's gradient is left to [`wide_backward_weights`], and `sums` holds the bias alone. Kernel:
/// `shaders/linear_backward_weights.wgsl`.
#[inline(always)]
pub fn backward_weights<S: Simd, T: Real>(
    simd: S,
    op: &Linear,
    input: &[Column<T>],
    output_gradient: &[Column<T>],
    sums: &mut [T::Vector<S>],
) {
    let weights = if is_wide::<T>(op) { 0 } else { op.weight.len() };
    let (of_weight, of_bias) = sums.split_at_mut(weights);
    if weights > 0 {
        product::add_dots(simd, output_gradient, input, of_weight, op.weight_strides());
    }
    if !op.bias.is_empty() {
        product::add_sums(simd, output_gradient, of_bias);
    }
}

/// The gradient of a wide map's weight: written, or added.
pub fn wide_backward_weights<T: Real>(
    op: &Linear,
    input: &[Column<T>],
    output_gradient: &[Column<T>],
    gradient: &mut [T],
    add: bool,
) {
    let weight = &mut gradient[op.weight.clone()];
    T::dots(output_gradient, input, weight, op.weight_strides(), add);
}
