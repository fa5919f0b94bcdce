use crate::random::{Purpose, standard_normal, uniform, words};

use super::layout::{Initial, Layout};

/// The parameters that training starts from: a function of the layout and the seed alone.
pub fn initial_parameters(layout: &Layout, seed: u64) -> Vec<f32> {
    let mut parameters = vec![0.0; layout.len()];
    for tensor in layout.tensors() {
        for index in tensor.range.clone() {
            let word = words(seed, Purpose::Parameters, index as u64 / 4, 0)[index % 4];
            parameters[index] = match tensor.initial {
                Initial::Zero => 0.0,
                Initial::Normal { deviation } => deviation as f32 * standard_normal(word),
                Initial::Uniform { low, high } => {
                    let value = (low + (high - low) * uniform(word)) as f32;
                    // Rounding to f32 may reach the end of the half-open interval.
                    if f64::from(value) < high {
                        value
                    } else {
                        low as f32
                    }
                }
            };
        }
    }
    parameters
}
