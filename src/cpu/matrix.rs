//! Products of wide linear maps, computed by a library. f32 only: the f64 reference must share no matrix library with what it
//! checks.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::columns::{BLOCK_ROWS, Column};
use super::strided::Strided;

/// Maps from so many weights on are wide, if neither side is narrower than this: elsewhere a tile in registers is faster than
/// the library's packing. Measured, see docs/performance.md.
const WEIGHTS: usize = 1024;
const SIDE: usize = 4;

/// Whether the library is faster for a map of this shape.
pub fn is_wide(inputs: usize, outputs: usize) -> bool {
    inputs * outputs >= WEIGHTS && inputs.min(outputs) >= SIDE
}

/// Columns as a matrix with a row for each.
fn rows(columns: &[Column<f32>]) -> MatRef<'_, f32> {
    MatRef::from_row_major_slice(columns.as_flattened(), columns.len(), BLOCK_ROWS)
}

fn rows_mut(columns: &mut [Column<f32>]) -> MatMut<'_, f32> {
    let count = columns.len();
    MatMut::from_row_major_slice_mut(columns.as_flattened_mut(), count, BLOCK_ROWS)
}

/// `output[m] += sum_k weight(m, k) * columns[k]`.
pub fn add_weighted_sums(
    weight: Strided<'_, f32>,
    columns: &[Column<f32>],
    output: &mut [Column<f32>],
) {
    let (count, inputs) = (output.len(), columns.len());
    let weight = match weight.strides {
        (by_row, 1) => {
            MatRef::from_row_major_slice_with_stride(weight.values, count, inputs, by_row)
        }
        // Some of a matrix's rows, the first ones, where a map's first inputs alone need a gradient.
        (_, by_column) => {
            MatRef::from_column_major_slice_with_stride(weight.values, count, inputs, by_column)
        }
    };
    let columns = rows(columns);
    matmul(rows_mut(output), Accum::Add, weight, columns, 1.0, Par::Seq);
}

/// `gradient(i, j) = sum over lanes of a[i] * b[j]`, or that added to it; (i, j) lies as in [`Strided`].
pub fn dots(
    a: &[Column<f32>],
    b: &[Column<f32>],
    gradient: &mut [f32],
    strides: (usize, usize),
    add: bool,
) {
    let gradient = match strides {
        (_, 1) => MatMut::from_row_major_slice_mut(gradient, a.len(), b.len()),
        _ => MatMut::from_column_major_slice_mut(gradient, a.len(), b.len()),
    };
    let accum = if add { Accum::Add } else { Accum::Replace };
    matmul(gradient, accum, rows(a), rows(b).transpose(), 1.0, Par::Seq);
}
