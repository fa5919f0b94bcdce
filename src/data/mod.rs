//! Tables in and out of files, and targets with a known density.

mod csv;
mod npy;
mod source;
mod split;
mod suspects;
mod target;

use std::path::Path;

use crate::error::{Error, Result, list, shown};
use crate::matrix::Matrix;

pub use csv::write_csv_rows;
pub use npy::write_npy;
use source::{Format, Source};
pub use split::{Split, take};
pub use suspects::{relations, suspects};
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
                        "the table has no column {}; it has {}, and the model was trained on {}",
                        shown(name),
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

/// The names that columns without names are given.
pub fn default_names(columns: usize) -> Vec<String> {
    (0..columns).map(|j| format!("x{j}")).collect()
}

/// Reads a table from a CSV or NPY file, whichever its content says it is; `-` is standard input.
///
/// # Errors
/// [`Error::Data`] names the file and, for bad numbers, their lines, rows and columns; [`Error::Spec`] names a column of
/// the options that is not there; [`Error::Io`] where the file cannot be read.
pub fn read_table(path: &Path, options: &TableOptions) -> Result<Table> {
    let source = Source::open(path)?;
    let name = source.name.clone();
    let bad = |message: String| Err(Error::Data(format!("{name}: {message}")));
    let table = match source.format()? {
        Format::Npy => npy::read(source, options)?,
        Format::Csv
            if path
                .extension()
                .is_some_and(|e| e.eq_ignore_ascii_case("npy")) =>
        {
            return bad("not a readable NPY file: it does not begin as one".into());
        }
        Format::Csv => csv::read(source, options)?,
    };
    if table.values.columns() == 0 {
        return bad("no column is left; exclude fewer".into());
    }
    if table.values.rows() == 0 {
        return bad("the table has no rows".into());
    }
    for (j, name) in table.columns.iter().enumerate() {
        if let Some(i) = table.columns[..j].iter().position(|other| other == name) {
            return bad(format!(
                "columns {} and {} are both named {}; rename one",
                i + 1,
                j + 1,
                shown(name)
            ));
        }
    }
    Ok(table)
}
