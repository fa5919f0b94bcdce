use std::f64::consts::TAU;
use std::ops::Range;

use crate::flow::{Base, BaseOp};
use crate::random::{Purpose, normal_at};

use super::lanes::{Column, LANES, dot};
use super::real::Real;

/// Mean and variance of one dimension of the base.
fn moments<T: Real>(op: &BaseOp, parameters: &[T], d: usize) -> (T, T) {
    match op.kind {
        Base::Normal => (T::zero(), T::one()),
        Base::TrainableNormal => (
            parameters[op.mean.start + d],
            parameters[op.raw_variance.start + d].softplus(),
        ),
    }
}

/// `log_prob = log_det + sum_d log N(z_d; mean_d, variance_d)`. Twin: `shaders/base_log_prob.wgsl`.
pub fn log_prob<T: Real>(
    op: &BaseOp,
    parameters: &[T],
    z: &[Column<T>],
    log_det: &Column<T>,
    log_prob: &mut Column<T>,
) {
    *log_prob = *log_det;
    let half = T::of(0.5);
    for (d, z) in z.iter().enumerate() {
        let (mean, variance) = moments(op, parameters, d);
        let constant = half * (T::of(TAU) * variance).ln();
        let precision = half / variance;
        for lane in 0..LANES {
            let offset = z[lane] - mean;
            log_prob[lane] -= constant + precision * offset * offset;
        }
    }
}

/// The gradient of the loss with respect to z (written) and to the base's parameters (added), from
/// `log_prob_gradient`, one number a row: -1/N. Twin: `shaders/base_backward.wgsl`.
pub fn backward<T: Real>(
    op: &BaseOp,
    parameters: &[T],
    z: &[Column<T>],
    log_prob_gradient: &Column<T>,
    z_gradient: &mut [Column<T>],
    gradient: &mut [T],
) {
    let half = T::of(0.5);
    for (d, z) in z.iter().enumerate() {
        let (mean, variance) = moments(op, parameters, d);
        let precision = variance.recip();
        let mut by_mean = [T::zero(); LANES];
        let mut by_variance = [T::zero(); LANES];
        for lane in 0..LANES {
            let scaled = (z[lane] - mean) * precision;
            by_mean[lane] = scaled;
            by_variance[lane] = half * (scaled * scaled - precision);
            z_gradient[d][lane] = -scaled * log_prob_gradient[lane];
        }
        if op.kind == Base::TrainableNormal {
            gradient[op.mean.start + d] += dot(&by_mean, log_prob_gradient);
            // d softplus(r) / dr = sigmoid(r)
            let raw = op.raw_variance.start + d;
            gradient[raw] += dot(&by_variance, log_prob_gradient) * parameters[raw].sigmoid();
        }
    }
}

/// The base noise of rows `rows` of the sample of `seed`. Twin: `shaders/base_sample.wgsl`.
pub fn sample<T: Real>(
    op: &BaseOp,
    parameters: &[T],
    seed: u64,
    rows: Range<u64>,
    z: &mut [Column<T>],
) {
    for (d, z) in z.iter_mut().enumerate() {
        let (mean, variance) = moments(op, parameters, d);
        let deviation = variance.sqrt();
        for (z, row) in z.iter_mut().zip(rows.clone()) {
            let noise = normal_at(seed, Purpose::Noise, row, d);
            *z = mean + deviation * T::of(f64::from(noise));
        }
    }
}
