//! Tables in and out of files, and targets with a known density.

mod csv;
mod npy;
mod rows;
mod source;
mod split;
mod suspects;
mod table;
mod target;

use std::path::Path;

use crate::error::{Error, Result, column_place, list};
use crate::matrix::Matrix;

pub use csv::write_csv_rows;
pub use npy::write_npy;
pub use split::{Split, take};
pub use suspects::{relations, suspects};
pub use table::TableReader;
pub use target::{Target, TargetName};

/// A table of finite numbers with names for its columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// From the file's header, or x0, x1, ... where it has none.
    pub columns: Vec<String>,
    /// Whether the names come from the file.
    pub named: bool,
    /// A row of the matrix a row of the table.
    pub values: Matrix<f64>,
}

impl Table {
    /// A table of these columns.
    ///
    /// # Errors
    /// [`Error::Data`] where there are not as many names as columns, two of the same name, or a number that is not finite, with
    /// its place.
    pub fn new(
        columns: impl IntoIterator<Item = impl Into<String>>,
        values: Matrix<f64>,
    ) -> Result<Self> {
        let columns: Vec<String> = columns.into_iter().map(Into::into).collect();
        if columns.len() != values.columns() {
            return Err(Error::Data(format!(
                "{} names for a table of {} columns",
                columns.len(),
                values.columns()
            )));
        }
        let again = |j: &usize| columns[..*j].contains(&columns[*j]);
        if let Some(j) = (0..columns.len()).find(again) {
            return Err(Error::Data(format!(
                "{} has the name of another",
                column_place(j, &columns)
            )));
        }
        check_finite(&values, &columns)?;
        Ok(Table {
            columns,
            named: true,
            values,
        })
    }

    /// Reads a table as the command line does: CSV or NPY, whichever the file's content says it is.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Data`] with file, row and column. [`read_table`] takes options.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        read_table(path.as_ref(), &TableOptions::default())
    }
}

/// How a table is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableOptions {
    /// Whether the first line of a text file names the columns; without it the line decides: it does if none of its fields
    /// is a number.
    pub header: Option<bool>,
    /// Columns to leave out, by name, or by number from 1 on.
    pub exclude: Vec<String>,
    /// Columns to read where the table has them all by name; others are ignored then.
    pub wanted: Vec<String>,
}

impl TableOptions {
    /// The places of the columns to read, ascending.
    fn kept(&self, columns: &[String], named: bool) -> Result<Vec<usize>> {
        let find = |name: &String| columns.iter().position(|column| column == name);
        if named && !self.wanted.is_empty() && self.wanted != default_names(self.wanted.len()) {
            let places: Option<Vec<usize>> = self.wanted.iter().map(find).collect();
            if let Some(mut places) = places {
                places.sort_unstable();
                return Ok(places);
            }
        }
        let mut kept: Vec<usize> = (0..columns.len()).collect();
        for name in &self.exclude {
            let number = name
                .parse()
                .ok()
                .filter(|number| (1..=columns.len()).contains(number));
            match find(name).or(number.map(|number| number - 1)) {
                Some(place) => kept.retain(|&j| j != place),
                None => {
                    return Err(Error::Spec(format!(
                        "--exclude {}: the table has no such column; it has {}",
                        name.escape_debug(),
                        list(columns)
                    )));
                }
            }
        }
        Ok(kept)
    }
}

/// Refuses rows with a number that is not finite.
pub(crate) fn check_finite(rows: &Matrix<f64>, names: &[String]) -> Result<()> {
    let Some(place) = rows.values().iter().position(|value| !value.is_finite()) else {
        return Ok(());
    };
    let (column, row) = (place / rows.rows(), place % rows.rows());
    Err(Error::Data(format!(
        "row {}, {}: {} is not a finite number",
        row + 1,
        column_place(column, names),
        rows.get(row, column)
    )))
}

/// The names that columns without names are given.
pub fn default_names(columns: usize) -> Vec<String> {
    (0..columns).map(|j| format!("x{j}")).collect()
}

/// Reads a whole table from a CSV or NPY file, whichever its content says it is; `-` is standard input.
///
/// # Errors
/// As [`TableReader::open`] and [`TableReader::read`].
pub fn read_table(path: &Path, options: &TableOptions) -> Result<Table> {
    TableReader::open(path, options)?.read()
}
