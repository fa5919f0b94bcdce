use crate::random::{Purpose, uniform, words};

use super::layout::{Initial, Layout};

/// The parameters that training starts from: a function of the layout and the seed alone.
pub fn initial_parameters(layout: &Layout, seed: u64) -> Vec<f32> {
    let mut parameters = vec![0.0; layout.len()];
    for tensor in layout.tensors() {
        let Initial::Uniform { low, high } = tensor.initial else {
            continue;
        };
        for index in tensor.range.clone() {
            let block = words(seed, Purpose::Parameters, index as u64 / 4, 0);
            let value = (low + (high - low) * uniform(block[index % 4])) as f32;
            // Rounding to f32 may reach the end of the half-open interval.
            parameters[index] = if f64::from(value) < high {
                value
            } else {
                low as f32
            };
        }
    }
    parameters
}
