use std::ops::Range;

use pulp::Simd;

use crate::flow::Triangular;

use super::columns::Column;
use super::product;
use super::real::Real;
use super::vector::{Vector, load, store, vectors};

/// Whether a matrix library sums up the matrix's gradient: of a triangle that has as many numbers as a wide linear map.
#[inline(always)]
pub fn is_wide<T: Real>(op: &Triangular) -> bool {
    let dims = op.matrix.len().isqrt();
    T::is_wide(dims, dims / 2)
}

/// Upper: `y_i = exp(d_i) x_i + sum_{j > i} m_ij x_j`, and the log-determinant gains the sum of d, the same for every row.
/// Lower: `y_i = x_i + sum_{j < i} m_ij x_j`. Kernel: `shaders/triangular_forward.wgsl`.
#[inline(always)]
pub fn forward<S: Simd, T: Real>(
    simd: S,
    op: &Triangular,
    parameters: &[T],
    x: &[Column<T>],
    y: &mut [Column<T>],
    log_det: &mut Column<T>,
) {
    let dims = x.len();
    for (i, y) in y.iter_mut().enumerate() {
        let row = Row {
            parameters,
            first: op.matrix.start + i * dims,
            stride: 1,
        };
        let others = op.off_diagonal(i, dims);
        row.sum(simd, diagonal(op, parameters, i), &x[i], x, others, y);
    }
    let log_diagonal = &parameters[op.log_diagonal.clone()];
    let gain = log_diagonal.iter().fold(T::zero(), |sum, &log| sum + log);
    for n in vectors::<S, T>() {
        let sum = load(simd, log_det, n) + Vector::splat(simd, gain);
        store(sum, log_det, n);
    }
}

/// The way back: a triangular solve, from the last column (upper) or from the first (lower). Kernel:
/// `shaders/triangular_inverse.wgsl`.
#[inline(always)]
pub fn inverse<S: Simd, T: Real>(
    simd: S,
    op: &Triangular,
    parameters: &[T],
    y: &[Column<T>],
    x: &mut [Column<T>],
) {
    let dims = y.len();
    x.copy_from_slice(y);
    for k in 0..dims {
        let i = if op.is_upper() { dims - 1 - k } else { k };
        let factor = diagonal(op, parameters, i).recip();
        for n in vectors::<S, T>() {
            let mut sum = load(simd, &x[i], n);
            for j in op.off_diagonal(i, dims) {
                let m = Vector::splat(simd, -parameters[op.matrix.start + i * dims + j]);
                sum = m.mul_add(load(simd, &x[j], n), sum);
            }
            store(sum * Vector::splat(simd, factor), &mut x[i], n);
        }
    }
}

/// The gradient of x, written, from that of y: the transposed product. Kernel: `shaders/triangular_backward_input.wgsl`.
#[inline(always)]
pub fn backward_input<S: Simd, T: Real>(
    simd: S,
    op: &Triangular,
    parameters: &[T],
    y_gradient: &[Column<T>],
    x_gradient: &mut [Column<T>],
) {
    let dims = y_gradient.len();
    for (j, x_gradient) in x_gradient.iter_mut().enumerate() {
        let column = Row {
            parameters,
            first: op.matrix.start + j,
            stride: dims,
        };
        let others = op.rows_off_diagonal(j, dims);
        let factor = diagonal(op, parameters, j);
        column.sum(simd, factor, &y_gradient[j], y_gradient, others, x_gradient);
    }
}

/// The gradient of the parameters, as sums spread over vectors: `sums` holds them as they lie, matrix, then log-diagonal.
/// What lies outside the triangle has none. Of a wide map the matrix's gradient is left to [`wide_backward_weights`], and `sums`
/// holds the log-diagonal alone. Kernel: `shaders/triangular_backward_weights.wgsl`.
#[inline(always)]
pub fn backward_weights<S: Simd, T: Real>(
    simd: S,
    op: &Triangular,
    parameters: &[T],
    x: &[Column<T>],
    y_gradient: &[Column<T>],
    log_det_gradient: &Column<T>,
    sums: &mut [T::Vector<S>],
) {
    let dims = x.len();
    let is_wide = is_wide::<T>(op);
    let (of_matrix, of_diagonal) = sums.split_at_mut(if is_wide { 0 } else { op.matrix.len() });
    for (i, y_gradient) in y_gradient.iter().enumerate() {
        let y_gradient = std::slice::from_ref(y_gradient);
        if !is_wide {
            let off_diagonal = op.off_diagonal(i, dims);
            let row = &mut of_matrix[i * dims..][off_diagonal.clone()];
            product::add_dots(simd, y_gradient, &x[off_diagonal], row, (0, 1));
        }
        if let Some(slot) = of_diagonal.get_mut(i) {
            let factor = Vector::splat(simd, diagonal(op, parameters, i));
            let mut sum = Vector::of(simd, *slot);
            for n in vectors::<S, T>() {
                let scaled = factor * load(simd, &x[i], n);
                let of_log_det = load(simd, log_det_gradient, n);
                sum += load(simd, &y_gradient[0], n).mul_add(scaled, of_log_det);
            }
            *slot = sum.value();
        }
    }
}

/// The gradient of a wide map's matrix: written, or added. Twice the products that are needed, and still sooner done.
pub fn wide_backward_weights<T: Real>(
    op: &Triangular,
    x: &[Column<T>],
    y_gradient: &[Column<T>],
    gradient: &mut [T],
    add: bool,
) {
    let dims = x.len();
    let gradient = &mut gradient[op.matrix.clone()];
    T::dots(y_gradient, x, gradient, (dims, 1), add);
    for (i, row) in gradient.chunks_exact_mut(dims).enumerate() {
        let others = op.off_diagonal(i, dims);
        row[..others.start].fill(T::zero());
        row[others.end..].fill(T::zero());
    }
}

/// The number on the diagonal.
#[inline(always)]
fn diagonal<T: Real>(op: &Triangular, parameters: &[T], i: usize) -> T {
    match parameters[op.log_diagonal.clone()].get(i) {
        Some(log) => log.exp(),
        None => T::one(),
    }
}

/// A row of a matrix among the parameters, or a column.
struct Row<'a, T> {
    parameters: &'a [T],
    first: usize,
    stride: usize,
}

impl<T: Real> Row<'_, T> {
    /// `output = factor * start + sum over j in others of row(j) * columns[j]`.
    #[inline(always)]
    fn sum<S: Simd>(
        &self,
        simd: S,
        factor: T,
        start: &Column<T>,
        columns: &[Column<T>],
        others: Range<usize>,
        output: &mut Column<T>,
    ) {
        /// Vectors whose sums are in registers together.
        const AT_ONCE: usize = 4;
        let factor = Vector::splat(simd, factor);
        let count = vectors::<S, T>().len();
        for first in vectors::<S, T>().step_by(AT_ONCE) {
            let mut sums = [Vector::splat(simd, T::zero()); AT_ONCE];
            for (k, sum) in sums.iter_mut().enumerate() {
                *sum = factor * load(simd, start, (first + k).min(count - 1));
            }
            for j in others.clone() {
                let m = Vector::splat(simd, self.parameters[self.first + j * self.stride]);
                for (k, sum) in sums.iter_mut().enumerate() {
                    let column = load(simd, &columns[j], (first + k).min(count - 1));
                    *sum = m.mul_add(column, *sum);
                }
            }
            for (k, sum) in sums.into_iter().enumerate().take(count - first) {
                store(sum, output, first + k);
            }
        }
    }
}
