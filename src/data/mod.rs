//! Tables in and out of files, and targets with a known density.

mod csv;
mod npy;
mod split;
mod suspects;
mod target;

use std::path::Path;

use crate::error::{Error, Result};
use crate::matrix::Matrix;

pub use csv::write_csv_rows;
pub use npy::write_npy;
pub use split::{Split, take};
pub use suspects::suspects;
pub use target::{Target, TargetName};

/// A table of finite numbers with names for its columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// From the file's header, or x0, x1, ... where it has none.
    pub columns: Vec<String>,
    /// Whether the names come from the file.
    pub named: bool,
    pub values: Matrix<f64>,
}

impl Table {
    /// The table with its columns in the order of these names. Where either side has no names of its own, order decides.
    ///
    /// # Errors
    /// [`Error::Data`] names what is missing or too much.
    pub fn in_order_of(self, names: &[String]) -> Result<Self> {
        let width = names.len();
        if self.columns.len() != width {
            return Err(Error::Data(format!(
                "the table has {} columns; the model was trained on {width}: {}",
                self.columns.len(),
                list(names)
            )));
        }
        if !self.named || names == default_names(width) || self.columns == names {
            return Ok(self);
        }
        let mut order = Vec::with_capacity(width);
        for name in names {
            match self.columns.iter().position(|column| column == name) {
                Some(place) => order.push(place),
                None => {
                    return Err(Error::Data(format!(
                        "the table has no column \"{name}\"; it has {}, and the model was trained on {}",
                        list(&self.columns),
                        list(names)
                    )));
                }
            }
        }
        let values = &self.values;
        Ok(Table {
            columns: names.to_vec(),
            named: true,
            values: Matrix::from_fn(values.rows(), width, |row, j| values.get(row, order[j])),
        })
    }
}

/// Names for a message: the first few of many.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
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
    for (j, name) in table.columns.iter().enumerate() {
        if let Some(i) = table.columns[..j].iter().position(|other| other == name) {
            return Err(Error::Data(format!(
                "{}: columns {} and {} are both named \"{name}\"; rename one",
                path.display(),
                i + 1,
                j + 1
            )));
        }
    }
    Ok(table)
}
