use crate::executor::{AdamWStep, BETA1, BETA2, EPSILON};

use super::real::Real;

/// No gradient's scale is smaller, so that nothing is divided by 0.
const LEAST_SCALE: f64 = 1e-30;

/// The Euclidean norm, with squares that neither overflow nor vanish; none where a number is not finite. Twin:
/// `shaders/gradient_norm.wgsl`.
pub fn gradient_norm<T: Real>(gradient: &[T]) -> Option<T> {
    if !gradient.iter().all(|g| g.is_finite()) {
        return None;
    }
    let largest = |a: T, g: &T| if g.abs() > a { g.abs() } else { a };
    let scale = gradient.iter().fold(T::of(LEAST_SCALE), largest);
    let squares = gradient.iter().map(|&g| (g / scale) * (g / scale));
    let sum = squares.fold(T::zero(), |sum, square| sum + square);
    Some(scale * sum.sqrt())
}

/// What the gradient is multiplied by so that its norm is at most `clip_norm` (0: no bound). None where the norm or, after
/// that, its square is not finite. Twin: `shaders/clip.wgsl`.
pub fn clip<T: Real>(norm: Option<T>, clip_norm: f64) -> Option<T> {
    let (norm, bound) = (norm?, T::of(clip_norm));
    let factor = if clip_norm > 0.0 && norm > bound {
        bound / norm
    } else {
        T::of(1.0)
    };
    let clipped = norm * factor;
    (norm.is_finite() && (clipped * clipped).is_finite()).then_some(factor)
}

/// One AdamW step over flat buffers, with the gradient times `factor`. Twin: `shaders/adamw.wgsl`.
pub fn update<T: Real>(
    step: &AdamWStep,
    factor: T,
    parameters: &mut [T],
    gradient: &[T],
    (first, second): (&mut [T], &mut [T]),
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
        let g = g * factor;
        *m = beta1 * *m + rest1 * g;
        *v = beta2 * *v + rest2 * g * g;
        let direction = *m * correction1 / ((*v * correction2).sqrt() + epsilon);
        *p -= rate * (direction + decay * *p);
    }
}

/// The moving average after the update. Twin: `shaders/adamw.wgsl`.
pub fn average<T: Real>(step: &AdamWStep, parameters: &[T], average: &mut [T]) {
    let weight = T::of(step.average_weight);
    for (average, &p) in average.iter_mut().zip(parameters) {
        *average += weight * (p - *average);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_norm_of_extreme_gradients() {
        assert_eq!(gradient_norm(&[3.0f32, -4.0]), Some(5.0));
        assert_eq!(gradient_norm(&[3e30f32, 4e30]), Some(5e30));
        assert_eq!(gradient_norm::<f32>(&[0.0, 0.0]), Some(0.0));
        assert_eq!(gradient_norm(&[1.0, f32::INFINITY]), None);
        assert_eq!(gradient_norm(&[f64::NAN]), None);
    }

    #[test]
    fn clipping_scales_to_the_bound_or_refuses() {
        assert_eq!(clip(Some(5.0f64), 10.0), Some(1.0));
        assert_eq!(clip(Some(5.0f64), 0.0), Some(1.0));
        assert_eq!(clip(Some(5.0f64), 1.0), Some(0.2));
        // Too long to be squared, unless it is clipped.
        assert_eq!(clip(Some(1e30f32), 0.0), None);
        assert_eq!(clip(Some(1e30f32), 1.0), Some(1e-30));
        assert_eq!(clip::<f32>(None, 1.0), None);
    }
}
