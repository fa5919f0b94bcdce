//! Rows between numpy and couplet. Numpy has rows one after another or columns one after another; couplet has columns.

use couplet::Matrix;
use numpy::ndarray::{ArrayView2, s};
use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray2};
use pyo3::prelude::*;

/// Rows of an array of any layout.
pub type Rows<'py> = PyReadonlyArray2<'py, f64>;

/// Rows for Python.
pub type Array<'py> = Bound<'py, PyArray2<f64>>;

/// A number a row, for Python.
pub type Numbers<'py> = Bound<'py, PyArray1<f64>>;

/// Rows that are turned at a time, so that they stay in a cache.
const TILE: usize = 256;

/// The rows as couplet has them.
pub fn matrix(rows: &Rows<'_>) -> Matrix<f64> {
    let view = rows.as_array();
    let mut matrix = Matrix::zeros(view.nrows(), view.ncols());
    put(&mut matrix, 0, &view);
    matrix
}

/// Puts rows into a matrix, from a row on.
pub fn put(matrix: &mut Matrix<f64>, first: usize, view: &ArrayView2<'_, f64>) {
    for begin in (0..view.nrows()).step_by(TILE) {
        let end = (begin + TILE).min(view.nrows());
        let tile = view.slice(s![begin..end, ..]);
        for j in 0..view.ncols() {
            let column = &mut matrix.column_mut(j)[first + begin..first + end];
            for (to, from) in column.iter_mut().zip(tile.column(j)) {
                *to = *from;
            }
        }
    }
}

/// An array of the same memory, columns one after another.
pub fn array<'py>(py: Python<'py>, matrix: Matrix<f64>) -> PyResult<Array<'py>> {
    let shape = [matrix.rows(), matrix.columns()];
    let values = PyArray1::from_vec(py, matrix.into_values());
    values.reshape_with_order(shape, numpy::npyffi::NPY_ORDER::NPY_FORTRANORDER)
}
