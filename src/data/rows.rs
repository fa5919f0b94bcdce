use crate::error::{Error, Result, column_place, shown};
use crate::matrix::Matrix;

use super::{Missing, TableOptions, Values};

/// What a format reads rows with.
pub(super) trait Rows: Send {
    /// The next rows, `most` of them at most, of the columns that are read; none at the end.
    fn next(&mut self, most: usize) -> Result<Option<Part>>;

    /// What was left out so far.
    fn dropped(&self) -> &Dropped;
}

/// Rows of a table, one after another.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// A row of the matrix a row of the table.
    pub values: Matrix<f64>,
    /// The rows' numbers in the file, from 1 on, ascending.
    pub numbers: Vec<u64>,
    /// Every column of the file, where [`TableOptions::keeps_table`] asks for them: text as it stands there.
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

/// An opened file, before its rows are read.
pub(super) struct Opened {
    pub columns: Vec<String>,
    pub named: bool,
    /// How many rows the file says it has.
    pub promised: Option<usize>,
    /// The names of all columns.
    pub all_columns: Vec<String>,
    pub rows: Box<dyn Rows>,
}

/// What stands at a place of a table.
pub(super) enum Cell<'a> {
    Number(f64),
    /// No value, in these words.
    Missing(&'a str),
    Text(&'a str),
}

/// Fields that say that there is no value, as programs and people write them.
const NO_VALUE: [&str; 8] = ["na", "n/a", "#n/a", "nan", "-nan", "null", "none", "<na>"];

impl<'a> Cell<'a> {
    /// A field of text; `comma` stands for the decimal point.
    #[inline]
    pub fn of_text(field: &'a str, comma: bool) -> Self {
        let field = field.trim();
        match field.parse::<f64>() {
            Ok(value) if !value.is_nan() => return Cell::Number(value),
            _ => {}
        }
        if comma
            && has_decimal_comma(field)
            && let Ok(value) = field.replace(',', ".").parse()
        {
            return Cell::Number(value);
        }
        match field.is_empty() || NO_VALUE.iter().any(|it| field.eq_ignore_ascii_case(it)) {
            true => Cell::Missing(field),
            false => Cell::Text(field),
        }
    }

    /// A number, which is none where it is NaN.
    #[inline]
    pub fn of_number(value: f64) -> Self {
        match value.is_nan() {
            true => Cell::Missing("NaN"),
            false => Cell::Number(value),
        }
    }
}

pub(super) fn has_decimal_comma(field: &str) -> bool {
    field.matches(',').count() == 1 && field.replace(',', ".").parse::<f64>().is_ok()
}

/// Cells of one column that are wrong in one way.
#[derive(Default)]
struct Wrong {
    count: usize,
    /// Where the first is, and what it holds.
    first: Option<(Place, String)>,
}

/// The line of a text, if it is one, and the row.
#[derive(Clone, Copy)]
struct Place {
    line: Option<u64>,
    row: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line} (row {})", self.row),
            None => write!(f, "row {}", self.row),
        }
    }
}

impl Wrong {
    fn note(&mut self, place: Place, held: &str) {
        self.count += 1;
        self.first
            .get_or_insert_with(|| (place, held.chars().take(60).collect()));
    }

    /// What is wrong, if anything is: `what` says it of what is held.
    fn sentence(&self, column: &str, what: impl Fn(&str) -> String) -> Option<String> {
        let (place, held) = self.first.as_ref()?;
        let more = match self.count - 1 {
            0 => String::new(),
            more => format!(", and so in {more} more of its rows"),
        };
        Some(format!("{place}, {column}: {}{more}", what(held)))
    }
}

/// What is wrong with a column.
#[derive(Default)]
struct Faults {
    missing: Wrong,
    infinite: Wrong,
    text: Wrong,
}

impl Faults {
    fn sentences(&self, column: &str) -> [Option<String>; 3] {
        [
            self.text
                .sentence(column, |field| match has_decimal_comma(field) {
                    true => format!("{} has a decimal comma", shown(field)),
                    false => format!("{} is not a number", shown(field)),
                }),
            self.infinite
                .sentence(column, |number| format!("{number} is not a finite number")),
            self.missing.sentence(column, |field| match field {
                "" => "the field is empty".into(),
                field => format!("{} is no value", shown(field)),
            }),
        ]
    }
}

/// Gathers the rows of a table into parts, and what is wrong with them. What is wrong in one row may be wrong in many: from
/// the first such row on all of them are counted, to the end of the file, and nothing is kept any more.
pub(super) struct Gatherer {
    /// For messages.
    file: String,
    /// Whether the columns' names come from the file.
    named: bool,
    /// The columns in a message.
    places: Vec<String>,
    missing: Missing,
    values: Vec<Vec<f64>>,
    numbers: Vec<u64>,
    /// Every column of the file.
    table: Option<Vec<Values>>,
    faults: Vec<Faults>,
    /// Rows of another length, how long the first is, and how long it should be.
    ragged: Wrong,
    width: usize,
    sound: bool,
    /// Rows seen.
    row: u64,
    dropped: Dropped,
}

impl Gatherer {
    /// For the columns `kept` of a file whose columns have these names.
    pub fn new(
        file: &str,
        columns: &[String],
        named: bool,
        kept: &[usize],
        options: &TableOptions,
    ) -> Self {
        let place = |&j: &usize| match named {
            true => column_place(j, columns),
            false => format!("column {}", j + 1),
        };
        Gatherer {
            file: file.into(),
            named,
            places: kept.iter().map(place).collect(),
            missing: options.missing,
            values: vec![Vec::new(); kept.len()],
            numbers: Vec::new(),
            table: None,
            faults: kept.iter().map(|_| Faults::default()).collect(),
            ragged: Wrong::default(),
            width: columns.len(),
            sound: true,
            row: 0,
            dropped: Dropped {
                rows: 0,
                columns: kept.iter().map(|&j| (columns[j].clone(), 0)).collect(),
            },
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

    pub fn bad(&self, message: impl AsRef<str>) -> Error {
        Error::Data(format!("{}: {}", self.file, message.as_ref()))
    }

    /// Whether a part is complete with `most` rows.
    pub fn is_full(&self, most: usize) -> bool {
        self.sound && self.numbers.len() >= most
    }

    /// A row that has not as many fields as the others.
    pub fn ragged(&mut self, line: u64, fields: usize) {
        self.row += 1;
        let place = Place {
            line: Some(line),
            row: self.row,
        };
        self.ragged.note(place, &fields.to_string());
        self.sound = false;
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
        let place = Place {
            line,
            row: self.row,
        };
        let mut lacks = false;
        for (j, cell) in cells.enumerate() {
            match cell {
                Cell::Number(value) if value.is_finite() => {
                    if self.sound {
                        self.values[j].push(value);
                    }
                }
                Cell::Number(value) => {
                    self.faults[j].infinite.note(place, &value.to_string());
                    self.sound = false;
                }
                Cell::Missing(field) if self.missing == Missing::Refuse => {
                    self.faults[j].missing.note(place, field);
                    self.sound = false;
                }
                Cell::Missing(_) => {
                    lacks = true;
                    self.dropped.columns[j].1 += 1;
                }
                Cell::Text(field) => {
                    self.faults[j].text.note(place, field);
                    self.sound = false;
                }
            }
        }
        if lacks {
            self.dropped.rows += 1;
            let rows = self.numbers.len();
            self.values
                .iter_mut()
                .for_each(|column| column.truncate(rows));
        } else if self.sound {
            self.numbers.push(self.row);
            return self.table.as_mut();
        }
        None
    }

    /// The rows since the last part; none if there were none.
    pub fn part(&mut self) -> Result<Option<Part>> {
        self.verdict()?;
        let numbers = std::mem::take(&mut self.numbers);
        if numbers.is_empty() {
            return Ok(None);
        }
        let values = Matrix::from_values(numbers.len(), self.values.len(), self.values.concat());
        self.values.iter_mut().for_each(Vec::clear);
        let table = self.table.as_mut().map(|columns| {
            let none = columns.iter().map(Values::none_of_them).collect();
            std::mem::replace(columns, none)
        });
        Ok(Some(Part {
            values,
            numbers,
            table,
        }))
    }

    /// What is wrong with the rows so far, in one message.
    fn verdict(&self) -> Result<()> {
        if self.sound {
            return Ok(());
        }
        let mut sentences: Vec<String> = Vec::new();
        if let Some((place, fields)) = &self.ragged.first {
            let more = match self.ragged.count - 1 {
                0 => String::new(),
                more => format!(", and so do {more} more rows"),
            };
            sentences.push(format!(
                "{place} has {fields} {} where {} were expected{more}; look for a missing or extra separator, or a quote \
                 that is not closed",
                if fields == "1" { "field" } else { "fields" },
                self.width
            ));
        }
        let columns = self.places.iter().zip(&self.faults);
        let wrong = columns.filter_map(|(place, faults)| {
            let parts: Vec<String> = faults.sentences(place).into_iter().flatten().collect();
            (!parts.is_empty()).then(|| parts.join("; "))
        });
        let wrong: Vec<String> = wrong.collect();
        if !wrong.is_empty() {
            sentences.extend(first_few(wrong));
            sentences.push(self.way_out());
        }
        Err(self.bad(sentences.join("; ")))
    }

    /// What to do about cells that cannot be used.
    fn way_out(&self) -> String {
        let any = |is: fn(&Faults) -> bool| self.faults.iter().any(is);
        let comma = |faults: &Faults| {
            let first = faults.text.first.as_ref();
            first.is_some_and(|(_, field)| has_decimal_comma(field))
        };
        let is_first_row_alone = |faults: &Faults| {
            let first = faults.text.first.as_ref();
            faults.text.count == 1 && first.is_some_and(|(place, _)| place.row == 1)
        };
        let mut ways = Vec::new();
        if any(comma) {
            ways.push("--decimal-comma reads commas as decimal points");
        }
        if !self.named && any(is_first_row_alone) {
            ways.push(
                "if the first line is a header, say --header yes (unasked, all of its fields would have to be names)",
            );
        }
        if any(|faults| faults.missing.count > 0) {
            ways.push("--missing drop leaves rows without a value out");
        }
        ways.push("--exclude leaves columns out");
        ways.join("; ")
    }
}

/// What is wrong with columns, a sentence each, as far as a message has room.
fn first_few(mut sentences: Vec<String>) -> Vec<String> {
    const TOLD: usize = 8;
    let more = sentences.len().saturating_sub(TOLD);
    if more > 0 {
        sentences.truncate(TOLD);
        sentences.push(format!("and {more} more columns are like this"));
    }
    sentences
}
