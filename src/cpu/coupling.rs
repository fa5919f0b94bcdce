use crate::flow::Coupling;

use super::lanes::{Column, LANES};
use super::real::Real;

/// The bounded log-scale `c * tanh(s / c)` and its slope with respect to s; c = 0 leaves s as it is. Twin:
/// `bounded` in `shaders/shared/bounded.wgsl`.
#[inline(always)]
pub fn bounded<T: Real>(s: T, bound: f64) -> (T, T) {
    if bound == 0.0 {
        return (s, T::one());
    }
    let c = T::of(bound);
    let tanh = (s / c).tanh_();
    (c * tanh, T::one() - tanh * tanh)
}

/// `z_A = x_A * exp(s) + t`, `z_B = x_B`; the log-determinant gains the sum of s. Twin:
/// `shaders/coupling_forward.wgsl`.
#[inline(always)]
pub fn forward<T: Real>(
    op: &Coupling,
    x: &[Column<T>],
    log_scale: Option<&[Column<T>]>,
    shift: &[Column<T>],
    z: &mut [Column<T>],
    log_det: &mut Column<T>,
) {
    z.copy_from_slice(x);
    for (k, z) in z[op.active.clone()].iter_mut().enumerate() {
        for lane in 0..LANES {
            if let Some(log_scale) = log_scale {
                let (s, _) = bounded(log_scale[k][lane], op.scale_bound);
                z[lane] *= s.exp_();
                log_det[lane] += s;
            }
            z[lane] += shift[k][lane];
        }
    }
}

/// `x_A = (z_A - t) * exp(-s)`, `x_B = z_B`. Twin: `shaders/coupling_inverse.wgsl`.
#[inline(always)]
pub fn inverse<T: Real>(
    op: &Coupling,
    z: &[Column<T>],
    log_scale: Option<&[Column<T>]>,
    shift: &[Column<T>],
    x: &mut [Column<T>],
) {
    x.copy_from_slice(z);
    for (k, x) in x[op.active.clone()].iter_mut().enumerate() {
        for lane in 0..LANES {
            x[lane] -= shift[k][lane];
            if let Some(log_scale) = log_scale {
                let (s, _) = bounded(log_scale[k][lane], op.scale_bound);
                x[lane] *= (-s).exp_();
            }
        }
    }
}

/// From the gradient of z, and that of the log-determinant (one number a row), the gradients of x, s and t. Twin:
/// `shaders/coupling_backward.wgsl`.
#[allow(clippy::too_many_arguments)]
#[inline(always)]
pub fn backward<T: Real>(
    op: &Coupling,
    x: &[Column<T>],
    log_scale: Option<&[Column<T>]>,
    z_gradient: &[Column<T>],
    log_det_gradient: &Column<T>,
    x_gradient: &mut [Column<T>],
    mut log_scale_gradient: Option<&mut [Column<T>]>,
    shift_gradient: &mut [Column<T>],
) {
    x_gradient.copy_from_slice(z_gradient);
    for (k, j) in op.active.clone().enumerate() {
        shift_gradient[k] = z_gradient[j];
        let (Some(log_scale), Some(gradient)) = (log_scale, log_scale_gradient.as_deref_mut())
        else {
            continue;
        };
        for lane in 0..LANES {
            let (s, slope) = bounded(log_scale[k][lane], op.scale_bound);
            let scaled = z_gradient[j][lane] * s.exp_();
            x_gradient[j][lane] = scaled;
            gradient[k][lane] = (scaled * x[j][lane] + log_det_gradient[lane]) * slope;
        }
    }
}
