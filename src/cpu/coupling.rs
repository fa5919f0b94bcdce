use pulp::Simd;

use crate::flow::Coupling;

use super::lanes::Column;
use super::real::Real;
use super::vector::{Vector, load, store, vectors};

/// The bounded log-scale `c * tanh(s / c)` and its slope with respect to s; c = 0 leaves s as it is. Twin:
/// `bounded` in `shaders/shared/bounded.wgsl`.
#[inline(always)]
pub fn bounded<S: Simd, T: Real>(
    simd: S,
    s: Vector<S, T>,
    bound: f64,
) -> (Vector<S, T>, Vector<S, T>) {
    let one = Vector::splat(simd, T::one());
    if bound == 0.0 {
        return (s, one);
    }
    let c = Vector::splat(simd, T::of(bound));
    let inverse = Vector::splat(simd, T::of(bound.recip()));
    let tanh = (s * inverse).tanh();
    (c * tanh, one - tanh * tanh)
}

/// `z_A = x_A * exp(s) + t`, `z_B = x_B`; the log-determinant gains the sum of s. Twin:
/// `shaders/coupling_forward.wgsl`.
#[inline(always)]
pub fn forward<S: Simd, T: Real>(
    simd: S,
    op: &Coupling,
    x: &[Column<T>],
    log_scale: Option<&[Column<T>]>,
    shift: &[Column<T>],
    z: &mut [Column<T>],
    log_det: &mut Column<T>,
) {
    copy_frozen(op, x, z);
    for n in vectors::<S, T>() {
        let mut sum = load(simd, log_det, n);
        for (k, j) in op.active.clone().enumerate() {
            let (x, t) = (load(simd, &x[j], n), load(simd, &shift[k], n));
            let z_active = match log_scale {
                None => x + t,
                Some(log_scale) => {
                    let (s, _) = bounded(simd, load(simd, &log_scale[k], n), op.scale_bound);
                    sum += s;
                    x.mul_add(s.exp(), t)
                }
            };
            store(z_active, &mut z[j], n);
        }
        store(sum, log_det, n);
    }
}

/// `x_A = (z_A - t) * exp(-s)`, `x_B = z_B`. Twin: `shaders/coupling_inverse.wgsl`.
#[inline(always)]
pub fn inverse<S: Simd, T: Real>(
    simd: S,
    op: &Coupling,
    z: &[Column<T>],
    log_scale: Option<&[Column<T>]>,
    shift: &[Column<T>],
    x: &mut [Column<T>],
) {
    copy_frozen(op, z, x);
    for (k, j) in op.active.clone().enumerate() {
        for n in vectors::<S, T>() {
            let mut x_active = load(simd, &z[j], n) - load(simd, &shift[k], n);
            if let Some(log_scale) = log_scale {
                let (s, _) = bounded(simd, load(simd, &log_scale[k], n), op.scale_bound);
                x_active = x_active * (-s).exp();
            }
            store(x_active, &mut x[j], n);
        }
    }
}

/// From the gradient of z, and that of the log-determinant (one number a row), the gradients of x, s and t. Twin:
/// `shaders/coupling_backward.wgsl`.
#[allow(clippy::too_many_arguments)]
#[inline(always)]
pub fn backward<S: Simd, T: Real>(
    simd: S,
    op: &Coupling,
    x: &[Column<T>],
    log_scale: Option<&[Column<T>]>,
    z_gradient: &[Column<T>],
    log_det_gradient: &Column<T>,
    x_gradient: &mut [Column<T>],
    mut log_scale_gradient: Option<&mut [Column<T>]>,
    shift_gradient: &mut [Column<T>],
) {
    copy_frozen(op, z_gradient, x_gradient);
    for (k, j) in op.active.clone().enumerate() {
        shift_gradient[k] = z_gradient[j];
        let (Some(log_scale), Some(gradient)) = (log_scale, log_scale_gradient.as_deref_mut())
        else {
            x_gradient[j] = z_gradient[j];
            continue;
        };
        for n in vectors::<S, T>() {
            let (s, slope) = bounded(simd, load(simd, &log_scale[k], n), op.scale_bound);
            let scaled = load(simd, &z_gradient[j], n) * s.exp();
            let of_log_det = load(simd, log_det_gradient, n);
            store(scaled, &mut x_gradient[j], n);
            let by_scale = scaled.mul_add(load(simd, &x[j], n), of_log_det) * slope;
            store(by_scale, &mut gradient[k], n);
        }
    }
}

#[inline(always)]
fn copy_frozen<T: Copy>(op: &Coupling, from: &[Column<T>], to: &mut [Column<T>]) {
    let (start, end) = (op.active.start, op.active.end);
    to[..start].copy_from_slice(&from[..start]);
    to[end..].copy_from_slice(&from[end..]);
}
