use std::cell::Cell;
use std::io::{self, Read, Write};
use std::rc::Rc;

use crate::error::{Error, Result, column_place, shown};
use crate::matrix::Matrix;
use crate::memory;

use super::source::Source;
use super::{Table, TableOptions, default_names};

/// The longest row, in bytes, that is taken for one.
const LONGEST_ROW: u64 = 64 << 20;

/// The longest name of a column, in bytes.
const LONGEST_NAME: usize = 1000;

/// How many columns' faults a message tells.
const TOLD: usize = 8;

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
    since: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        self.since.set(self.since.get() + count as u64);
        if self.since.get() > LONGEST_ROW {
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
                let more = match wrong.count - 1 {
                    0 => String::new(),
                    more => format!(", and so in {more} more of its rows"),
                };
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

/// Reads a CSV file. Its first line is a header if the options say so, or if none of its fields is a number.
pub(super) fn read(source: Source, options: &TableOptions) -> Result<Table> {
    let name = source.name.clone();
    let bad = |message: String| Error::Data(format!("{name}: {message}"));
    let head = source.head.clone();
    let separator = separator(&head);
    let since = Rc::new(Cell::new(0));
    let mut reader = ::csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .trim(::csv::Trim::All)
        .from_reader(Bounded {
            inner: source.into_reader(),
            since: since.clone(),
        });
    let mut record = ::csv::StringRecord::new();
    let mut next = |record: &mut ::csv::StringRecord| -> Result<Option<u64>> {
        since.set(0);
        let more = reader.read_record(record).map_err(|error| match error.into_kind() {
            ::csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                bad(format!("line {}: {error}", reader.position().line()))
            }
            ::csv::ErrorKind::Io(source) => Error::Io { path: name.clone().into(), source },
            ::csv::ErrorKind::Utf8 { pos, .. } => {
                let line = pos.map_or(0, |pos| pos.line());
                bad(format!("line {line} is not UTF-8 text; is this a CSV file? (iconv -f LATIN1 -t UTF-8 converts \
                             text of western Europe)"))
            }
            kind => bad(format!("{kind:?}")),
        })?;
        // A record begins where the reader stood before it, which may be on a blank line, and ends on the line before
        // the one where the reader stands now, unless the file ends without a line end.
        let began = record.position().map_or(1, ::csv::Position::line);
        Ok(more.then(|| began.max(reader.position().line().saturating_sub(1))))
    };
    let Some(mut line) = next(&mut record)? else {
        return Err(bad("the file is empty".into()));
    };
    let width = record.len();
    if width == 1
        && let Some(hint) = other_separator(&first_line(&head))
    {
        return Err(bad(hint));
    }
    let names = header(&record, options).map_err(bad)?;
    let columns = names.clone().unwrap_or_else(|| default_names(width));
    let kept = options.kept(&columns, names.is_some())?;
    let place = |j: usize| match &names {
        Some(names) => column_place(j, names),
        None => format!("column {}", j + 1),
    };

    let mut values: Vec<Vec<f64>> = vec![Vec::new(); kept.len()];
    let mut faults: Vec<Faults> = kept.iter().map(|_| Faults::default()).collect();
    let mut ragged = Wrong::default();
    // The table is turned round and standardised in copies: a quarter is its share.
    let most = memory::available() / (4 * 8 * kept.len().max(1) as u64);
    let mut row = 0;
    let mut more = true;
    if names.is_some() {
        match next(&mut record)? {
            Some(at) => line = at,
            None => more = false,
        }
    }
    while more {
        row += 1;
        if row as u64 > most {
            return Err(bad(format!(
                "after {} rows the table has filled the memory that it may take ({} of it for {} columns); train on fewer rows",
                row - 1,
                memory::readable(8 * (row as u64) * kept.len() as u64),
                kept.len()
            )));
        }
        if record.len() == width {
            for ((&j, column), faults) in kept.iter().zip(&mut values).zip(&mut faults) {
                let field = &record[j];
                match field.parse::<f64>() {
                    Ok(value) if value.is_finite() => column.push(value),
                    Ok(_) => faults.not_finite.note(line, row, field),
                    Err(_) if field.is_empty() => faults.empty.note(line, row, field),
                    Err(_) => faults.text.note(line, row, field),
                }
            }
        } else {
            ragged.note(line, row, &record.len().to_string());
        }
        match next(&mut record)? {
            Some(at) => line = at,
            None => more = false,
        }
    }

    let mut sentences: Vec<String> = Vec::new();
    if let Some((line, row, fields)) = &ragged.first {
        let more = match ragged.count - 1 {
            0 => String::new(),
            more => format!(", and so do {more} more rows"),
        };
        sentences.push(format!(
            "line {line} (row {row}) has {fields} {} where {width} were expected{more}; look for a missing or extra \
             separator, or a quote that is not closed",
            if fields == "1" { "field" } else { "fields" },
        ));
    }
    let wrong: Vec<String> = kept
        .iter()
        .zip(&faults)
        .filter_map(|(&j, faults)| faults.sentence(&place(j)))
        .collect();
    if !wrong.is_empty() {
        sentences.extend(wrong.iter().take(TOLD).cloned());
        if wrong.len() > TOLD {
            sentences.push(format!(
                "and {} more columns are like this",
                wrong.len() - TOLD
            ));
        }
        let first_line_alone = |faults: &Faults| {
            faults.text.count == 1
                && faults
                    .text
                    .first
                    .as_ref()
                    .is_some_and(|(_, row, _)| *row == 1)
        };
        sentences.push(if names.is_none() && faults.iter().any(first_line_alone) {
            "if the first line is a header, say --header yes (unasked, all of its fields would have to be names)".into()
        } else {
            "fill in or remove such rows, or leave such columns out with --exclude".into()
        });
    }
    if !sentences.is_empty() {
        return Err(bad(sentences.join("; ")));
    }
    Ok(Table {
        named: names.is_some(),
        columns: kept.iter().map(|&j| columns[j].clone()).collect(),
        values: Matrix::from_values(row, kept.len(), values.concat()),
    })
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

/// Writes rows as CSV, each number as `text` renders it.
///
/// # Errors
/// Those of the writer.
pub fn write_csv_rows(
    out: &mut dyn Write,
    rows: &Matrix<f64>,
    text: impl Fn(f64, &mut String),
) -> io::Result<()> {
    let mut line = String::new();
    for row in 0..rows.rows() {
        line.clear();
        for (j, value) in rows.row(row).enumerate() {
            if j > 0 {
                line.push(',');
            }
            text(value, &mut line);
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
