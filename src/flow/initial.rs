use rand::{Rng, RngExt};

use crate::random::{Philox, Purpose, StandardNormal, uniform};

use super::layout::{Initial, Layout};
use super::plan::Plan;

/// The parameters that training starts from: a function of the layout and the seed alone.
pub fn initial_parameters(layout: &Layout, seed: u64) -> Vec<f32> {
    let mut parameters = vec![0.0; layout.len()];
    // Parameter p draws word p, whichever distribution it has.
    let mut random = Philox::stream(seed, Purpose::Parameters);
    for tensor in layout.tensors() {
        for parameter in &mut parameters[tensor.range.clone()] {
            *parameter = match tensor.initial {
                Initial::Zero => {
                    random.next_u32();
                    0.0
                }
                Initial::Normal { deviation } => {
                    deviation as f32 * random.sample::<f32, _>(StandardNormal)
                }
                Initial::Uniform { low, high } => {
                    let value = (low + (high - low) * uniform(random.next_u32())) as f32;
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

/// Makes a flow the identity, up to its base: each network's last map becomes zero, and so do the transform's parameters. Training
/// then begins where the preprocessing ends (Kingma and Dhariwal 2018, "Glow", section 3.3).
///
/// # Panics
/// If the number of parameters is not that of the layout.
pub fn start_at_identity(plan: &Plan, parameters: &mut [f32]) {
    assert_eq!(
        parameters.len(),
        plan.layout.len(),
        "parameters of the layout"
    );
    let layers = plan.layers.iter();
    for range in layers.flat_map(|layer| &layer.identity_at_zero) {
        parameters[range.clone()].fill(0.0);
    }
}
