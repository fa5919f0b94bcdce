use std::f64::consts::TAU;
use std::ops::Range;

use pulp::Simd;
use rand::RngExt;

use crate::flow::{BaseOp, Density};
use crate::random::{Philox, Purpose, StandardLogistic, StandardNormal};

use super::columns::Column;
use super::real::Real;
use super::vector::{Vector, load, store, vectors};

/// Location and spread of one dimension of the base.
#[inline(always)]
fn index<T: Real>(op: &BaseOp, parameters: &[T], d: usize) -> (T, T) {
    if op.kind.trained {
        (
            parameters[op.location.start + d],
            parameters[op.raw_spread.start + d].softplus(),
        )
    } else {
        (T::zero(), T::one())
    }
}

/// The density of one dimension, with all that does not depend on z worked out.
#[derive(Clone, Copy)]
struct OneDimension<S: Simd, T: Real> {
    density: Density,
    location: Vector<S, T>,
    /// 1 / spread.
    inverse: Vector<S, T>,
    /// What the log-density is at the location, or, for the logistic, log 4 above that.
    peak: Vector<S, T>,
    one: Vector<S, T>,
    half: Vector<S, T>,
}

impl<S: Simd, T: Real> OneDimension<S, T> {
    #[inline(always)]
    fn new(simd: S, density: Density, location: T, spread: T) -> Self {
        OneDimension {
            density,
            location: Vector::splat(simd, location),
            inverse: Vector::splat(simd, spread.recip()),
            peak: Vector::splat(
                simd,
                match density {
                    Density::Normal => -T::of(0.5) * (T::of(TAU) * spread).ln(),
                    Density::Logistic => -spread.ln(),
                },
            ),
            one: Vector::splat(simd, T::one()),
            half: Vector::splat(simd, T::of(0.5)),
        }
    }

    /// log p(z). Kernel: `log_density` in `shaders/shared/density_*.wgsl`.
    #[inline(always)]
    fn log_density(&self, z: Vector<S, T>) -> Vector<S, T> {
        let offset = z - self.location;
        match self.density {
            Density::Normal => self.peak - self.half * self.inverse * offset * offset,
            Density::Logistic => {
                // exp(-u) / (1 + exp(-u))^2 is even in u; from its lighter side nothing overflows.
                let u = (offset * self.inverse).abs();
                let log = (-u).exp().ln_1p();
                self.peak - u - (log + log)
            }
        }
    }

    /// The derivatives of log p(z) by z and by the spread; that by the location is minus the first. Kernel: `scores` in
    /// `shaders/shared/density_*.wgsl`.
    #[inline(always)]
    fn scores(&self, z: Vector<S, T>) -> (Vector<S, T>, Vector<S, T>) {
        let u = (z - self.location) * self.inverse;
        match self.density {
            Density::Normal => {
                let square = (z - self.location) * u;
                (-u, self.half * self.inverse * (square - self.one))
            }
            Density::Logistic => {
                let tanh = (self.half * u).tanh();
                (-tanh * self.inverse, (u * tanh - self.one) * self.inverse)
            }
        }
    }
}

/// A number. Kernel: `draw` in `shaders/shared/density_*.wgsl`.
#[inline(always)]
fn draw<T: Real>(density: Density, random: &mut Philox, location: T, spread: T) -> T {
    match density {
        Density::Normal => {
            let noise: f32 = random.sample(StandardNormal);
            location + spread.sqrt() * T::of(f64::from(noise))
        }
        Density::Logistic => {
            let noise: f32 = random.sample(StandardLogistic);
            location + spread * T::of(f64::from(noise))
        }
    }
}

/// `log_prob = log_det + sum_d log p(z_d)`. Kernel: `shaders/base_log_prob.wgsl`.
#[inline(always)]
pub fn log_prob<S: Simd, T: Real>(
    simd: S,
    op: &BaseOp,
    parameters: &[T],
    z: &[Column<T>],
    log_det: &Column<T>,
    log_prob: &mut Column<T>,
) {
    *log_prob = *log_det;
    for (d, z) in z.iter().enumerate() {
        let (location, spread) = index(op, parameters, d);
        let density = OneDimension::new(simd, op.kind.density, location, spread);
        for n in vectors::<S, T>() {
            let sum = load(simd, log_prob, n) + density.log_density(load(simd, z, n));
            store(sum, log_prob, n);
        }
    }
}

/// The gradient of the loss with respect to z (written) and to the base's parameters (added to `sums`, still spread over
/// vectors: the location's, then the raw spread's), from `log_prob_gradient`, one number a row: -1/N. Kernel:
/// `shaders/base_backward.wgsl`.
#[inline(always)]
pub fn backward<S: Simd, T: Real>(
    simd: S,
    op: &BaseOp,
    parameters: &[T],
    z: &[Column<T>],
    log_prob_gradient: &Column<T>,
    z_gradient: &mut [Column<T>],
    sums: &mut [T::Vector<S>],
) {
    for (d, z) in z.iter().enumerate() {
        let (location, spread) = index(op, parameters, d);
        let density = OneDimension::new(simd, op.kind.density, location, spread);
        let zero = Vector::splat(simd, T::zero());
        let (mut by_location, mut by_spread) = (zero, zero);
        for n in vectors::<S, T>() {
            let (of_z, of_spread) = density.scores(load(simd, z, n));
            let row = load(simd, log_prob_gradient, n);
            store(of_z * row, &mut z_gradient[d], n);
            by_location = by_location - of_z * row;
            by_spread = of_spread.mul_add(row, by_spread);
        }
        if op.kind.trained {
            // d softplus(r) / dr = sigmoid(r)
            let derivative = parameters[op.raw_spread.start + d].sigmoid();
            add_to(simd, &mut sums[d], by_location);
            let by_raw = by_spread * Vector::splat(simd, derivative);
            add_to(simd, &mut sums[op.location.len() + d], by_raw);
        }
    }
}

#[inline(always)]
fn add_to<S: Simd, T: Real>(simd: S, sum: &mut T::Vector<S>, more: Vector<S, T>) {
    *sum = (Vector::of(simd, *sum) + more).value();
}

/// The base noise of rows `rows` of the sample of `seed`. Kernel: `shaders/base_sample.wgsl`.
#[inline(always)]
pub fn sample<T: Real>(
    op: &BaseOp,
    parameters: &[T],
    seed: u64,
    rows: Range<u64>,
    z: &mut [Column<T>],
) {
    let indices: Vec<(T, T)> = (0..z.len()).map(|d| index(op, parameters, d)).collect();
    for (lane, row) in rows.enumerate() {
        let mut random = Philox::row(seed, Purpose::Noise, row);
        for (z, &(location, spread)) in z.iter_mut().zip(&indices) {
            z[lane] = draw(op.kind.density, &mut random, location, spread);
        }
    }
}

#[cfg(test)]
mod tests {
    use pulp::Scalar;

    use super::*;

    /// Ten thousand spreads from the center nothing overflows, in f32 either.
    #[test]
    fn the_tails_are_finite() {
        for density in [Density::Normal, Density::Logistic] {
            for spread in [1e-3f32, 1.0, 1e3] {
                for side in [-1e4f32, 1e4] {
                    let z = side * spread;
                    let one = OneDimension::new(Scalar, density, 0.0f32, spread);
                    let z_ = Vector::splat(Scalar, z);
                    let value = one.log_density(z_).sum();
                    let (by_z, by_spread) = one.scores(z_);
                    let (by_z, by_spread) = (by_z.sum(), by_spread.sum());
                    assert!(value.is_finite() && by_z.is_finite() && by_spread.is_finite());
                    assert!(value < -1e3 && by_z * side < 0.0);
                }
            }
        }
        let close = |z: f64, b: f64| {
            let one = OneDimension::new(Scalar, Density::Logistic, 0.0, 1.0);
            let a = one.log_density(Vector::splat(Scalar, z)).sum();
            (a - b).abs() < 1e-12 * b.abs()
        };
        assert!(close(0.0, -(4f64.ln())) && close(-1e4, -1e4));
    }
}
