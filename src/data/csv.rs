use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

use super::rows::{Cell, Dropped, Gatherer, Opened, Part, Rows, has_decimal_comma};
use super::source::Source;
use super::{TableOptions, Values, default_names};

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

/// The lines of a CSV file.
struct Lines {
    /// For messages.
    name: String,
    reader: ::csv::Reader<Bounded<Box<dyn Read + Send>>>,
    since: Arc<AtomicU64>,
    record: ::csv::StringRecord,
    /// The line that `record` is from, if it is a row still to be taken.
    line: Option<u64>,
}

/// A CSV file that is read part by part.
struct CsvRows {
    lines: Lines,
    width: usize,
    kept: Vec<usize>,
    decimal_comma: bool,
    gatherer: Gatherer,
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
    let mut lines = Lines {
        name: name.clone(),
        reader,
        since,
        record: ::csv::StringRecord::new(),
        line: None,
    };
    lines.advance()?;
    if lines.line.is_none() {
        return Err(bad("the file is empty".into()));
    }
    // Fields of later lines are trimmed as they are read: a record trimmed whole is a record allocated anew.
    lines.record.trim();
    let width = lines.record.len();
    if width == 1
        && let Some(hint) = other_separator(&first_line(&head))
    {
        return Err(bad(hint));
    }
    let names = header(&lines.record, options).map_err(bad)?;
    let named = names.is_some();
    let columns = names.unwrap_or_else(|| default_names(width));
    let kept = options.kept(&columns, named)?;
    if named {
        lines.advance()?;
    }
    let mut gatherer = Gatherer::new(&name, &columns, named, &kept, options);
    if options.keeps_table {
        gatherer.keep_table(vec![Values::Text(Vec::new()); width]);
    }
    Ok(Opened {
        all_columns: columns,
        columns: gatherer.columns(),
        named,
        promised: None,
        rows: Box::new(CsvRows {
            lines,
            width,
            kept,
            decimal_comma: options.decimal_comma,
            gatherer,
        }),
    })
}

impl Lines {
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
}

impl Rows for CsvRows {
    fn next(&mut self, most: usize) -> Result<Option<Part>> {
        while let Some(line) = self.lines.line
            && !self.gatherer.is_full(most)
        {
            let record = &self.lines.record;
            if record.len() == self.width {
                let comma = self.decimal_comma;
                let fields = self.kept.iter().map(|&j| Cell::of_text(&record[j], comma));
                if let Some(table) = self.gatherer.row(Some(line), fields) {
                    for (column, field) in table.iter_mut().zip(record) {
                        if let Values::Text(column) = column {
                            column.push(Some(field.to_owned()));
                        }
                    }
                }
            } else {
                self.gatherer.ragged(line, record.len());
            }
            self.lines.advance()?;
        }
        self.gatherer.part()
    }

    fn dropped(&self) -> &Dropped {
        self.gatherer.dropped()
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
