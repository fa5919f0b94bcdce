//! Tables in and out of files, and targets with a known density.

mod csv;
mod npy;
mod target;

use std::path::Path;

use crate::error::{Error, Result};
use crate::matrix::Matrix;

pub use csv::write_csv_rows;
pub use npy::write_npy;
pub use target::Gaussian;

/// A table of finite numbers with names for its columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// From the file's header, or x0, x1, ... where it has none.
    pub columns: Vec<String>,
    pub values: Matrix<f64>,
}

/// The names that columns without names are given.
pub fn default_names(columns: usize) -> Vec<String> {
    (0..columns).map(|j| format!("x{j}")).collect()
}

/// Reads a table from a CSV or NPY file, by its extension; an unknown extension is read as CSV.
///
/// # Errors
/// [`Error::Data`] names the file and, for a bad number, its line, row and column; [`Error::Io`] where the file cannot
/// be read.
pub fn read_table(path: &Path) -> Result<Table> {
    let is = |extension: &str| {
        path.extension()
            .is_some_and(|e| e.eq_ignore_ascii_case(extension))
    };
    let table = if is("npy") {
        npy::read(path)?
    } else if is("parquet") || is("npz") || is("gz") {
        return Err(Error::Data(format!(
            "{}: only CSV and NPY files can be read; write the table as one of them",
            path.display()
        )));
    } else {
        csv::read(path)?
    };
    if table.values.rows() == 0 {
        return Err(Error::Data(format!(
            "{}: the table has no rows",
            path.display()
        )));
    }
    Ok(table)
}
