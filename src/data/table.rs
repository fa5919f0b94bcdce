use std::path::Path;

use crate::error::{Error, Result, list, shown};
use crate::matrix::Matrix;
use crate::memory;

#[cfg(feature = "arrow")]
use super::arrow;
use super::rows::{Dropped, Opened, Part};
use super::source::{Format, Source};
use super::{Table, TableOptions, csv, default_names, nearest, npy};

/// A table that is read part by part, so that it may be longer than memory.
pub struct TableReader {
    name: String,
    opened: Opened,
    /// Where each column of the parts lies in the file's.
    order: Option<Vec<usize>>,
}

impl TableReader {
    /// Opens a CSV, NPY, NPZ, Parquet or Arrow file, whichever its content says it is; `-` is standard input.
    ///
    /// # Errors
    /// [`Error::Data`] names the file and what is wrong with its beginning; [`Error::Spec`] names a column of the options
    /// that is not there; [`Error::Io`] where the file cannot be read.
    pub fn open(path: &Path, options: &TableOptions) -> Result<Self> {
        let source = Source::open(path)?;
        let name = source.name.clone();
        let bad = |message: String| Err(Error::Data(format!("{name}: {message}")));
        let opened = match source.format()? {
            #[cfg(feature = "arrow")]
            format @ (Format::Parquet | Format::Arrow) => arrow::open(source, &format, options)?,
            #[cfg(not(feature = "arrow"))]
            Format::Parquet | Format::Arrow => {
                return bad(
                    "Parquet and Arrow files are read by a build with the feature \"arrow\"".into(),
                );
            }
            Format::Npy => npy::open(source, options)?,
            Format::Csv
                if path
                    .extension()
                    .is_some_and(|e| e.eq_ignore_ascii_case("npy")) =>
            {
                return bad("not a readable NPY file: it does not begin as one".into());
            }
            Format::Csv => csv::open(source, options)?,
        };
        if opened.columns.is_empty() {
            return bad("no column is left; exclude fewer".into());
        }
        for (j, column) in opened.columns.iter().enumerate() {
            if let Some(i) = opened.columns[..j].iter().position(|other| other == column) {
                return bad(format!(
                    "columns {} and {} are both named {}; rename one",
                    i + 1,
                    j + 1,
                    shown(column)
                ));
            }
        }
        Ok(TableReader {
            name,
            opened,
            order: None,
        })
    }

    /// The rows that the file says it has, where it does.
    pub fn promised(&self) -> Option<usize> {
        self.opened.promised
    }

    /// The names of the columns that are read, in the order of the parts.
    pub fn columns(&self) -> &[String] {
        &self.opened.columns
    }

    /// The names of all of the file's columns.
    pub fn all_columns(&self) -> &[String] {
        &self.opened.all_columns
    }

    /// What was left out so far.
    pub fn dropped(&self) -> &Dropped {
        self.opened.rows.dropped()
    }

    /// The columns in the order of these names from now on. Where either side has no names of its own, order decides.
    ///
    /// # Errors
    /// [`Error::Data`] names what is missing or too much.
    pub fn in_order_of(mut self, names: &[String]) -> Result<Self> {
        let width = names.len();
        let columns = &self.opened.columns;
        let bad = |message: String| Err(Error::Data(format!("{}: {message}", self.name)));
        let by_name = self.opened.named && names != default_names(width);
        let is_there = |name: &&String| columns.contains(name);
        if columns.len() != width && (!by_name || names.iter().all(|name| is_there(&name))) {
            return bad(format!(
                "the table has {} columns; the model was trained on {width}: {}",
                columns.len(),
                list(names)
            ));
        }
        if !by_name || columns == names {
            return Ok(self);
        }
        let mut order = Vec::with_capacity(width);
        for name in names {
            match columns.iter().position(|column| column == name) {
                Some(place) => order.push(place),
                None => {
                    return bad(format!(
                        "the table has no column {}{}; it has {}, and the model was trained on {}",
                        shown(name),
                        nearest(name, columns),
                        list(columns),
                        list(names)
                    ));
                }
            }
        }
        self.opened.columns = names.to_vec();
        self.order = Some(order);
        Ok(self)
    }

    /// The next rows, `most` of them at most; none at the end.
    ///
    /// # Errors
    /// [`Error::Data`] names the lines, rows and columns of all numbers that cannot be used, to the end of the file;
    /// [`Error::Io`].
    pub fn next(&mut self, most: usize) -> Result<Option<Part>> {
        let part = self.opened.rows.next(most)?;
        Ok(match (&self.order, part) {
            (Some(order), Some(part)) => {
                let columns = order.iter().map(|&j| part.values.column(j));
                let values = columns.flatten().copied().collect();
                let values = Matrix::from_values(part.numbers.len(), order.len(), values);
                Some(Part { values, ..part })
            }
            (_, part) => part,
        })
    }

    /// The whole table.
    ///
    /// # Errors
    /// As [`TableReader::next`]; [`Error::Data`] also for a table that has no rows, or more than memory can hold.
    pub fn read(mut self) -> Result<Table> {
        /// Rows to a part.
        const ROWS: usize = 1 << 16;
        let width = self.opened.columns.len();
        let name = self.name.clone();
        let bad = |message: String| Error::Data(format!("{name}: {message}"));
        // The table is turned round and standardised in copies: a quarter is its share.
        let each = 4 * 8 * width as u64;
        if let Some(rows) = self.opened.promised
            && let Some(shortfall) = memory::shortfall((rows as u64).saturating_mul(each))
        {
            return Err(bad(format!(
                "the header promises {rows} x {width} numbers, which {shortfall}; train on fewer rows"
            )));
        }
        let most = memory::available() / each;
        let mut columns: Vec<Vec<f64>> = vec![Vec::new(); width];
        let mut rows = 0;
        while let Some(Part { values: part, .. }) = self.next(ROWS)? {
            rows += part.rows();
            if rows as u64 > most {
                return Err(bad(format!(
                    "after {rows} rows the table has filled the memory that it may take ({} of it for {width} \
                     columns); train on fewer rows",
                    memory::readable(8 * (rows * width) as u64)
                )));
            }
            for (j, column) in columns.iter_mut().enumerate() {
                column.extend_from_slice(part.column(j));
            }
        }
        let dropped = self.opened.rows.dropped().clone();
        if rows == 0 {
            return Err(bad(match dropped.rows {
                0 => "the table has no rows".into(),
                _ => {
                    "every row lacks a value in some column; leave such columns out with --exclude"
                        .into()
                }
            }));
        }
        Ok(Table {
            dropped,
            named: self.opened.named,
            columns: self.opened.columns,
            values: Matrix::from_values(rows, width, columns.concat()),
        })
    }
}
