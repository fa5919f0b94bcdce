use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result, column_place, shown};
use crate::matrix::Matrix;

use super::rows::{Opened, Rows, WAY_OUT, and_more, told};
use super::source::Source;
use super::{TableOptions, default_names};

/// The longest row, in bytes, that is taken for one.
const LONGEST_ROW: u64 = 64 << 20;

/// The longest name of a column, in bytes.
const LONGEST_NAME: usize = 1000;

/// The separator of a file: whichever of comma, semicolon and tab its first line has most of outside quotes. A comma
/// between digits may be a decimal one, where another separator leaves numbers.
fn separator(head: &[u8]) -> u8 {
    let line = first_line(head);
    let count = |separator: u8| {
        let mut quoted = false;
        line.bytes()
            .filter(|&byte| {
                quoted ^= byte == b'"';
                byte == separator && !quoted
            })
            .count()
    };
    for other in [b'\t', b';'] {
        let mut fields = line.split(char::from(other)).map(str::trim);
        if count(other) > 0 && fields.all(|field| is_number(field) || has_decimal_comma(field)) {
            return other;
        }
    }
    // The last of equals wins: the comma.
    let candidates = [b'\t', b';', b','];
    candidates
        .into_iter()
        .max_by_key(|&c| count(c))
        .unwrap_or(b',')
}

fn first_line(head: &[u8]) -> String {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    String::from_utf8_lossy(line)
        .trim_end_matches('\r')
        .to_owned()
}

fn is_number(field: &str) -> bool {
    field.parse::<f64>().is_ok()
}

fn has_decimal_comma(field: &str) -> bool {
    field.matches(',').count() == 1 && is_number(&field.replace(',', "."))
}

/// Passes bytes on, and fails where a row has no end.
struct Bounded<R> {
    inner: R,
    /// Bytes since the last row ended.
    since: Arc<AtomicU64>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        let since = self.since.fetch_add(count as u64, Ordering::Relaxed) + count as u64;
        if since > LONGEST_ROW {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a row is longer than 64 MiB; look for a quote that is not closed, or is this a binary file?",
            ));
        }
        Ok(count)
    }
}

/// Fields of one column that are wrong in one way.
#[derive(Default)]
struct Wrong {
    count: usize,
    first: Option<(u64, usize, String)>,
}

impl Wrong {
    fn note(&mut self, line: u64, row: usize, field: &str) {
        self.count += 1;
        self.first
            .get_or_insert_with(|| (line, row, field.chars().take(40).collect()));
    }
}

/// What is wrong with a column.
#[derive(Default)]
struct Faults {
    empty: Wrong,
    not_finite: Wrong,
    text: Wrong,
}

impl Faults {
    fn sentence(&self, column: &str) -> Option<String> {
        let kinds = [
            (&self.text, "text"),
            (&self.not_finite, "infinite"),
            (&self.empty, "empty"),
        ];
        let parts: Vec<String> = kinds
            .into_iter()
            .filter_map(|(wrong, kind)| {
                let (line, row, field) = wrong.first.as_ref()?;
                let place = format!("line {line} (row {row}), {column}");
                let more = and_more(wrong.count);
                Some(match kind {
                    "text" if has_decimal_comma(field) => format!(
                        "{place}: {} has a decimal comma{more}; write decimal points",
                        shown(field)
                    ),
                    "text" => format!("{place}: {} is not a number{more}", shown(field)),
                    "infinite" => format!(
                        "{place}: {} is not a finite number{more}",
                        field.escape_debug()
                    ),
                    _ => format!("{place}: the field is empty{more}"),
                })
            })
            .collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// A CSV file that is read part by part.
pub(super) struct CsvRows {
    /// For messages.
    name: String,
    reader: ::csv::Reader<Bounded<Box<dyn Read + Send>>>,
    since: Arc<AtomicU64>,
    record: ::csv::StringRecord,
    /// The line that `record` is from, if it is a row still to be taken.
    line: Option<u64>,
    width: usize,
    names: Option<Vec<String>>,
    kept: Vec<usize>,
    faults: Vec<Faults>,
    ragged: Wrong,
    /// Rows read.
    row: usize,
}

/// Opens a CSV file, and reads its first line, which is a header if the options say so, or if none of its fields is a
/// number.
pub(super) fn open(source: Source, options: &TableOptions) -> Result<Opened> {
    let name = source.name.clone();
    let bad = |message: String| Error::Data(format!("{name}: {message}"));
    let head = source.head.clone();
    let since = Arc::new(AtomicU64::new(0));
    let inner: Box<dyn Read + Send> = Box::new(source.into_reader());
    let reader = ::csv::ReaderBuilder::new()
        .delimiter(separator(&head))
        .has_headers(false)
        .flexible(true)
        .from_reader(Bounded {
            inner,
            since: since.clone(),
        });
    let mut rows = CsvRows {
        name: name.clone(),
        reader,
        since,
        record: ::csv::StringRecord::new(),
        line: None,
        width: 0,
        names: None,
        kept: Vec::new(),
        faults: Vec::new(),
        ragged: Wrong::default(),
        row: 0,
    };
    rows.advance()?;
    if rows.line.is_none() {
        return Err(bad("the file is empty".into()));
    }
    // Fields of later lines are trimmed as they are read: a record trimmed whole is a record allocated anew.
    rows.record.trim();
    rows.width = rows.record.len();
    if rows.width == 1
        && let Some(hint) = other_separator(&first_line(&head))
    {
        return Err(bad(hint));
    }
    rows.names = header(&rows.record, options).map_err(bad)?;
    let named = rows.names.is_some();
    let columns = rows
        .names
        .clone()
        .unwrap_or_else(|| default_names(rows.width));
    rows.kept = options.kept(&columns, named)?;
    rows.faults = rows.kept.iter().map(|_| Faults::default()).collect();
    if named {
        rows.advance()?;
    }
    Ok(Opened {
        columns: rows.kept.iter().map(|&j| columns[j].clone()).collect(),
        named,
        promised: None,
        rows: Box::new(rows),
    })
}

impl CsvRows {
    fn bad(&self, message: String) -> Error {
        Error::Data(format!("{}: {message}", self.name))
    }

    /// Reads the next record.
    fn advance(&mut self) -> Result<()> {
        self.since.store(0, Ordering::Relaxed);
        let more = match self.reader.read_record(&mut self.record) {
            Ok(more) => more,
            Err(error) => {
                return Err(match error.into_kind() {
                    ::csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                        let line = self.reader.position().line();
                        self.bad(format!("line {line}: {error}"))
                    }
                    ::csv::ErrorKind::Io(source) => Error::Io {
                        path: self.name.clone().into(),
                        source,
                    },
                    ::csv::ErrorKind::Utf8 { pos, .. } => {
                        let line = pos.map_or(0, |pos| pos.line());
                        self.bad(format!(
                            "line {line} is not UTF-8 text; is this a CSV file? (iconv -f LATIN1 -t UTF-8 converts text of \
                             western Europe)"
                        ))
                    }
                    kind => self.bad(format!("{kind:?}")),
                });
            }
        };
        // A record begins where the reader stood before it, which may be on a blank line, and ends on the line before
        // the one where the reader stands now, unless the file ends without a line end.
        let began = self.record.position().map_or(1, ::csv::Position::line);
        let ended = self.reader.position().line().saturating_sub(1);
        self.line = more.then(|| began.max(ended));
        Ok(())
    }

    /// What is wrong with the rows so far, in one message.
    fn verdict(&self) -> Result<()> {
        let place = |j: usize| match &self.names {
            Some(names) => column_place(j, names),
            None => format!("column {}", j + 1),
        };
        let mut sentences: Vec<String> = Vec::new();
        if let Some((line, row, fields)) = &self.ragged.first {
            let more = match self.ragged.count - 1 {
                0 => String::new(),
                more => format!(", and so do {more} more rows"),
            };
            sentences.push(format!(
                "line {line} (row {row}) has {fields} {} where {} were expected{more}; look for a missing or extra \
                 separator, or a quote that is not closed",
                if fields == "1" { "field" } else { "fields" },
                self.width
            ));
        }
        let columns = self.kept.iter().zip(&self.faults);
        let wrong: Vec<String> = columns
            .filter_map(|(&j, faults)| faults.sentence(&place(j)))
            .collect();
        if !wrong.is_empty() {
            sentences.extend(told(wrong));
            let first_line_alone = |faults: &Faults| {
                let first = faults.text.first.as_ref();
                faults.text.count == 1 && first.is_some_and(|(_, row, _)| *row == 1)
            };
            let header = self.names.is_none() && self.faults.iter().any(first_line_alone);
            sentences.push(match header {
                true => "if the first line is a header, say --header yes (unasked, all of its fields would have to be names)",
                false => WAY_OUT,
            }.into());
        }
        match sentences.is_empty() {
            true => Ok(()),
            false => Err(self.bad(sentences.join("; "))),
        }
    }
}

impl Rows for CsvRows {
    fn next(&mut self, most: usize) -> Result<Option<Matrix<f64>>> {
        let mut values: Vec<Vec<f64>> = vec![Vec::new(); self.kept.len()];
        let first = self.row;
        let mut sound = true;
        while let Some(line) = self.line {
            // What is wrong in one row may be wrong in many: all of them are counted, and nothing is kept any more.
            if sound && self.row - first == most {
                break;
            }
            self.row += 1;
            if self.record.len() == self.width {
                let columns = self.kept.iter().zip(&mut values).zip(&mut self.faults);
                for ((&j, column), faults) in columns {
                    let field = self.record[j].trim();
                    match field.parse::<f64>() {
                        Ok(value) if value.is_finite() => {
                            if sound {
                                column.push(value);
                            }
                            continue;
                        }
                        Ok(_) => faults.not_finite.note(line, self.row, field),
                        Err(_) if field.is_empty() => faults.empty.note(line, self.row, field),
                        Err(_) => faults.text.note(line, self.row, field),
                    }
                    sound = false;
                }
            } else {
                self.ragged
                    .note(line, self.row, &self.record.len().to_string());
                sound = false;
            }
            self.advance()?;
        }
        self.verdict()?;
        let rows = self.row - first;
        Ok((rows > 0).then(|| Matrix::from_values(rows, self.kept.len(), values.concat())))
    }
}

/// The names in the first line, if it is a header.
fn header(
    record: &::csv::StringRecord,
    options: &TableOptions,
) -> Result<Option<Vec<String>>, String> {
    let is_name = |field: &str| !is_number(field) && !has_decimal_comma(field);
    let all_names = record.iter().all(is_name);
    let is_header = match options.header {
        Some(is) => is,
        None => all_names && !record.iter().all(str::is_empty),
    };
    if !is_header {
        return Ok(None);
    }
    if let Some(j) = record.iter().position(|name| name.len() > LONGEST_NAME) {
        return Err(format!(
            "line 1: the name of column {} is {} bytes long; look for a quote that is not closed",
            j + 1,
            record[j].len()
        ));
    }
    Ok(Some(record.iter().map(str::to_owned).collect()))
}

/// What to say of a line without a separator that seems to have another one.
fn other_separator(line: &str) -> Option<String> {
    let (name, command) = if line.contains('|') {
        ("|", "tr '|' ','")
    } else if line.split_whitespace().nth(1).is_some() {
        ("spaces", "tr -s ' ' ','")
    } else {
        return None;
    };
    Some(format!(
        "its fields seem to be separated by {name}; commas, semicolons and tabs are read: {command} < FILE | couplet train -"
    ))
}

/// Writes rows as CSV, each number in the shortest form that reads back to it.
///
/// # Errors
/// Those of the writer.
pub fn write_csv_rows(out: &mut dyn Write, rows: &Matrix<f64>) -> io::Result<()> {
    let mut line = String::new();
    let mut buffer = zmij::Buffer::new();
    for row in 0..rows.rows() {
        line.clear();
        for (j, value) in rows.row(row).enumerate() {
            if j > 0 {
                line.push(',');
            }
            let number = buffer.format(value);
            line.push_str(number.strip_suffix(".0").unwrap_or(number));
        }
        line.push('\n');
        out.write_all(line.as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_told_from_decimal_commas() {
        for (line, expected) in [
            ("a,b,c\n", b','),
            ("a;b;c\r\n", b';'),
            ("a\tb\n", b'\t'),
            ("1,5;2,5\n", b';'),
            ("1,5\t2,5\n", b'\t'),
            ("\"a;b;c\",d\n", b','),
            ("1,2\n", b','),
            ("alone", b','),
        ] {
            assert_eq!(separator(line.as_bytes()), expected, "{line}");
        }
    }
}
