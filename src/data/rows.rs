use std::fmt;
use std::ops::Range;

use crate::error::{Error, Message, Remedy, Result, column_label};
use crate::matrix::Matrix;

use super::cell::{Cell, Notation};
use super::columns::{Categories, Selection};
use super::faults::{ColumnFaults, Fault, Location};
use super::text::number::has_decimal_comma;
use super::{Missing, TableOptions, Values};

/// What a format reads rows with.
pub(super) trait Rows: Send {
    /// The next rows, `most` of them at most, of the columns that are read; none at the end.
    fn next(&mut self, most: usize) -> Result<Option<Part>>;

    /// What was left out so far.
    fn dropped(&self) -> &Dropped;

    /// Notes on how the file was read so far, a sentence each.
    fn notes(&self) -> Vec<Message>;
}

/// Rows of a table, one after another.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The rows that have a value in every column: a row of the matrix a row.
    pub values: Matrix<f64>,
    /// Their numbers in the table, from 1 on, ascending.
    pub numbers: Vec<u64>,
    /// The numbers of all rows that this part covers, those that are left out for a missing value included.
    pub rows: Range<u64>,
    /// What each row has in a column of categories, whose numbers in `values` mean nothing before they are indices of levels: the
    /// column, and a text a row.
    pub(crate) texts: Vec<(usize, Vec<String>)>,
    /// Every column of the file and all rows of this part, where [`TableOptions::keeps_table`] asks for them: as they are
    /// in the file.
    pub table: Option<Vec<Values>>,
}

/// Rows that were left out, since they have no value in some column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// How many.
    pub rows: usize,
    /// Every column that is read, and how many values it lacks.
    pub columns: Vec<(String, usize)>,
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rows {
            1 => f.write_str("1 row")?,
            rows => write!(f, "{rows} rows")?,
        }
        f.write_str(" left out, since they lack a value")?;
        let lacking = self.columns.iter().filter(|(_, count)| *count > 0);
        for (index, (name, count)) in lacking.enumerate() {
            let before = if index == 0 { ":" } else { "," };
            write!(f, "{before} {count} in {name}")?;
        }
        Ok(())
    }
}

/// An opened file, before its rows are read.
pub(super) struct Opened {
    pub columns: Vec<String>,
    pub named: bool,
    /// How many rows the file says it has.
    pub row_count_hint: Option<usize>,
    /// The names of all columns.
    pub all_columns: Vec<String>,
    /// The types of all columns, in words; equal words are equal types.
    pub types: Vec<String>,
    /// What an Arrow or Parquet file says of itself beside its columns, by key.
    pub metadata: Vec<(String, String)>,
    pub rows: Box<dyn Rows>,
}

/// Builds parts of the rows of a file, and gathers what is wrong with them. What is wrong in one row may be wrong in many: from
/// the first such row on all of them are counted, to the end of the file, and nothing is kept any more.
pub(super) struct RowBuilder {
    /// For messages.
    file: String,
    /// Whether the columns' names come from the file.
    named: bool,
    /// The columns in a message.
    column_labels: Vec<String>,
    options: TableOptions,
    values: Vec<Vec<f64>>,
    /// Which columns may have text, and the texts of those that do.
    categories: Vec<Categories>,
    texts: Vec<Option<Vec<String>>>,
    numbers: Vec<u64>,
    /// Every column of the file.
    table: Option<Vec<Values>>,
    faults: Vec<ColumnFaults>,
    /// The texts of columns that may have text alone.
    alone: Vec<Fault>,
    /// Rows of another length, how long the first is, and how long it should be.
    ragged: Fault,
    width: usize,
    valid: bool,
    /// Whether a row has a value in each column.
    has_whole_row: bool,
    /// Rows seen, and how many of them earlier parts covered.
    row: u64,
    begin: u64,
    dropped: Dropped,
    notes: Vec<Message>,
}

impl RowBuilder {
    /// For the selected columns of a file whose columns have these names.
    pub fn new(
        file: &str,
        columns: &[String],
        named: bool,
        selection: &Selection,
        options: &TableOptions,
    ) -> Self {
        let label = |&j: &usize| match named {
            true => column_label(j, columns),
            false => format!("column {}", j + 1),
        };
        let selected = &selection.columns;
        let labels = selection.row_labels.iter();
        let labels = labels.map(|&j| {
            let text = format!(
                "{} holds row labels, as pandas writes them, and is left out",
                column_label(j, columns)
            );
            let all = format!("1..{}", columns.len());
            Message::new(text).remedy(Remedy::new("take it in", "columns", all))
        });
        RowBuilder {
            file: file.into(),
            named,
            column_labels: selected.iter().map(label).collect(),
            options: options.clone(),
            values: vec![Vec::new(); selected.len()],
            texts: selection.categories.iter().map(no_texts).collect(),
            categories: selection.categories.clone(),
            numbers: Vec::new(),
            table: None,
            faults: selected.iter().map(|_| ColumnFaults::default()).collect(),
            alone: selected.iter().map(|_| Fault::default()).collect(),
            ragged: Fault::default(),
            width: columns.len(),
            valid: true,
            has_whole_row: false,
            row: 0,
            begin: 0,
            dropped: Dropped {
                rows: 0,
                columns: selected.iter().map(|&j| (columns[j].clone(), 0)).collect(),
            },
            notes: labels.collect(),
        }
    }

    /// The names of the columns that are read.
    pub fn columns(&self) -> Vec<String> {
        let columns = self.dropped.columns.iter();
        columns.map(|(name, _)| name.clone()).collect()
    }

    pub fn dropped(&self) -> &Dropped {
        &self.dropped
    }

    /// Adds to what the user should know.
    pub fn note(&mut self, note: impl Into<Message>) {
        self.notes.push(note.into());
    }

    /// What the user should know of how the file was read so far.
    pub fn notes(&self) -> Vec<Message> {
        let decimal_comma = self.options.decimal_comma;
        let columns = self.column_labels.iter().zip(&self.faults);
        let thousands =
            columns.filter_map(|(label, faults)| faults.thousands_note(label, decimal_comma));
        self.notes.iter().cloned().chain(thousands).collect()
    }

    pub fn bad(&self, message: impl Into<Message>) -> Error {
        let message = message.into().prefixed(format_args!("{}: ", self.file));
        Error::Data(message.in_file(self.file.as_ref()))
    }

    /// Whether a part is complete with `most` rows.
    pub fn is_full(&self, most: usize) -> bool {
        self.valid && self.row - self.begin >= most as u64
    }

    /// A row that has not as many fields as the others.
    pub fn ragged(&mut self, line: u64, fields: usize) {
        self.row += 1;
        let location = Location {
            line: Some(line),
            row: self.row,
        };
        self.ragged.note(location, &fields.to_string());
        self.valid = false;
    }

    /// Has parts keep the whole table: no rows yet of these kinds.
    pub fn keep_table(&mut self, columns: Vec<Values>) {
        self.table = Some(columns);
    }

    /// The next row: a cell for each column. Returns the table's columns if the row is to be put there.
    #[inline]
    pub fn row<'a>(
        &mut self,
        line: Option<u64>,
        cells: impl Iterator<Item = Cell<'a>>,
    ) -> Option<&mut Vec<Values>> {
        self.row += 1;
        let location = Location {
            line,
            row: self.row,
        };
        let mut lacks = false;
        for (j, cell) in cells.enumerate() {
            let value = match cell {
                Cell::Number(value) => value,
                Cell::Ambiguous(value, notation, field) => {
                    self.faults[j].note_notation(notation, location, field);
                    value
                }
                Cell::Missing(field) => {
                    lacks = true;
                    match self.options.missing {
                        Missing::Refuse => {
                            self.faults[j].missing.note(location, field);
                            self.valid = false;
                        }
                        Missing::Drop => self.dropped.columns[j].1 += 1,
                    }
                    continue;
                }
                Cell::Text(field) if self.takes_text(j, field) => {
                    if self.categories[j] == Categories::OfTextAlone {
                        self.alone[j].note(location, field);
                    }
                    if let Some(texts) = self.texts[j].as_mut().filter(|_| self.valid) {
                        texts.push(field.trim().to_owned());
                        self.values[j].push(0.0);
                    }
                    continue;
                }
                Cell::Text(field) => {
                    self.faults[j].text.note(location, field);
                    self.valid = false;
                    continue;
                }
            };
            if !value.is_finite() {
                self.faults[j].infinite.note(location, &value.to_string());
                self.valid = false;
            } else if self.categories[j] == Categories::OfTextAlone && self.texts[j].is_some() {
                // A number among texts: those are what is wrong.
                self.faults[j].text = std::mem::take(&mut self.alone[j]);
                self.categories[j] = Categories::Never;
                self.texts[j] = None;
                self.valid = false;
            } else if self.valid {
                self.values[j].push(value);
                if let Some(texts) = &mut self.texts[j] {
                    texts.push(value.to_string());
                }
            }
        }
        self.has_whole_row |= !lacks;
        if lacks && self.options.missing == Missing::Drop {
            self.dropped.rows += 1;
            let rows = self.numbers.len();
            self.values
                .iter_mut()
                .for_each(|column| column.truncate(rows));
            let texts = self.texts.iter_mut().flatten();
            texts.for_each(|column| column.truncate(rows));
        } else if self.valid {
            self.numbers.push(self.row);
        }
        self.table.as_mut().filter(|_| self.valid)
    }

    /// Whether a column may have text. The first text makes categories of its numbers so far, unless they were handed out.
    fn takes_text(&mut self, column: usize, field: &str) -> bool {
        if self.texts[column].is_some() {
            return true;
        }
        let is_after_numbers = !self.values[column].is_empty();
        match self.categories[column] {
            Categories::OfTextAlone
                if self.begin == 0 && !is_after_numbers && !has_decimal_comma(field) =>
            {
                self.texts[column] = Some(Vec::new());
                return true;
            }
            Categories::Never | Categories::OfTextAlone => return false,
            _ if self.begin > 0 => return false,
            Categories::OfText | Categories::Always => {}
        }
        let numbers = self.values[column].iter();
        self.texts[column] = Some(numbers.map(f64::to_string).collect());
        self.categories[column] = Categories::Always;
        true
    }

    /// The rows since the last part; none if there were none.
    pub fn part(&mut self) -> Result<Option<Part>> {
        self.check()?;
        if self.row == self.begin {
            return Ok(None);
        }
        let numbers = std::mem::take(&mut self.numbers);
        let values = Matrix::from_values(numbers.len(), self.values.len(), self.values.concat());
        self.values.iter_mut().for_each(Vec::clear);
        let texts = self.texts.iter_mut().enumerate();
        let texts = texts
            .filter_map(|(j, texts)| Some((j, std::mem::take(texts.as_mut()?))))
            .collect();
        let table = self.table.as_mut().map(|columns| {
            let empty = columns.iter().map(Values::none_of_them).collect();
            std::mem::replace(columns, empty)
        });
        let rows = self.begin + 1..self.row + 1;
        self.begin = self.row;
        Ok(Some(Part {
            values,
            numbers,
            rows,
            texts,
            table,
        }))
    }

    /// Refuses commas and points that cannot all be read in one way, at the end of the file.
    pub fn check_notation(&self) -> Result<()> {
        if !self.options.decimal_comma {
            return Ok(());
        }
        let of = |notation: Notation| {
            let columns = self.column_labels.iter().zip(&self.faults);
            columns.filter_map(move |(label, faults)| {
                Some((label, faults.notation(notation).first()?))
            })
        };
        for (label, (location, field)) in of(Notation::Thousands) {
            let mut points = of(Notation::Point);
            if let Some((_, (other_location, other))) = points.find(|(other, _)| *other == label) {
                let text = format!(
                    "{location}, {label}: the point in {field:?} separates thousands where commas are decimal, and the one in \
                     {other:?} ({other_location}) cannot"
                );
                return Err(self.bad(
                    Message::new(text)
                        .remedy(points_are_decimal())
                        .remedy(Remedy::by_hand("write the column's numbers in one way")),
                ));
            }
        }
        let mut commas = of(Notation::CommaBeforeThree);
        if of(Notation::Comma).next().is_none()
            && let Some((label, (location, field))) = commas.next()
            && let Some((other_place, (_, other))) = of(Notation::Point).next()
        {
            let text = format!(
                "{location}, {label}: {field:?} looks like a whole number with a comma for thousands, since every comma of the \
                 file stands before three digits and {other_place} has decimal points ({other:?})"
            );
            return Err(self.bad(Message::new(text).remedy(points_are_decimal())));
        }
        Ok(())
    }

    /// What is wrong with the rows so far, in one message.
    fn check(&self) -> Result<()> {
        if self.valid {
            return Ok(());
        }
        let mut sentences: Vec<String> = Vec::new();
        if let Some((location, fields)) = self.ragged.first() {
            let more = match self.ragged.count() - 1 {
                0 => String::new(),
                more => format!(", and so do {more} more rows"),
            };
            sentences.push(format!(
                "{location} has {fields} {} where {} were expected{more}; look for a missing or extra separator, or a quote \
                 that is not closed",
                if fields == "1" { "field" } else { "fields" },
                self.width
            ));
        }
        let columns = self.column_labels.iter().zip(&self.faults);
        let wrong: Vec<String> = columns
            .filter_map(|(label, faults)| faults.sentence(label))
            .collect();
        let remedies = match wrong.is_empty() {
            true => Vec::new(),
            false => self.remedies(),
        };
        sentences.extend(first_few(wrong));
        Err(self.bad(Message::new(sentences.join("; ")).remedies(remedies)))
    }

    /// What to do about cells that cannot be used.
    fn remedies(&self) -> Vec<Remedy> {
        let any = |is: fn(&ColumnFaults) -> bool| self.faults.iter().any(is);
        let mut remedies = Vec::new();
        if !self.options.decimal_comma && any(ColumnFaults::has_decimal_comma) {
            remedies.push(Remedy::new(
                "read commas as decimal points",
                "decimal_comma",
                true,
            ));
        }
        if !self.named && any(ColumnFaults::has_text_in_first_row_alone) {
            let action = "if the first line is a header, say so: unasked, all of its fields would have to be names";
            remedies.push(Remedy::new(action, "header", "yes"));
        }
        if any(ColumnFaults::has_missing) && self.has_whole_row {
            remedies.push(Remedy::new(
                "leave rows without a value out",
                "missing",
                "drop",
            ));
        }
        if self.named && any(ColumnFaults::has_text_in_first_row_alone) {
            let action = "if the line below the header has no data, as one of units, remove it";
            remedies.push(Remedy::by_hand(action));
        }
        // Some column must be left, if this is a table of numbers at all.
        if remedies.is_empty() || !self.faults.iter().all(ColumnFaults::has_any) {
            remedies.push(Remedy::with("leave columns out", "exclude"));
        }
        let mut columns = self.dropped.columns.iter().zip(&self.faults);
        if self.options.takes_text
            && let Some(((name, _), _)) = columns.find(|(_, faults)| faults.has_text())
        {
            let kind = format!("{name}=categorical");
            remedies.push(Remedy::new("say that it holds categories", "column", kind));
        }
        if self.options.expected.is_none() && any(ColumnFaults::has_text) {
            remedies.push(Remedy::with("take categories as context", "given"));
        }
        remedies
    }
}

/// No texts yet, of a column that has them from its first row on.
fn no_texts(categories: &Categories) -> Option<Vec<String>> {
    (*categories == Categories::Always).then(Vec::new)
}

fn points_are_decimal() -> Remedy {
    Remedy::new("take points for decimal", "decimal_comma", false)
}

/// What is wrong with columns, a sentence each, as far as a message has room.
fn first_few(mut sentences: Vec<String>) -> Vec<String> {
    const SHOWN: usize = 8;
    let more = sentences.len().saturating_sub(SHOWN);
    if more > 0 {
        sentences.truncate(SHOWN);
        sentences.push(format!("and {more} more columns are like this"));
    }
    sentences
}
