use std::f64::consts::TAU;
use std::ops::Range;

use rand::RngExt;

use crate::flow::{BaseOp, Density};
use crate::random::{Philox, Purpose, StandardLogistic, StandardNormal};

use super::lanes::{Column, LANES, dot};
use super::real::Real;

/// Location and spread of one dimension of the base.
#[inline(always)]
fn place<T: Real>(op: &BaseOp, parameters: &[T], d: usize) -> (T, T) {
    if op.kind.trained {
        (
            parameters[op.location.start + d],
            parameters[op.raw_spread.start + d].softplus(),
        )
    } else {
        (T::zero(), T::one())
    }
}

/// log p(z). Twins: `log_density` in `shaders/shared/density_*.wgsl`.
#[inline(always)]
fn log_density<T: Real>(density: Density, z: T, location: T, spread: T) -> T {
    let half = T::of(0.5);
    let offset = z - location;
    match density {
        Density::Normal => -half * (T::of(TAU) * spread).ln() - half / spread * offset * offset,
        Density::Logistic => {
            // exp(-u) / (1 + exp(-u))^2 is even in u; from its lighter side nothing overflows.
            let u = (offset / spread).abs();
            -u - T::of(2.0) * (-u).exp().ln_1p() - spread.ln()
        }
    }
}

/// The derivatives of log p(z) by z and by the spread; that by the location is minus the first. Twins: `scores` in
/// `shaders/shared/density_*.wgsl`.
#[inline(always)]
fn scores<T: Real>(density: Density, z: T, location: T, spread: T) -> (T, T) {
    match density {
        Density::Normal => {
            let inverse = spread.recip();
            let scaled = (z - location) * inverse;
            (-scaled, T::of(0.5) * (scaled * scaled - inverse))
        }
        Density::Logistic => {
            let inverse = spread.recip();
            let u = (z - location) * inverse;
            let tanh = (T::of(0.5) * u).tanh_();
            (-tanh * inverse, (u * tanh - T::one()) * inverse)
        }
    }
}

/// A number. Twins: `draw` in `shaders/shared/density_*.wgsl`.
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

/// `log_prob = log_det + sum_d log p(z_d)`. Twin: `shaders/base_log_prob.wgsl`.
#[inline(always)]
pub fn log_prob<T: Real>(
    op: &BaseOp,
    parameters: &[T],
    z: &[Column<T>],
    log_det: &Column<T>,
    log_prob: &mut Column<T>,
) {
    *log_prob = *log_det;
    for (d, z) in z.iter().enumerate() {
        let (location, spread) = place(op, parameters, d);
        for lane in 0..LANES {
            log_prob[lane] += log_density(op.kind.density, z[lane], location, spread);
        }
    }
}

/// The gradient of the loss with respect to z (written) and to the base's parameters (added), from
/// `log_prob_gradient`, one number a row: -1/N. Twin: `shaders/base_backward.wgsl`.
#[inline(always)]
pub fn backward<T: Real>(
    op: &BaseOp,
    parameters: &[T],
    z: &[Column<T>],
    log_prob_gradient: &Column<T>,
    z_gradient: &mut [Column<T>],
    gradient: &mut [T],
) {
    for (d, z) in z.iter().enumerate() {
        let (location, spread) = place(op, parameters, d);
        let mut by_z = [T::zero(); LANES];
        let mut by_spread = [T::zero(); LANES];
        for lane in 0..LANES {
            (by_z[lane], by_spread[lane]) = scores(op.kind.density, z[lane], location, spread);
            z_gradient[d][lane] = by_z[lane] * log_prob_gradient[lane];
        }
        if op.kind.trained {
            gradient[op.location.start + d] -= dot(&by_z, log_prob_gradient);
            // d softplus(r) / dr = sigmoid(r)
            let raw = op.raw_spread.start + d;
            gradient[raw] += dot(&by_spread, log_prob_gradient) * parameters[raw].sigmoid();
        }
    }
}

/// The base noise of rows `rows` of the sample of `seed`. Twin: `shaders/base_sample.wgsl`.
#[inline(always)]
pub fn sample<T: Real>(
    op: &BaseOp,
    parameters: &[T],
    seed: u64,
    rows: Range<u64>,
    z: &mut [Column<T>],
) {
    let places: Vec<(T, T)> = (0..z.len()).map(|d| place(op, parameters, d)).collect();
    for (lane, row) in rows.enumerate() {
        let mut random = Philox::row(seed, Purpose::Noise, row);
        for (z, &(location, spread)) in z.iter_mut().zip(&places) {
            z[lane] = draw(op.kind.density, &mut random, location, spread);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten thousand spreads from the centre nothing overflows, in f32 either.
    #[test]
    fn the_tails_are_finite() {
        for density in [Density::Normal, Density::Logistic] {
            for spread in [1e-3f32, 1.0, 1e3] {
                for side in [-1e4f32, 1e4] {
                    let z = side * spread;
                    let value = log_density(density, z, 0.0, spread);
                    let (by_z, by_spread) = scores(density, z, 0.0, spread);
                    assert!(value.is_finite() && by_z.is_finite() && by_spread.is_finite());
                    assert!(value < -1e3 && by_z * side < 0.0);
                }
            }
        }
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12 * b.abs();
        assert!(close(
            log_density(Density::Logistic, 0.0, 0.0, 1.0),
            -(4f64.ln())
        ));
        assert!(close(log_density(Density::Logistic, -1e4, 0.0, 1.0), -1e4));
    }
}
