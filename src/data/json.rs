//! JSON Lines: one object per row.

use std::fmt;
use std::io::{BufRead, BufReader, Read};

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::error::{Error, Message, Result, escape_control, truncate_escaped};

use super::cell::Cell;
use super::rows::{Dropped, Opened, Part, RowBuilder, Rows};
use super::source::Source;
use super::text::number;
use super::{TableOptions, Values};

/// The longest line, in bytes, that is taken for one.
const LONGEST_LINE: u64 = 64 << 20;

/// The keys and values of an object, in their order.
struct Object(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object, a row of the table")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Object, M::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Object(entries))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

/// The objects of a file, line by line.
struct Lines {
    name: String,
    reader: BufReader<Box<dyn Read + Send>>,
    line: u64,
    text: Vec<u8>,
}

impl Lines {
    fn bad(&self, message: impl fmt::Display) -> Error {
        Error::data(format!("{}: line {}: {message}", self.name, self.line))
    }

    /// The object of the next line that is not empty; none at the end.
    fn next(&mut self) -> Result<Option<Object>> {
        loop {
            self.text.clear();
            let reader = self.reader.by_ref();
            let read = reader.take(LONGEST_LINE).read_until(b'\n', &mut self.text);
            self.line += 1;
            if read.map_err(|error| self.bad(error))? == 0 {
                return Ok(None);
            }
            if self.text.len() as u64 == LONGEST_LINE {
                return Err(self.bad("it is longer than 64 MiB"));
            }
            if self.text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let object = serde_json::from_slice(&self.text);
            return object.map(Some).map_err(|error| {
                self.bad(format!(
                    "not an object of JSON Lines, which has one a line: {}",
                    escape_control(&error)
                ))
            });
        }
    }
}

struct JsonRows {
    lines: Lines,
    /// The row that comes next, by the indices of the columns.
    next: Option<Vec<Value>>,
    columns: Vec<String>,
    kept: Vec<usize>,
    builder: RowBuilder,
}

/// Opens a file of JSON Lines; the keys of its first object are the columns.
pub(super) fn open(source: Source, options: &TableOptions) -> Result<Opened> {
    let name = source.name.clone();
    let mut lines = Lines {
        name: name.clone(),
        reader: BufReader::new(Box::new(source.into_reader())),
        line: 0,
        text: Vec::new(),
    };
    let Some(Object(first)) = lines.next()? else {
        return Err(Error::data(format!("{name}: the file is empty")));
    };
    let (columns, values): (Vec<String>, Vec<Value>) = first.into_iter().unzip();
    let selection = options.select(&name, &columns, true, |_| false)?;
    let mut builder = RowBuilder::new(&name, &columns, true, &selection, options);
    if options.keeps_table {
        let kind = |j| match selection.columns.contains(&j) {
            true => Values::Numbers(Vec::new()),
            false => Values::Json(Vec::new()),
        };
        builder.keep_table((0..columns.len()).map(kind).collect());
    }
    Ok(Opened {
        columns: builder.columns(),
        all_columns: columns.clone(),
        named: true,
        row_count_hint: None,
        types: vec!["JSON".into(); columns.len()],
        metadata: Vec::new(),
        rows: Box::new(JsonRows {
            lines,
            next: Some(values),
            columns,
            kept: selection.columns,
            builder,
        }),
    })
}

impl JsonRows {
    /// Reads the next row; a key that is not there is null.
    fn advance(&mut self) -> Result<()> {
        let Some(Object(entries)) = self.lines.next()? else {
            self.next = None;
            return Ok(());
        };
        let mut values = vec![Value::Null; self.columns.len()];
        for (index, (key, value)) in entries.into_iter().enumerate() {
            // Nearly always in the order of the first.
            let column = match self.columns.get(index) == Some(&key) {
                true => Some(index),
                false => self.columns.iter().position(|column| *column == key),
            };
            let Some(column) = column else {
                return Err(self.lines.bad(format!(
                    "it has the key \"{}\", and the first object has not",
                    truncate_escaped(&key)
                )));
            };
            values[column] = value;
        }
        self.next = Some(values);
        Ok(())
    }
}

/// What a value is in a column of numbers; `text` is it as text, for messages.
fn cell<'a>(value: &'a Value, text: &'a str) -> Cell<'a> {
    match value {
        Value::Null => Cell::Missing("null"),
        Value::Bool(is) => Cell::Number(f64::from(u8::from(*is))),
        Value::Number(number) => Cell::of_number(number.as_f64().unwrap_or(f64::NAN)),
        // Infinities, and numbers of programs that quote them.
        Value::String(text) => number::cell(text, false),
        Value::Array(_) | Value::Object(_) => Cell::Text(text),
    }
}

impl Rows for JsonRows {
    fn next(&mut self, most: usize) -> Result<Option<Part>> {
        while !self.builder.is_full(most)
            && let Some(values) = self.next.take()
        {
            let text = |&j: &usize| match &values[j] {
                nested @ (Value::Array(_) | Value::Object(_)) => nested.to_string(),
                _ => String::new(),
            };
            let texts: Vec<String> = self.kept.iter().map(text).collect();
            let cells = self.kept.iter().zip(&texts);
            let cells = cells.map(|(&j, text)| cell(&values[j], text));
            if let Some(table) = self.builder.row(Some(self.lines.line), cells) {
                for (column, value) in table.iter_mut().zip(values) {
                    match column {
                        Values::Numbers(column) => column.push(cell(&value, "").number()),
                        Values::Json(column) => column.push(value),
                        _ => {}
                    }
                }
            }
            self.advance()?;
        }
        self.builder.part()
    }

    fn dropped(&self) -> &Dropped {
        self.builder.dropped()
    }

    fn notes(&self) -> Vec<Message> {
        self.builder.notes()
    }
}
