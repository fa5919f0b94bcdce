use std::path::{Path, PathBuf};

use crate::error::{Error, Message, Remedy, Result, quote};
use crate::matrix::Matrix;
use crate::memory;

#[cfg(feature = "arrow")]
use super::arrow;
use super::chunked::{Again, ChunkedRows, ChunkedTable, Streaming, chunk_rows};
use super::columns::{ExpectedColumns, select_columns};
use super::levels::Levels;
use super::open::{open_bytes, open_file};
use super::rows::{Dropped, Opened, Part};
use super::{Table, TableOptions, several, table_files};

/// A table that is read part by part, so that it may be longer than memory.
pub struct TableReader {
    name: String,
    opened: Opened,
    /// Of each column that turned out to have categories.
    levels: Vec<Option<Levels>>,
    /// Which columns are left out if they have too many texts, and which have.
    optional: Vec<bool>,
    overflowed: Vec<bool>,
    /// The column of row weights among those that are read.
    weights_column: Option<usize>,
    /// How to read it again, where that can be done.
    again: Option<Again>,
}

impl TableReader {
    /// Opens text, NPY, NPZ, Parquet or Arrow files, whichever their content says they are; `-` is standard input, and a
    /// folder is the files in it ([`table_files`]). Several files are one table: each has the columns of the first, by name
    /// where both have names, and their rows follow one another.
    ///
    /// # Errors
    /// [`Error::Data`] names the file and what is wrong with its beginning, or which column is not there; [`Error::Spec`]
    /// names a column of the options that is not there; [`Error::Io`] where a file cannot be read.
    pub fn open(paths: &[impl AsRef<Path>], options: &TableOptions) -> Result<Self> {
        let files = table_files(paths)?;
        let is_file = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|it| it.is_file());
        let again = files
            .iter()
            .all(is_file)
            .then(|| (files.clone(), options.clone()));
        let mut files = files.into_iter();
        let Some(first) = files.next() else {
            return Err(Error::data("no file is named"));
        };
        let name = paths[0].as_ref().display().to_string();
        let opened = open_file(&first, options)?;
        let others: Vec<_> = files.collect();
        let opened = match others.is_empty() {
            true => opened,
            false => {
                let expected = ExpectedColumns::of_first_file(&opened.columns, opened.named);
                let expected = match &options.expected {
                    Some(known) => expected.with_levels(known.all_levels()),
                    None => expected,
                };
                let options = TableOptions {
                    expected: Some(expected),
                    ..options.clone()
                };
                several::open(opened, others, options)?
            }
        };
        Ok(TableReader {
            again,
            ..Self::new(name, opened, options)
        })
    }

    /// Opens what is in a file, whichever format that has. Messages call it `name`.
    ///
    /// # Errors
    /// As [`TableReader::open`].
    pub fn from_bytes(name: &str, bytes: Vec<u8>, options: &TableOptions) -> Result<Self> {
        Ok(Self::new(
            name.into(),
            open_bytes(name, bytes, options)?,
            options,
        ))
    }

    /// Reads Arrow batches that a program holds, as it would those of a file. Messages call them `name`.
    ///
    /// # Errors
    /// As [`TableReader::open`].
    #[cfg(feature = "arrow")]
    pub fn from_batches(
        name: &str,
        batches: Box<dyn arrow_array::RecordBatchReader + Send>,
        options: &TableOptions,
    ) -> Result<Self> {
        Ok(Self::new(
            name.into(),
            arrow::open_batches(name, batches, options)?,
            options,
        ))
    }

    fn new(name: String, opened: Opened, options: &TableOptions) -> Self {
        let levels = (0..opened.columns.len()).map(|k| {
            let known = options.expected.as_ref().and_then(|it| it.levels(k));
            known.map(Levels::of_model)
        });
        let is_asked_for = |name: &String| {
            let said = options.given.iter().chain(&options.categories);
            let said: Vec<String> = said.cloned().collect();
            let all = &opened.all_columns;
            let said = select_columns("column", &said, all).unwrap_or_default();
            options.expected.is_some() || said.iter().any(|&j| all[j] == *name)
        };
        let columns = opened.columns.iter();
        let last = opened.columns.len().checked_sub(1);
        TableReader {
            again: None,
            // It comes last.
            weights_column: last.filter(|_| options.weights.is_some()),
            name,
            levels: levels.collect(),
            optional: columns
                .map(|name| options.takes_text && !is_asked_for(name))
                .collect(),
            overflowed: vec![false; opened.columns.len()],
            opened,
        }
    }

    /// The rows that the files say they have, where they do.
    pub fn row_count_hint(&self) -> Option<usize> {
        self.opened.row_count_hint
    }

    /// The names of the columns that are read, in the order of the parts.
    pub fn columns(&self) -> &[String] {
        &self.opened.columns
    }

    /// The names of all of the file's columns.
    pub fn all_columns(&self) -> &[String] {
        &self.opened.all_columns
    }

    /// The names of the columns that names, numbers and ranges select among all of the file's; `key` is the setting that does.
    ///
    /// # Errors
    /// As [`TableOptions::selected`].
    pub fn named(&self, key: &'static str, said: &[String]) -> Result<Vec<String>> {
        let all = self.all_columns();
        let indices = select_columns(key, said, all)?;
        Ok(indices.into_iter().map(|j| all[j].clone()).collect())
    }

    /// What an Arrow or Parquet file says of itself beside its columns, by key: pandas' description of its index, for one.
    pub fn metadata(&self) -> &[(String, String)] {
        &self.opened.metadata
    }

    /// What was left out so far.
    pub fn dropped(&self) -> &Dropped {
        self.opened.rows.dropped()
    }

    /// What the user should know of how the files were read so far, a sentence each.
    pub fn notes(&self) -> Vec<Message> {
        self.opened.rows.notes()
    }

    /// The next rows, `most` of them at most; none at the end.
    ///
    /// # Errors
    /// [`Error::Data`] names the lines, rows and columns of all numbers that cannot be used, to the end of the file;
    /// [`Error::Io`].
    pub fn next(&mut self, most: usize) -> Result<Option<Part>> {
        let Some(mut part) = self.opened.rows.next(most)? else {
            return Ok(None);
        };
        for j in 0..self.levels.len() {
            let texts = part.texts.iter_mut().find(|(column, _)| *column == j);
            let texts = match (texts, &self.levels[j]) {
                (Some((_, texts)), _) => std::mem::take(texts),
                (None, None) => continue,
                // Of another file, where its numbers are all that there is.
                (None, Some(_)) => part.values.column(j).iter().map(f64::to_string).collect(),
            };
            let levels = self.levels[j].get_or_insert_default();
            let column = part.values.column_mut(j);
            for ((value, text), row) in column.iter_mut().zip(&texts).zip(&part.numbers) {
                if self.overflowed[j] {
                    break;
                }
                let index = levels.index(text, *row, &self.opened.columns[j]);
                if self.optional[j] && index.is_err() {
                    self.overflowed[j] = true;
                    continue;
                }
                *value = index.map_err(|message| {
                    let message = message.prefixed(format_args!("{}: ", self.name));
                    Error::Data(message.in_file(self.name.as_ref()))
                })? as f64;
            }
        }
        Ok(Some(part))
    }

    /// The whole table.
    ///
    /// # Errors
    /// As [`TableReader::next`]; [`Error::Data`] also for a table that has no rows, or more than memory can hold.
    pub fn read(mut self) -> Result<Table> {
        let width = self.opened.columns.len();
        // The table is turned round and standardized in copies: so it may take a quarter.
        let each = 4 * 8 * width as u64;
        if let Some(rows) = self.opened.row_count_hint
            && let Some(shortfall) = memory::shortfall((rows as u64).saturating_mul(each))
        {
            return Err(self.bad(format!(
                "the header promises {rows} x {width} numbers, which {shortfall}; train on fewer rows"
            )));
        }
        let most = memory::available() / each;
        let mut columns: Vec<Vec<f64>> = vec![Vec::new(); width];
        let mut rows = 0;
        self.drain(|part| {
            rows += part.rows();
            if rows as u64 > most {
                return Err(format!(
                    "after {rows} rows the table has filled the memory that it may take ({} of it for {width} \
                     columns); train on fewer rows",
                    memory::readable(8 * (rows * width) as u64)
                ));
            }
            for (j, column) in columns.iter_mut().enumerate() {
                column.extend_from_slice(part.column(j));
            }
            Ok(())
        })?;
        let settled = self.settle(rows)?;
        for (column, moved) in columns.iter_mut().zip(&settled.moved) {
            if !moved.is_empty() {
                column
                    .iter_mut()
                    .for_each(|value| *value = moved[*value as usize] as f64);
            }
        }
        let values = settled
            .kept
            .iter()
            .flat_map(|&j| std::mem::take(&mut columns[j]));
        let values = Matrix::from_values(rows, settled.kept.len(), values.collect());
        Ok(self.table(settled, values))
    }

    /// The whole table, of which no more is held in double precision than a sample. Of one that is longer than memory nothing else is held
    /// where `streaming` says what to do with it; it is read again by the fit.
    ///
    /// # Errors
    /// As [`TableReader::read`]; [`Error::Data`] where it cannot be read again.
    pub fn read_chunked(mut self, streaming: Option<Streaming>) -> Result<ChunkedTable<'static>> {
        let weights = self.weights_column;
        let streaming = match (streaming, self.again.take()) {
            (Some(streaming), Some(again)) => Some((streaming, again)),
            (Some(streaming), None) if streaming.always => {
                return Err(self.bad(
                    "what is streamed is read twice, and this can be read once; write it to a file first",
                ));
            }
            _ => None,
        };
        let mut chunked = ChunkedRows::new(self.opened.columns.len(), weights, streaming);
        let mut rows = 0;
        self.drain(|part| {
            rows += part.rows();
            chunked.note(part)
        })?;
        let settled = self.settle(rows)?;
        let (kept, moved) = (settled.kept.clone(), settled.moved.clone());
        Ok(chunked.finish(kept, moved, |values| self.table(settled, values)))
    }

    /// Calls `note` with the numbers of every part.
    fn drain(&mut self, mut note: impl FnMut(&Matrix<f64>) -> Result<(), String>) -> Result<()> {
        let rows = chunk_rows(self.opened.columns.len());
        while let Some(part) = self.next(rows)? {
            note(&part.values).map_err(|text| self.bad(text))?;
        }
        Ok(())
    }

    fn bad(&self, message: impl Into<Message>) -> Error {
        let message = message.into().prefixed(format_args!("{}: ", self.name));
        Error::Data(message.in_file(self.name.as_ref()))
    }

    /// What all rows, of which there are so many, say of the columns.
    fn settle(&mut self, rows: usize) -> Result<Settled> {
        /// Fewer rows show no categories.
        const FEW: usize = 20;
        let width = self.opened.columns.len();
        if rows == 0 {
            return Err(self.bad(match self.opened.rows.dropped().rows {
                0 => "the table has no rows".into(),
                _ => Message::new("every row lacks a value in some column")
                    .remedy(Remedy::with("leave such columns out", "exclude")),
            }));
        }
        let mut settled = Settled {
            kept: Vec::new(),
            levels: vec![Vec::new(); width],
            moved: vec![Vec::new(); width],
            notes: self.opened.rows.notes(),
        };
        for (j, found) in self.levels.iter_mut().enumerate() {
            // More than one for every two rows name these.
            self.overflowed[j] |=
                self.optional[j] && found.as_ref().is_some_and(|found| 2 * found.count() > rows);
            if self.overflowed[j] {
                continue;
            }
            if let Some(found) = found.take() {
                (settled.levels[j], settled.moved[j]) = found.sorted();
            }
        }
        let names = &self.opened.columns;
        settled.kept = (0..width).filter(|&j| !self.overflowed[j]).collect();
        for j in (0..width).filter(|&j| self.overflowed[j]) {
            let text = format!(
                "{} has too many different texts for categories, as names and times have, and is left out",
                quote(&names[j])
            );
            settled
                .notes
                .push(Message::new(text).in_column(&names[j]).remedy(Remedy::new(
                    "take it in",
                    "column",
                    format!("{}=categorical", names[j]),
                )));
        }
        if let Some(j) = (0..width).find(|&j| self.overflowed[j])
            && rows < FEW
        {
            // Hardly a table at all: it says more what stands there.
            let first = self.levels[j].as_ref().and_then(Levels::first);
            let text = format!(
                "row 1, column {} ({}): {} is not a number",
                j + 1,
                quote(&names[j]),
                quote(first.unwrap_or_default())
            );
            return Err(
                self.bad(Message::new(text).remedy(Remedy::with("leave columns out", "exclude")))
            );
        }
        if settled.kept.is_empty() {
            return Err(self.bad("every column has too many different texts for categories"));
        }
        Ok(settled)
    }

    /// A table with these numbers.
    fn table(&self, settled: Settled, values: Matrix<f64>) -> Table {
        let Settled {
            kept,
            levels,
            notes,
            ..
        } = settled;
        Table {
            values,
            levels: kept.iter().map(|&j| levels[j].clone()).collect(),
            columns: kept
                .iter()
                .map(|&j| self.opened.columns[j].clone())
                .collect(),
            dropped: self.opened.rows.dropped().clone(),
            notes,
            named: self.opened.named,
        }
    }
}

/// What is known of the columns at the end.
struct Settled {
    /// The columns that are not left out.
    kept: Vec<usize>,
    /// The levels of each column, and the index that each of its numbers so far stands for; none where it holds numbers.
    levels: Vec<Vec<String>>,
    moved: Vec<Vec<usize>>,
    /// What the user should know.
    notes: Vec<Message>,
}
