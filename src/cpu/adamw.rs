use crate::executor::{AdamWStep, BETA1, BETA2, EPSILON};

use super::real::Real;

/// One AdamW step over flat buffers. Twin: `shaders/adamw.wgsl`.
pub fn update<T: Real>(
    step: &AdamWStep,
    parameters: &mut [T],
    gradient: &[T],
    first: &mut [T],
    second: &mut [T],
) {
    let (beta1, beta2) = (T::of(BETA1), T::of(BETA2));
    let (rest1, rest2) = (T::of(1.0 - BETA1), T::of(1.0 - BETA2));
    let (correction1, correction2) = (T::of(step.first_correction), T::of(step.second_correction));
    let (rate, decay, epsilon) = (
        T::of(step.learning_rate),
        T::of(step.weight_decay),
        T::of(EPSILON),
    );
    for (((p, &g), m), v) in parameters.iter_mut().zip(gradient).zip(first).zip(second) {
        *m = beta1 * *m + rest1 * g;
        *v = beta2 * *v + rest2 * g * g;
        let direction = *m * correction1 / ((*v * correction2).sqrt() + epsilon);
        *p -= rate * (direction + decay * *p);
    }
}
