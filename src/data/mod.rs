//! Reads and writes tables, and draws rows from targets with a known density.

#[cfg(feature = "arrow")]
mod arrow;
mod cell;
mod chunked;
mod columns;
mod digits;
mod faults;
mod json;
mod levels;
mod npy;
mod npz;
mod open;
mod repeats;
mod row_numbers;
mod rows;
mod sampler;
mod several;
mod source;
mod split;
mod table;
mod target;
mod text;
mod values;
mod weights;
mod writer;

use std::path::Path;

use crate::error::{Error, Message, Result, column_label};
use crate::matrix::Matrix;

#[cfg(all(feature = "arrow", feature = "cli"))]
pub(crate) use arrow::is_panic_an_error;
pub(crate) use chunked::AllRows;
pub use chunked::{ChunkedTable, Streaming};
pub use columns::ExpectedColumns;
pub(crate) use columns::{are_default_names, nearest, selector};
pub use digits::{decimals, rounded};
pub use levels::MOST_LEVELS;
pub use repeats::Repeats;
pub(crate) use repeats::row_hashes;
pub(crate) use row_numbers::RowNumbers;
pub use rows::{Dropped, Part};
pub use several::table_files;
pub(crate) use split::{RowSplit, take_weights};
pub use split::{Split, take};
pub use table::TableReader;
pub use target::{Target, TargetName};
pub use text::Separator;
pub use values::Values;
pub use weights::{effective_sample_size, resample, standard_error, weighted_mean};
pub use writer::{TableFormat, TableHeader, write_table};

/// A table of finite numbers with names for its columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// From the file's header, or x0, x1, ... where it has none.
    pub columns: Vec<String>,
    /// Whether the names come from the file.
    pub named: bool,
    /// A row of the matrix a row of the table.
    pub values: Matrix<f64>,
    /// The levels of each column of categories, whose numbers are their indices; empty for a column of numbers.
    pub levels: Vec<Vec<String>>,
    /// What was left out when it was read.
    pub dropped: Dropped,
    /// What the user should know of how it was read.
    pub notes: Vec<Message>,
}

impl Table {
    /// A table of these columns.
    ///
    /// # Errors
    /// [`Error::Data`] where there are not as many names as columns, two of the same name, or a number that is not finite, with
    /// its row and column.
    pub fn new(
        columns: impl IntoIterator<Item = impl Into<String>>,
        values: Matrix<f64>,
    ) -> Result<Self> {
        let columns: Vec<String> = columns.into_iter().map(Into::into).collect();
        if columns.len() != values.columns() {
            return Err(Error::data(format!(
                "{} names for a table of {} columns",
                columns.len(),
                values.columns()
            )));
        }
        let again = |j: &usize| columns[..*j].contains(&columns[*j]);
        if let Some(j) = (0..columns.len()).find(again) {
            return Err(Error::data(format!(
                "{} has the name of another",
                column_label(j, &columns)
            )));
        }
        check_finite(&values, &columns)?;
        Ok(Table {
            levels: vec![Vec::new(); columns.len()],
            columns,
            named: true,
            values,
            dropped: Dropped::default(),
            notes: Vec::new(),
        })
    }

    /// The levels of a column; none where it holds numbers.
    pub fn levels_of(&self, column: usize) -> &[String] {
        self.levels.get(column).map_or(&[], Vec::as_slice)
    }

    /// Whether all of these columns hold categories.
    pub(crate) fn have_levels(&self, columns: &[usize]) -> bool {
        columns.iter().all(|&j| !self.levels_of(j).is_empty())
    }

    /// The same with one more column, of categories: a text a row.
    ///
    /// # Errors
    /// As [`Table::new`]; [`Error::Data`] for another number of rows, or more than [`MOST_LEVELS`] levels.
    pub fn with_categories(
        self,
        name: impl Into<String>,
        texts: &[impl AsRef<str>],
    ) -> Result<Self> {
        let name = name.into();
        if texts.len() != self.values.rows() {
            return Err(Error::data(format!(
                "{} texts of {} for a table of {} rows",
                texts.len(),
                column_label(self.columns.len(), &[&self.columns[..], &[name]].concat()),
                self.values.rows()
            )));
        }
        let mut levels = levels::Levels::default();
        let indices: Vec<usize> = texts
            .iter()
            .zip(1..)
            .map(|(text, row)| levels.index(text.as_ref(), row, &name))
            .collect::<Result<_, _>>()
            .map_err(Error::Data)?;
        let (names, moved) = levels.sorted();
        let column = Matrix::from_fn(texts.len(), 1, |row, _| moved[indices[row]] as f64);
        let all = self.columns.iter().cloned().chain([name]);
        let mut table = Self::new(all, self.values.concat_columns(&column))?;
        for (of, levels) in table.levels.iter_mut().zip(self.levels) {
            *of = levels;
        }
        if let Some(of) = table.levels.last_mut() {
            *of = names;
        }
        Ok(table)
    }

    /// The same with columns of numbers as columns of categories, whose levels are the numbers' texts.
    ///
    /// # Errors
    /// [`Error::Data`] for more than [`MOST_LEVELS`] levels.
    pub(crate) fn with_levels_of(mut self, columns: &[usize]) -> Result<Self> {
        for &j in columns {
            if !self.levels_of(j).is_empty() {
                continue;
            }
            let name = self.columns[j].clone();
            let texts: Vec<String> = self.values.column(j).iter().map(f64::to_string).collect();
            let alone = Table::new(["other"], Matrix::zeros(texts.len(), 1))?;
            let alone = alone.with_categories(name, &texts)?;
            self.values
                .column_mut(j)
                .copy_from_slice(alone.values.column(1));
            self.levels.resize(self.columns.len(), Vec::new());
            self.levels[j] = alone.levels_of(1).to_vec();
        }
        Ok(self)
    }

    /// Reads a table as the command line does: text, NPY, NPZ, Parquet or Arrow, whichever the file's content says it is; or a
    /// folder of such files.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Data`] with file, row and column. [`read_table`] takes options.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        read_table(path.as_ref(), &TableOptions::default())
    }
}

/// How a table is read.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[cfg_attr(feature = "cli", group(skip))]
pub struct TableOptions {
    /// Columns to take, in this order: names, numbers (the first is 1) or ranges (3..5, u..z), separated by commas.
    ///
    /// None takes all but the row labels that pandas writes.
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "COLUMNS", value_delimiter = ',')
    )]
    pub columns: Vec<String>,
    /// Columns to leave out, in the same notation.
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "COLUMNS", value_delimiter = ',')
    )]
    pub exclude: Vec<String>,
    /// Whether the first line of a text table names its columns [default: it does if none of its fields is a number].
    ///
    /// It does, too, if it has the names of the model's columns.
    #[cfg_attr(feature = "cli", arg(long, hide_short_help = true, value_name = "yes|no", value_parser = yes_or_no))]
    pub header: Option<bool>,
    /// What to do with rows that lack a value (empty, NA, NaN, null).
    #[cfg_attr(
        feature = "cli",
        arg(
            long,
            value_name = "refuse|drop",
            value_enum,
            default_value = "refuse",
            hide_possible_values = true
        )
    )]
    pub missing: Missing,
    /// Read 1,5 as 1.5 and 1.718 as 1718, in a text table whose separator is another.
    #[cfg_attr(feature = "cli", arg(long, hide_short_help = true))]
    pub decimal_comma: bool,
    /// What separates the fields of a text table: comma, semicolon, tab, blanks, or a character such as '|' [default: detected
    /// from its first lines].
    #[cfg_attr(
        feature = "cli",
        arg(
            long,
            hide_short_help = true,
            value_name = "SEPARATOR",
            allow_hyphen_values = true
        )
    )]
    pub separator: Option<Separator>,
    /// Columns to take besides those of `columns`, in the same notation: the context of a fit.
    #[cfg_attr(feature = "cli", arg(skip))]
    pub given: Vec<String>,
    /// Columns of categories, in the same notation, whatever is in them.
    #[cfg_attr(feature = "cli", arg(skip))]
    pub categories: Vec<String>,
    /// Whether other columns in which all is text are columns of categories, too.
    #[cfg_attr(feature = "cli", arg(skip))]
    pub takes_text: bool,
    /// The column of row weights, in the same notation, which comes last whatever other columns are read.
    #[cfg_attr(feature = "cli", arg(skip))]
    pub weights: Option<String>,
    /// Whether parts have the whole table, too.
    #[cfg_attr(feature = "cli", arg(skip))]
    pub keeps_table: bool,
    /// The columns that are read, in this order: by name where both sides have names. Others are ignored then.
    #[cfg_attr(feature = "cli", arg(skip))]
    pub expected: Option<ExpectedColumns>,
}

#[cfg(feature = "cli")]
fn yes_or_no(text: &str) -> Result<bool, &'static str> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("yes or no"),
    }
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

/// Statistics of more rows than this are those of so many of them, from all over the table.
pub const SAMPLE_ROWS: usize = 200_000;

/// Refuses rows with a number that is not finite.
pub(crate) fn check_finite(rows: &Matrix<f64>, names: &[String]) -> Result<()> {
    let Some(index) = rows.values().iter().position(|value| !value.is_finite()) else {
        return Ok(());
    };
    let (column, row) = (index / rows.rows(), index % rows.rows());
    Err(Error::data(format!(
        "row {}, {}: {} is not a finite number",
        row + 1,
        column_label(column, names),
        rows.get(row, column)
    )))
}

/// The names that columns without names are given.
pub fn default_names(columns: usize) -> Vec<String> {
    (0..columns).map(|j| format!("x{j}")).collect()
}

/// Reads a whole table from a text, NPY, NPZ, Parquet or Arrow file, whichever its content says it is, or from a folder of
/// them; `-` is standard input.
///
/// # Errors
/// As [`TableReader::open`] and [`TableReader::read`].
pub fn read_table(path: &Path, options: &TableOptions) -> Result<Table> {
    TableReader::open(&[path], options)?.read()
}
