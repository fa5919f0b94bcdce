use pulp::{Scalar, Simd, WithSimd};
use rayon::prelude::*;

use crate::executor::{AdamWStep, BETA1, BETA2, EPSILON};

use super::instructions::dispatch;
use super::real::Real;
use super::vector::{Vector, split, split_mut};

/// No gradient's scale is smaller, so that nothing is divided by 0.
const LEAST_SCALE: f64 = 1e-30;

/// Numbers that one thread works on at a time; fewer are not worth a second thread.
const SPAN: usize = 1 << 14;

/// The Euclidean norm, with squares that neither overflow nor vanish; none where a number is not finite. Kernel:
/// `shaders/gradient_norm.wgsl`.
pub fn gradient_norm<T: Real>(gradient: &[T]) -> Option<T> {
    let largest = spans(gradient, |span| dispatch(Largest(span)));
    let (largest, finite) = largest.fold((T::of(LEAST_SCALE), true), |(a, finite), (b, too)| {
        (if b > a { b } else { a }, finite && too)
    });
    if !finite {
        return None;
    }
    let squares = spans(gradient, |span| dispatch(Squares(span, largest)));
    let sum: T = squares.sum();
    Some(largest * sum.sqrt())
}

/// The result of `work` for each span, in order, whichever thread computes it.
fn spans<T: Real, R: Send>(
    numbers: &[T],
    work: impl Fn(&[T]) -> R + Send + Sync,
) -> impl Iterator<Item = R> {
    let results: Vec<R> = match numbers.len() {
        0..=SPAN => vec![work(numbers)],
        _ => numbers.par_chunks(SPAN).map(work).collect(),
    };
    results.into_iter()
}

/// The largest absolute value, and whether all numbers are finite.
struct Largest<'a, T>(&'a [T]);

impl<T: Real> WithSimd for Largest<'_, T> {
    type Output = (T, bool);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> (T, bool) {
        #[inline(always)]
        fn of<S: Simd, T: Real>(simd: S, numbers: &[T::Vector<S>]) -> (Vector<S, T>, T) {
            let zero = Vector::splat(simd, T::zero());
            let (mut largest, mut nothing) = (zero, zero);
            for &g in numbers {
                let g = Vector::<S, T>::of(simd, g);
                largest = largest.max(g.abs());
                // 0 for every finite number, NaN for any other.
                nothing = g.mul_add(zero, nothing);
            }
            (largest, nothing.sum())
        }
        let (head, rest) = split::<S, T>(self.0);
        let (largest, nothing) = of::<S, T>(simd, head);
        let (last, no_more) = of::<Scalar, T>(Scalar, bytemuck::cast_slice(rest));
        let largest = largest.largest();
        let last = last.largest();
        let largest = if last > largest { last } else { largest };
        (largest, (nothing + no_more).is_finite())
    }
}

/// The sum of the squares, each number divided by this one.
struct Squares<'a, T>(&'a [T], T);

impl<T: Real> WithSimd for Squares<'_, T> {
    type Output = T;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> T {
        #[inline(always)]
        fn of<S: Simd, T: Real>(simd: S, numbers: &[T::Vector<S>], scale: T) -> T {
            let scale = Vector::splat(simd, scale);
            let mut sum = Vector::splat(simd, T::zero());
            for &g in numbers {
                let share = Vector::<S, T>::of(simd, g) / scale;
                sum = share.mul_add(share, sum);
            }
            sum.sum()
        }
        let (head, rest) = split::<S, T>(self.0);
        of::<S, T>(simd, head, self.1) + of::<Scalar, T>(Scalar, bytemuck::cast_slice(rest), self.1)
    }
}

/// What the gradient is multiplied by so that its norm is at most `clip_norm` (0: no bound). None where the norm or, after
/// that, its square is not finite. Kernel: `shaders/clip.wgsl`.
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

/// One AdamW step over flat buffers, with the gradient times `factor`; returns whether all parameters are finite after it.
/// Kernel: `shaders/adamw.wgsl`.
pub fn update<T: Real>(
    step: &AdamWStep,
    factor: T,
    parameters: &mut [T],
    gradient: &[T],
    (first, second): (&mut [T], &mut [T]),
) -> bool {
    let span = |((parameters, gradient), (first, second))| {
        dispatch(Update {
            step,
            factor,
            parameters,
            gradient,
            first,
            second,
        })
    };
    if parameters.len() <= SPAN {
        return span(((parameters, gradient), (first, second)));
    }
    let moments = first.par_chunks_mut(SPAN).zip(second.par_chunks_mut(SPAN));
    parameters
        .par_chunks_mut(SPAN)
        .zip(gradient.par_chunks(SPAN))
        .zip(moments)
        .map(span)
        .reduce(|| true, |a, b| a && b)
}

struct Update<'a, T> {
    step: &'a AdamWStep,
    factor: T,
    parameters: &'a mut [T],
    gradient: &'a [T],
    first: &'a mut [T],
    second: &'a mut [T],
}

impl<T: Real> WithSimd for Update<'_, T> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> bool {
        let (step, factor) = (self.step, self.factor);
        let (parameters, parameters_rest) = split_mut::<S, T>(self.parameters);
        let (gradient, gradient_rest) = split::<S, T>(self.gradient);
        let (first, first_rest) = split_mut::<S, T>(self.first);
        let (second, second_rest) = split_mut::<S, T>(self.second);
        let head = update_vectors(simd, step, factor, parameters, gradient, first, second);
        let rest = update_vectors::<Scalar, T>(
            Scalar,
            step,
            factor,
            bytemuck::cast_slice_mut(parameters_rest),
            bytemuck::cast_slice(gradient_rest),
            bytemuck::cast_slice_mut(first_rest),
            bytemuck::cast_slice_mut(second_rest),
        );
        head && rest
    }
}

#[inline(always)]
fn update_vectors<S: Simd, T: Real>(
    simd: S,
    step: &AdamWStep,
    factor: T,
    parameters: &mut [T::Vector<S>],
    gradient: &[T::Vector<S>],
    first: &mut [T::Vector<S>],
    second: &mut [T::Vector<S>],
) -> bool {
    let (beta1, beta2) = (splat(simd, BETA1), splat(simd, BETA2));
    let (rest1, rest2) = (splat(simd, 1.0 - BETA1), splat(simd, 1.0 - BETA2));
    let correction1 = splat(simd, step.first_correction);
    let correction2 = splat(simd, step.second_correction);
    let (rate, decay) = (
        splat(simd, step.learning_rate),
        splat(simd, step.weight_decay),
    );
    let (epsilon, zero) = (splat(simd, EPSILON), splat(simd, 0.0));
    let factor = Vector::splat(simd, factor);
    let mut nothing = zero;
    let moments = first.iter_mut().zip(second);
    for ((p_, &g), (m_, v_)) in parameters.iter_mut().zip(gradient).zip(moments) {
        let g = Vector::<S, T>::of(simd, g) * factor;
        let m = beta1.mul_add(Vector::of(simd, *m_), rest1 * g);
        let v = beta2.mul_add(Vector::of(simd, *v_), rest2 * g * g);
        let direction = m * correction1 / ((v * correction2).sqrt() + epsilon);
        let p = Vector::of(simd, *p_);
        let p = p - rate * decay.mul_add(p, direction);
        nothing = p.mul_add(zero, nothing);
        (*p_, *m_, *v_) = (p.value(), m.value(), v.value());
    }
    nothing.sum().is_finite()
}

#[inline(always)]
fn splat<S: Simd, T: Real>(simd: S, number: f64) -> Vector<S, T> {
    Vector::splat(simd, T::of(number))
}

/// The moving average after the update. Kernel: `shaders/adamw.wgsl`.
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
