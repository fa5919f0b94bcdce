use pulp::Simd;

use crate::flow::{Coupling, with_transform};

use super::columns::Column;
use super::real::Real;
use super::transform::{self, Elementwise};
use super::vector::{Vector, load, store, vectors};

/// The conditioner's outputs that a coupling reads: one buffer, or one for each parameter. The second is empty where there
/// is one.
pub type Heads<'a, T> = [&'a [Column<T>]; 2];
/// As [`Heads`], for their gradients.
pub type HeadGradients<'a, T> = [&'a mut [Column<T>]; 2];

/// Active columns are transformed, the others copied; the log-determinant gains the sum of the log-derivatives. Kernel:
/// `shaders/coupling_forward.wgsl`.
#[inline(always)]
pub fn forward<S: Simd, T: Real>(
    simd: S,
    op: &Coupling,
    x: &[Column<T>],
    heads: Heads<'_, T>,
    z: &mut [Column<T>],
    log_det: &mut Column<T>,
) {
    copy_frozen(op, x, z);
    with_transform!(op.transform, map => for n in vectors::<S, T>() {
        let mut sum = load(simd, log_det, n);
        for (k, j) in op.active.clone().enumerate() {
            let (value, log_derivative) = map.forward(
                simd,
                load(simd, &x[j], n),
                #[inline(always)]
                |parameter| at(simd, op, heads, parameter, k, n),
            );
            store(value, &mut z[j], n);
            sum += log_derivative;
        }
        store(sum, log_det, n);
    });
}

/// The way back. Kernel: `shaders/coupling_inverse.wgsl`.
#[inline(always)]
pub fn inverse<S: Simd, T: Real>(
    simd: S,
    op: &Coupling,
    z: &[Column<T>],
    heads: Heads<'_, T>,
    x: &mut [Column<T>],
) {
    copy_frozen(op, z, x);
    with_transform!(op.transform, map => for (k, j) in op.active.clone().enumerate() {
        for n in vectors::<S, T>() {
            let value = map.inverse(
                simd,
                load(simd, &z[j], n),
                #[inline(always)]
                |parameter| at(simd, op, heads, parameter, k, n),
            );
            store(value, &mut x[j], n);
        }
    });
}

/// From the gradient of z, and that of the log-determinant (one number a row), the gradients of x and of the heads, all
/// written. Kernel: `shaders/coupling_backward.wgsl`.
#[allow(clippy::too_many_arguments)]
#[inline(always)]
pub fn backward<S: Simd, T: Real>(
    simd: S,
    op: &Coupling,
    x: &[Column<T>],
    heads: Heads<'_, T>,
    z_gradient: &[Column<T>],
    log_det_gradient: &Column<T>,
    x_gradient: &mut [Column<T>],
    head_gradients: HeadGradients<'_, T>,
) {
    copy_frozen(op, z_gradient, x_gradient);
    with_transform!(op.transform, map => for (k, j) in op.active.clone().enumerate() {
        for n in vectors::<S, T>() {
            let gradients = (
                load(simd, &z_gradient[j], n),
                load(simd, log_det_gradient, n),
            );
            let gradient = map.backward(
                simd,
                load(simd, &x[j], n),
                gradients,
                #[inline(always)]
                |parameter| at(simd, op, heads, parameter, k, n),
                #[inline(always)]
                |parameter, gradient| {
                    let (head, index) = op.index(parameter, k);
                    store(gradient, &mut head_gradients[head][index], n);
                },
            );
            store(gradient, &mut x_gradient[j], n);
        }
    });
}

/// Some rows of a parameter of the `k`-th active column.
#[inline(always)]
fn at<S: Simd, T: Real>(
    simd: S,
    op: &Coupling,
    heads: Heads<'_, T>,
    parameter: usize,
    k: usize,
    n: usize,
) -> Vector<S, T> {
    let (head, index) = op.index(parameter, k);
    load(simd, &heads[head][index], n)
}

#[inline(always)]
fn copy_frozen<T: Copy>(op: &Coupling, from: &[Column<T>], to: &mut [Column<T>]) {
    let (start, end) = (op.active.start, op.active.end);
    // The data's buffer has the context behind the columns of a state.
    let width = from.len().min(to.len());
    to[..start].copy_from_slice(&from[..start]);
    to[end..width].copy_from_slice(&from[end..width]);
}
