use crate::flow::{Activation, Linear};

use super::activation::{activate, slope};
use super::lanes::{Column, LANES, dot, weighted_sum};
use super::real::Real;

/// `output[o] = activate(bias[o] + sum_i weight[o][i] * input[i])`; `saved`, where there is one, keeps what went into
/// the activation. Twin: `shaders/linear_forward.wgsl`.
#[inline(always)]
pub fn forward<T: Real>(
    op: &Linear,
    parameters: &[T],
    input: &[Column<T>],
    output: &mut [Column<T>],
    saved: Option<&mut [Column<T>]>,
) {
    let weight = &parameters[op.weight.clone()];
    let bias = &parameters[op.bias.clone()];
    let (by_output, by_input) = op.weight_strides();
    for (o, output) in output.iter_mut().enumerate() {
        let start = bias.get(o).copied().unwrap_or(T::zero());
        *output = weighted_sum(start, input, |i| weight[o * by_output + i * by_input]);
    }
    if let Some(saved) = saved {
        saved.copy_from_slice(output);
    }
    if let Some(activation) = op.activation {
        activate(activation, output);
    }
}

/// `input_gradient[i] (+)= sum_o weight[o][i] * output_gradient[o]`, added, written, or written times the slope of the
/// activation that made the input. Twin: `shaders/linear_backward_input.wgsl`.
#[inline(always)]
pub fn backward_input<T: Real>(
    op: &Linear,
    parameters: &[T],
    output_gradient: &[Column<T>],
    input_gradient: &mut [Column<T>],
    into: Into<'_, T>,
) {
    let weight = &parameters[op.weight.clone()];
    let (by_output, by_input) = op.weight_strides();
    for (i, gradient) in input_gradient.iter_mut().enumerate() {
        let mut sum = weighted_sum(T::zero(), output_gradient, |o| {
            weight[o * by_output + i * by_input]
        });
        match into {
            Into::Write => *gradient = sum,
            Into::Add => {
                for lane in 0..LANES {
                    gradient[lane] += sum[lane];
                }
            }
            Into::Hidden { activation, saved } => {
                slope(activation, &saved[i], &mut sum);
                *gradient = sum;
            }
        }
    }
}

/// What the input of a linear map is, for its backward pass.
#[derive(Clone, Copy)]
pub enum Into<'a, T> {
    /// Something with no earlier user in the backward pass.
    Write,
    /// Something with earlier users: gradients add up.
    Add,
    /// A hidden layer with its activation.
    Hidden {
        activation: Activation,
        saved: &'a [Column<T>],
    },
}

/// `weight_gradient[o][i] += sum_rows output_gradient[o] * input[i]`, `bias_gradient[o] += sum_rows
/// output_gradient[o]`. Twin: `shaders/linear_backward_weights.wgsl`.
#[inline(always)]
pub fn backward_weights<T: Real>(
    op: &Linear,
    input: &[Column<T>],
    output_gradient: &[Column<T>],
    gradient: &mut [T],
) {
    let (by_output, by_input) = op.weight_strides();
    for (o, output) in output_gradient.iter().enumerate() {
        for (i, input) in input.iter().enumerate() {
            gradient[op.weight.start + o * by_output + i * by_input] += dot(output, input);
        }
    }
    let ones = [T::one(); LANES];
    for (bias, output) in op.bias.clone().zip(output_gradient) {
        gradient[bias] += dot(output, &ones);
    }
}
