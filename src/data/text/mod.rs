//! Text tables: fields separated by commas, semicolons, tabs, blanks or another character.

mod blanks;
mod front;
mod header;
pub(super) mod number;
mod separator;

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Message, Remedy, Result, list};

use super::rows::{Dropped, Opened, Part, RowBuilder, Rows};
use super::source::Source;
use super::{TableOptions, Values, default_names};

use blanks::SingleBlanks;
use front::{Front, is_comment};
use header::{Header, may_be_names};
use separator::Sample;
pub use separator::Separator;

/// The longest row, in bytes, that is taken for one.
const LONGEST_ROW: u64 = 64 << 20;

/// The longest name of a column, in bytes.
const LONGEST_NAME: usize = 1000;

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

/// The records of a text table.
struct Records {
    /// For messages.
    name: String,
    reader: ::csv::Reader<Bounded<Box<dyn Read + Send>>>,
    since: Arc<AtomicU64>,
    record: ::csv::StringRecord,
    /// The line that `record` is from, if it is a row still to be taken.
    line: Option<u64>,
    /// Lines in front of the first.
    lines_in_front: u64,
}

/// A text table that is read part by part.
struct TextRows {
    records: Records,
    width: usize,
    kept: Vec<usize>,
    decimal_comma: bool,
    builder: RowBuilder,
    /// Comments between the rows.
    comments: u64,
}

/// Opens a text table, and reads its first record, which has the names if the options say so, if it has those of the model, or
/// if none of its fields is a number.
pub(super) fn open(mut source: Source, options: &TableOptions) -> Result<Opened> {
    let name = source.name.clone();
    let bad = |message: Message| {
        Error::Data(
            message
                .prefixed(format_args!("{name}: "))
                .in_file(name.as_ref()),
        )
    };
    let unreadable = |error: io::Error| bad(error.to_string().into());
    let front = Front::skip(&mut source).map_err(unreadable)?;
    let sample = Sample::of(&mut source, LONGEST_ROW as usize).map_err(unreadable)?;
    let separator = options.separator.or(front.separator);
    let separator = separator.unwrap_or_else(|| sample.separator());
    let mut records = Records::new(source, separator, front.lines)?;
    records.advance()?;
    if records.line.is_none() {
        return Err(bad(match front.comments {
            0 => "the file is empty".into(),
            _ => "the file has comments alone, lines that begin with #, % or //".into(),
        }));
    }
    // Fields of later lines are trimmed as they are read: a record trimmed whole is a record allocated anew.
    records.record.trim();
    let first: Vec<&str> = records.record.iter().collect();
    let width = first.len();
    if width == 1
        && options.separator.is_none()
        && let Some(hint) = other_separator(&sample)
    {
        return Err(bad(hint));
    }
    let header = Header::find(&first, &sample, &front, separator, options);
    let is_doubtful = header == Header::Nowhere
        && options.header.is_none()
        && may_be_names(&first, &sample, separator, options.decimal_comma);
    let doubt = is_doubtful.then(|| {
        let first: Vec<String> = first.iter().map(|field| field.to_string()).collect();
        let text = format!(
            "the first line ({}) is taken for a row of numbers",
            list(&first)
        );
        Message::new(text)
            .remedy(Remedy::new(
                "say that it names the columns",
                "header",
                "yes",
            ))
            .remedy(Remedy::new("that it does not", "header", "no"))
    });
    let names = match &header {
        Header::Nowhere => None,
        Header::Comment(names) => Some(names.clone()),
        Header::First => {
            if let Some(j) = first.iter().position(|name| name.len() > LONGEST_NAME) {
                return Err(bad(format!(
                    "line {}: the name of column {} is {} bytes long; look for a quote that is not closed",
                    records.line.unwrap_or(1),
                    j + 1,
                    first[j].len()
                ).into()));
            }
            Some(first.iter().map(|name| name.to_string()).collect())
        }
    };
    let named = names.is_some();
    let columns = names.unwrap_or_else(|| default_names(width));
    let selection = options.select(&name, &columns, named, |_| false)?;
    if header == Header::First {
        records.advance()?;
    }
    let mut builder = RowBuilder::new(&name, &columns, named, &selection, options);
    if front.comments > 0 {
        builder.note(match (&header, front.comments) {
            (Header::Comment(names), _) => format!(
                "the comment in line {} names the columns: {}",
                front.lines,
                list(names)
            ),
            (_, 1) => "a comment in front of the table is skipped".to_string(),
            (_, count) => format!("{count} lines of comments in front of the table are skipped"),
        });
    }
    if let Some(doubt) = doubt {
        builder.note(doubt);
    }
    if options.keeps_table {
        let kind = |j| match selection.columns.contains(&j) {
            true => Values::Fields(Vec::new(), Vec::new()),
            false => Values::Text(Vec::new()),
        };
        builder.keep_table((0..width).map(kind).collect());
    }
    Ok(Opened {
        all_columns: columns,
        columns: builder.columns(),
        named,
        row_count_hint: None,
        types: vec!["text".into(); width],
        metadata: Vec::new(),
        rows: Box::new(TextRows {
            records,
            width,
            kept: selection.columns,
            decimal_comma: options.decimal_comma,
            builder,
            comments: 0,
        }),
    })
}

impl Records {
    fn new(source: Source, separator: Separator, lines_in_front: u64) -> Result<Self> {
        let name = source.name.clone();
        let since = Arc::new(AtomicU64::new(0));
        let inner: Box<dyn Read + Send> = match separator {
            Separator::Byte(_) => Box::new(source.into_reader()),
            Separator::Blanks => Box::new(SingleBlanks::new(source.into_reader())),
        };
        let delimiter = match separator {
            Separator::Byte(byte) if !byte.is_ascii() => {
                return Err(Error::spec(format!(
                    "byte {byte} cannot separate fields: it is no character alone"
                )));
            }
            Separator::Byte(byte) => byte,
            Separator::Blanks => b' ',
        };
        let reader = ::csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(Bounded {
                inner,
                since: since.clone(),
            });
        Ok(Records {
            name,
            reader,
            since,
            record: ::csv::StringRecord::new(),
            line: None,
            lines_in_front,
        })
    }

    fn bad(&self, message: String) -> Error {
        Error::data(format!("{}: {message}", self.name))
    }

    /// Reads the next record.
    fn advance(&mut self) -> Result<()> {
        self.since.store(0, Ordering::Relaxed);
        let more = match self.reader.read_record(&mut self.record) {
            Ok(more) => more,
            Err(error) => {
                return Err(match error.into_kind() {
                    ::csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                        let line = self.lines_in_front + self.reader.position().line();
                        self.bad(format!("line {line}: {error}"))
                    }
                    ::csv::ErrorKind::Io(source) => Error::Io {
                        path: self.name.clone().into(),
                        source,
                    },
                    ::csv::ErrorKind::Utf8 { pos, .. } => {
                        let line = self.lines_in_front + pos.map_or(0, |pos| pos.line());
                        self.bad(format!(
                            "line {line} is not UTF-8 text; is this a text table? (iconv -f LATIN1 -t UTF-8 converts text of \
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
        self.line = more.then(|| self.lines_in_front + began.max(ended));
        Ok(())
    }
}

/// What a record turns out to be.
enum Kind {
    Row,
    Comment,
    /// A line of blanks.
    Blank,
    /// It has not as many fields as the others.
    Ragged,
}

impl TextRows {
    fn kind(&self) -> Kind {
        let record = &self.records.record;
        let first = record.get(0).unwrap_or_default().trim();
        let fits = record.len() == self.width;
        // What begins so is no number; a column that is not read may have it.
        let may_be_value = fits && !self.kept.contains(&0);
        match fits {
            _ if record.len() == 1 && first.is_empty() => Kind::Blank,
            _ if is_comment(first) && !may_be_value => Kind::Comment,
            true => Kind::Row,
            false => Kind::Ragged,
        }
    }
}

impl Rows for TextRows {
    fn next(&mut self, most: usize) -> Result<Option<Part>> {
        while let Some(line) = self.records.line
            && !self.builder.is_full(most)
        {
            let record = &self.records.record;
            match self.kind() {
                Kind::Row => {
                    let comma = self.decimal_comma;
                    let fields = self.kept.iter();
                    let cells = fields.map(|&j| number::cell(&record[j], comma));
                    if let Some(table) = self.builder.row(Some(line), cells) {
                        for (column, field) in table.iter_mut().zip(record) {
                            match column {
                                Values::Text(column) => column.push(Some(field.to_owned())),
                                Values::Fields(text, numbers) => {
                                    text.push(field.to_owned());
                                    numbers.push(number::cell(field, comma).number());
                                }
                                _ => {}
                            }
                        }
                    }
                }
                Kind::Ragged => self.builder.ragged(line, record.len()),
                Kind::Comment => self.comments += 1,
                Kind::Blank => {}
            }
            self.records.advance()?;
        }
        if self.records.line.is_none() {
            self.builder.check_notation()?;
        }
        self.builder.part()
    }

    fn dropped(&self) -> &Dropped {
        self.builder.dropped()
    }

    fn notes(&self) -> Vec<Message> {
        let mut notes = self.builder.notes();
        if self.comments > 0 {
            notes.push(match self.comments {
                1 => "a comment between or after the rows is skipped".into(),
                count => format!("{count} lines of comments between or after the rows are skipped")
                    .into(),
            });
        }
        notes
    }
}

/// What to say of records without a separator that seem to have another one.
fn other_separator(sample: &Sample) -> Option<Message> {
    let (what, name) = if sample.has_in_all(|record| record.contains('|')) {
        ("|", "'|'")
    } else if sample.has_in_all(|record| record.split_whitespace().nth(1).is_some()) {
        ("blanks", "blanks")
    } else {
        return None;
    };
    let text = format!(
        "its fields seem to be separated by {what}, but not all of its first lines have as many of them"
    );
    let remedy = Remedy::new(
        "read them so, to hear which line differs",
        "separator",
        name,
    );
    Some(Message::new(text).remedy(remedy))
}
