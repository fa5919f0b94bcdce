use crate::flow::Activation;

use super::activation::{activate, slope};
use super::lanes::{Column, LANES, dot};
use super::real::Real;

/// `output[o] = activate(bias[o] + sum_i weight[o][i] * input[i])`; `saved`, where there is one, keeps what went into
/// the activation. Twin: `shaders/linear_forward.wgsl`.
pub fn forward<T: Real>(
    weight: &[T],
    bias: &[T],
    activation: Option<Activation>,
    input: &[Column<T>],
    output: &mut [Column<T>],
    saved: Option<&mut [Column<T>]>,
) {
    for ((weights, &bias), output) in weight
        .chunks_exact(input.len())
        .zip(bias)
        .zip(output.iter_mut())
    {
        let mut sum = [bias; LANES];
        for (&weight, input) in weights.iter().zip(input) {
            for lane in 0..LANES {
                sum[lane] += weight * input[lane];
            }
        }
        *output = sum;
    }
    if let Some(saved) = saved {
        saved.copy_from_slice(output);
    }
    if let Some(activation) = activation {
        activate(activation, output);
    }
}

/// `input_gradient[i] (+)= sum_o weight[o][i] * output_gradient[o]`, added or written as `add` says; written ones are
/// multiplied by the slope of the activation that made the input. Twin: `shaders/linear_backward_input.wgsl`.
pub fn backward_input<T: Real>(
    weight: &[T],
    output_gradient: &[Column<T>],
    input_gradient: &mut [Column<T>],
    into: Into<'_, T>,
) {
    let inputs = input_gradient.len();
    for (i, gradient) in input_gradient.iter_mut().enumerate() {
        let mut sum = [T::zero(); LANES];
        for (o, output) in output_gradient.iter().enumerate() {
            let weight = weight[o * inputs + i];
            for lane in 0..LANES {
                sum[lane] += weight * output[lane];
            }
        }
        match into {
            Into::State => {
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
    /// A flow state: gradients add up.
    State,
    /// A hidden layer with its activation.
    Hidden {
        activation: Activation,
        saved: &'a [Column<T>],
    },
}

/// `weight_gradient[o][i] += sum_rows output_gradient[o] * input[i]`, `bias_gradient[o] += sum_rows
/// output_gradient[o]`. Twin: `shaders/linear_backward_weights.wgsl`.
pub fn backward_weights<T: Real>(
    input: &[Column<T>],
    output_gradient: &[Column<T>],
    weight_gradient: &mut [T],
    bias_gradient: &mut [T],
) {
    let ones = [T::one(); LANES];
    for ((gradient, weights), bias) in output_gradient
        .iter()
        .zip(weight_gradient.chunks_exact_mut(input.len()))
        .zip(bias_gradient)
    {
        for (weight, input) in weights.iter_mut().zip(input) {
            *weight += dot(gradient, input);
        }
        *bias += dot(gradient, &ones);
    }
}
