//! Tables in and out of files, and targets with a known density.

#[cfg(feature = "arrow")]
mod arrow;
mod csv;
mod digits;
mod npy;
mod npz;
mod rows;
mod source;
mod split;
mod suspects;
mod table;
mod target;
mod writer;

use std::path::Path;

use crate::error::{Error, Result, column_place, list, plain, shown};
use crate::matrix::Matrix;

pub use digits::{places, rounded};
pub use rows::{Dropped, Part};
pub use split::{Split, take};
pub use suspects::{relations, suspects};
pub use table::TableReader;
pub use target::{Target, TargetName};
pub use writer::{TableFormat, Values, write_table};

/// A table of finite numbers with names for its columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// From the file's header, or x0, x1, ... where it has none.
    pub columns: Vec<String>,
    /// Whether the names come from the file.
    pub named: bool,
    /// A row of the matrix a row of the table.
    pub values: Matrix<f64>,
    /// What was left out when it was read.
    pub dropped: Dropped,
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
            dropped: Dropped::default(),
        })
    }

    /// Reads a table as the command line does: CSV, NPY, NPZ, Parquet or Arrow, whichever the file's content says it is.
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
    /// Columns to read, in this order; none reads all. See [`TableOptions::exclude`].
    pub columns: Vec<String>,
    /// Columns to leave out, by name, by number from 1 on, or a range of either, as `3..5` or `u..z`, both ends with it.
    pub exclude: Vec<String>,
    /// What becomes of rows without a value in some column.
    pub missing: Missing,
    /// Whether text may have commas for decimal points.
    pub decimal_comma: bool,
    /// Whether parts have the whole table, too.
    pub keeps_table: bool,
    /// Columns to read where the table has them all by name; others are ignored then.
    pub wanted: Vec<String>,
}

/// What becomes of rows without a value in some column: an empty field, one such as NA, or NaN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Missing {
    /// They are an error, which counts them by column.
    #[default]
    Refuse,
    /// They are left out.
    Drop,
}

impl TableOptions {
    /// The places of the columns that [`TableOptions::columns`] and [`TableOptions::exclude`] choose among these.
    ///
    /// # Errors
    /// [`Error::Spec`] names what is not there, and what is like it.
    pub fn places(&self, columns: &[String]) -> Result<Vec<usize>> {
        self.kept(columns, false)
    }

    /// The places of the columns to read.
    fn kept(&self, columns: &[String], named: bool) -> Result<Vec<usize>> {
        if named && !self.wanted.is_empty() && self.wanted != default_names(self.wanted.len()) {
            let find = |name: &String| columns.iter().position(|column| column == name);
            let places: Option<Vec<usize>> = self.wanted.iter().map(find).collect();
            if let Some(mut places) = places {
                places.sort_unstable();
                return Ok(places);
            }
        }
        let mut kept = Vec::new();
        for said in &self.columns {
            for place in said_columns("--columns", said, columns)? {
                if kept.contains(&place) {
                    return Err(Error::Spec(format!(
                        "--columns {}: {} is there already",
                        plain(said),
                        column_place(place, columns)
                    )));
                }
                kept.push(place);
            }
        }
        if self.columns.is_empty() {
            kept.extend(0..columns.len());
        }
        for said in &self.exclude {
            let out = said_columns("--exclude", said, columns)?;
            kept.retain(|place| !out.contains(place));
        }
        Ok(kept)
    }
}

/// The columns that a name, a number or a range says.
fn said_columns(
    flag: &str,
    said: &str,
    columns: &[String],
) -> Result<std::ops::RangeInclusive<usize>> {
    let find = |name: &str| {
        let number = name.parse().ok();
        let number = number.filter(|number| (1..=columns.len()).contains(number));
        let place = columns.iter().position(|column| column == name);
        place.or(number.map(|number| number - 1))
    };
    if let Some(place) = find(said) {
        return Ok(place..=place);
    }
    let range = said
        .split_once("..")
        .and_then(|(first, last)| find(first.trim()).zip(find(last.trim())));
    match range {
        Some((first, last)) if first <= last => Ok(first..=last),
        Some(_) => Err(Error::Spec(format!(
            "{flag} {}: the first column of the range comes after the last",
            plain(said)
        ))),
        None => Err(Error::Spec(format!(
            "{flag} {}: the table has no such column{}; it has {}",
            plain(said),
            nearest(said, columns),
            list(columns)
        ))),
    }
}

/// The name that is most like `said`, if one is much like it, as the end of a sentence.
pub(crate) fn nearest(said: &str, names: &[String]) -> String {
    let like = |name: &&String| strsim::jaro_winkler(&said.to_lowercase(), &name.to_lowercase());
    let best = names
        .iter()
        .max_by(|a, b| like(a).total_cmp(&like(b)))
        .filter(|name| like(name) > 0.8);
    best.map_or_else(String::new, |name| {
        format!(" (did you mean {}?)", shown(name))
    })
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

/// Reads a whole table from a CSV, NPY, NPZ, Parquet or Arrow file, whichever its content says it is; `-` is standard input.
///
/// # Errors
/// As [`TableReader::open`] and [`TableReader::read`].
pub fn read_table(path: &Path, options: &TableOptions) -> Result<Table> {
    TableReader::open(path, options)?.read()
}
