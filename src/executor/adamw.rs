use super::Schedule;

/// Decay of the first moment.
pub const BETA1: f64 = 0.9;
/// Decay of the second moment.
pub const BETA2: f64 = 0.999;
/// Added to the root of the second moment.
pub const EPSILON: f64 = 1e-8;

/// AdamW (Loshchilov and Hutter 2019, "Decoupled weight decay regularization", algorithm 2) as optax defines it: the
/// decay is multiplied by the learning rate and acts on every parameter, biases and base included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// The learning rate at each step.
    pub learning_rate: Schedule,
    /// Decay of every parameter, times the learning rate.
    pub weight_decay: f64,
    /// A gradient whose norm over all parameters is larger is scaled down to it (Pascanu et al. 2013, algorithm 1); 0
    /// leaves gradients as they are.
    pub clip_norm: f64,
    /// Decay of the exponential moving average of the parameters, bias-corrected as Adam's moments are; 0 keeps none.
    pub average: f64,
}

/// The numbers of one AdamW step that do not depend on the parameter:
/// `p -= learning_rate * ((m * first_correction) / (sqrt(v * second_correction) + EPSILON) + weight_decay * p)`, then
/// `average += average_weight * (p - average)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    /// At this step.
    pub learning_rate: f64,
    /// Decay of every parameter, times the learning rate.
    pub weight_decay: f64,
    /// The gradient is no longer than this; 0 leaves it.
    pub clip_norm: f64,
    /// 1 / (1 - BETA1^t).
    pub first_correction: f64,
    /// 1 / (1 - BETA2^t).
    pub second_correction: f64,
    /// (1 - average) / (1 - average^t); 0 where no average is kept.
    pub average_weight: f64,
}

impl AdamW {
    /// A constant learning rate, no clipping, no average.
    pub fn new(learning_rate: f64, weight_decay: f64) -> Self {
        AdamW {
            learning_rate: Schedule::constant(learning_rate),
            weight_decay,
            clip_norm: 0.0,
            average: 0.0,
        }
    }

    /// The numbers of step `step`, counted from 0.
    pub fn at(&self, step: u64) -> AdamWStep {
        let t = (step + 1) as f64;
        AdamWStep {
            learning_rate: self.learning_rate.at(step),
            weight_decay: self.weight_decay,
            clip_norm: self.clip_norm,
            first_correction: 1.0 / (1.0 - BETA1.powf(t)),
            second_correction: 1.0 / (1.0 - BETA2.powf(t)),
            average_weight: if self.average > 0.0 {
                (1.0 - self.average) / (1.0 - self.average.powf(t))
            } else {
                0.0
            },
        }
    }
}
