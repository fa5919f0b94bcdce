use std::path::Path;

use crate::error::{Error, Result, list, shown};
use crate::matrix::Matrix;
use crate::memory;

use super::rows::Opened;
use super::source::{Format, Source};
use super::{Table, TableOptions, csv, default_names, npy};

/// A table that is read part by part, so that it may be longer than memory.
pub struct TableReader {
    name: String,
    opened: Opened,
    /// Where each column of the parts lies in the file's.
    order: Option<Vec<usize>>,
}

impl TableReader {
    /// Opens a CSV or NPY file, whichever its content says it is; `-` is standard input.
    ///
    /// # Errors
    /// [`Error::Data`] names the file and what is wrong with its beginning; [`Error::Spec`] names a column of the options
    /// that is not there; [`Error::Io`] where the file cannot be read.
    pub fn open(path: &Path, options: &TableOptions) -> Result<Self> {
        let source = Source::open(path)?;
        let name = source.name.clone();
        let bad = |message: String| Err(Error::Data(format!("{name}: {message}")));
        let opened = match source.format()? {
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

    /// The columns in the order of these names from now on. Where either side has no names of its own, order decides.
    ///
    /// # Errors
    /// [`Error::Data`] names what is missing or too much.
    pub fn in_order_of(mut self, names: &[String]) -> Result<Self> {
        let width = names.len();
        let columns = &self.opened.columns;
        let bad = |message: String| Err(Error::Data(format!("{}: {message}", self.name)));
        if columns.len() != width {
            return bad(format!(
                "the table has {} columns; the model was trained on {width}: {}",
                columns.len(),
                list(names)
            ));
        }
        if !self.opened.named || names == default_names(width) || columns == names {
            return Ok(self);
        }
        let mut order = Vec::with_capacity(width);
        for name in names {
            match columns.iter().position(|column| column == name) {
                Some(place) => order.push(place),
                None => {
                    return bad(format!(
                        "the table has no column {}; it has {}, and the model was trained on {}",
                        shown(name),
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
    pub fn next(&mut self, most: usize) -> Result<Option<Matrix<f64>>> {
        let part = self.opened.rows.next(most)?;
        Ok(match (&self.order, part) {
            (Some(order), Some(part)) => {
                let columns = order.iter().flat_map(|&j| part.column(j).iter().copied());
                let values = columns.collect();
                Some(Matrix::from_values(part.rows(), order.len(), values))
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
        while let Some(part) = self.next(ROWS)? {
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
        if rows == 0 {
            return Err(bad("the table has no rows".into()));
        }
        Ok(Table {
            named: self.opened.named,
            columns: self.opened.columns,
            values: Matrix::from_values(rows, width, columns.concat()),
        })
    }
}
