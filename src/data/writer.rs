use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::npy;
use super::text::number::{is_missing, is_no_number};
use super::values::{Values, json_number, json_text};

/// The formats that tables are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum TableFormat {
    /// Commas between the fields.
    Csv,
    /// Tabs between them.
    Tsv,
    /// An object a row (JSON Lines).
    #[cfg_attr(feature = "cli", value(name = "jsonl"))]
    JsonLines,
    /// An array of f64, without the columns' names.
    Npy,
    /// Parquet, with zstd.
    Parquet,
    /// An Arrow file.
    Arrow,
}

impl TableFormat {
    /// Every format.
    pub const ALL: [TableFormat; 6] = [
        TableFormat::Csv,
        TableFormat::Tsv,
        TableFormat::JsonLines,
        TableFormat::Npy,
        TableFormat::Parquet,
        TableFormat::Arrow,
    ];

    /// How the names of its files end, the usual way first.
    pub fn ends(self) -> &'static [&'static str] {
        match self {
            TableFormat::Csv => &["csv"],
            TableFormat::Tsv => &["tsv", "tab"],
            TableFormat::JsonLines => &["jsonl", "ndjson"],
            TableFormat::Npy => &["npy"],
            TableFormat::Parquet => &["parquet"],
            TableFormat::Arrow => &["arrow", "feather", "ipc"],
        }
    }

    /// Whether its files are text.
    pub fn is_text(self) -> bool {
        matches!(
            self,
            TableFormat::Csv | TableFormat::Tsv | TableFormat::JsonLines
        )
    }

    /// That of a file, by the end of its name.
    pub fn of(path: &Path) -> Option<Self> {
        let end = path.extension()?.to_str()?.to_ascii_lowercase();
        let is_it = |format: &TableFormat| format.ends().contains(&end.as_str());
        Self::ALL.into_iter().find(is_it)
    }
}

/// What a table says of itself before its rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableHeader {
    /// The names of the columns.
    pub names: Vec<String>,
    /// What an Arrow or Parquet file has beside them, by key; other formats leave it out.
    pub metadata: Vec<(String, String)>,
}

impl From<&[String]> for TableHeader {
    fn from(names: &[String]) -> Self {
        TableHeader {
            names: names.to_vec(),
            metadata: Vec::new(),
        }
    }
}

/// Writes a table part by part: the columns of each part have the kinds of the first, and as many rows as one another.
/// `rows` is how many there will be, where that is known; an NPY file says it at its beginning, and is held whole otherwise.
/// Numbers are written in their shortest form that reads back to the same bits.
///
/// # Errors
/// Those of the writer; of kind [`io::ErrorKind::Unsupported`] where the format cannot hold the columns.
pub fn write_table(
    format: TableFormat,
    out: &mut (dyn Write + Send),
    header: &TableHeader,
    rows: Option<usize>,
    parts: impl Iterator<Item = Vec<Values>>,
) -> io::Result<()> {
    let columns = &header.names;
    match format {
        TableFormat::Csv => text(b',', out, columns, parts.map(plain)),
        TableFormat::Tsv => text(b'\t', out, columns, parts.map(plain)),
        TableFormat::JsonLines => json_lines(out, columns, parts),
        TableFormat::Npy => npy::write(out, columns.len(), rows, parts.map(plain)),
        #[cfg(feature = "arrow")]
        TableFormat::Parquet => super::arrow::write_parquet(out, header, parts),
        #[cfg(feature = "arrow")]
        TableFormat::Arrow => super::arrow::write_arrow(out, header, parts),
        #[cfg(not(feature = "arrow"))]
        TableFormat::Parquet | TableFormat::Arrow => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "Parquet and Arrow files are written by a build with the feature \"arrow\"",
        )),
    }
}

/// Columns of Arrow's types as numbers or text, for formats without types.
fn plain(part: Vec<Values>) -> Vec<Values> {
    let plain = |values| match values {
        #[cfg(feature = "arrow")]
        Values::Arrow(_, array) => super::arrow::plain(&array),
        Values::Json(values) => Values::Text(values.into_iter().map(json_text).collect()),
        plain => plain,
    };
    part.into_iter().map(plain).collect()
}

fn text(
    separator: u8,
    out: &mut dyn Write,
    columns: &[String],
    parts: impl Iterator<Item = Vec<Values>>,
) -> io::Result<()> {
    let mut line = String::new();
    for (j, name) in columns.iter().enumerate() {
        if j > 0 {
            line.push(separator.into());
        }
        push_name(&mut line, name, separator);
    }
    line.push('\n');
    out.write_all(line.as_bytes())?;
    let mut number = zmij::Buffer::new();
    for part in parts {
        for row in 0..part.first().map_or(0, Values::len) {
            line.clear();
            for (j, values) in part.iter().enumerate() {
                if j > 0 {
                    line.push(separator.into());
                }
                match values {
                    Values::Numbers(values) if values[row].is_nan() => {}
                    Values::Numbers(values) => {
                        let shortest = number.format(values[row]);
                        line.push_str(shortest.strip_suffix(".0").unwrap_or(shortest));
                    }
                    Values::Whole(values) => line += &values[row].to_string(),
                    Values::Text(values) => {
                        push_field(&mut line, values[row].as_deref().unwrap_or(""), separator);
                    }
                    Values::Fields(text, _) => push_field(&mut line, &text[row], separator),
                    // Plain by now.
                    _ => {}
                }
            }
            line.push('\n');
            out.write_all(line.as_bytes())?;
        }
    }
    Ok(())
}

/// A value as a field, in quotes where it needs them (RFC 4180).
fn push_field(line: &mut String, field: &str, separator: u8) {
    match field.contains([char::from(separator), '"', '\n', '\r']) {
        true => push_quoted(line, field),
        false => line.push_str(field),
    }
}

/// A name as a field: in quotes where it could be taken for a number, for no value or for a comment.
fn push_name(line: &mut String, name: &str, separator: u8) {
    match name.starts_with('#') || !is_no_number(name) || is_missing(name) {
        true => push_quoted(line, name),
        false => push_field(line, name, separator),
    }
}

fn push_quoted(line: &mut String, field: &str) {
    line.push('"');
    line.push_str(&field.replace('"', "\"\""));
    line.push('"');
}

fn json_lines(
    out: &mut dyn Write,
    columns: &[String],
    parts: impl Iterator<Item = Vec<Values>>,
) -> io::Result<()> {
    // A map of serde_json's would put the columns in the order of the alphabet.
    let keys: Vec<String> = columns.iter().map(|name| json!(name).to_string()).collect();
    for part in parts {
        for row in 0..part.first().map_or(0, Values::len) {
            for (j, (key, values)) in keys.iter().zip(&part).enumerate() {
                let before = if j == 0 { '{' } else { ',' };
                write!(out, "{before}{key}:{}", json_value(values, row))?;
            }
            out.write_all(b"}\n")?;
        }
    }
    Ok(())
}

fn json_value(values: &Values, row: usize) -> Value {
    match values {
        Values::Numbers(values) | Values::Fields(_, values) => json_number(values[row]),
        Values::Whole(values) => json!(values[row]),
        Values::Text(values) => json!(values[row]),
        Values::Json(values) => values[row].clone(),
        #[cfg(feature = "arrow")]
        Values::Arrow(_, array) => super::arrow::json(array, row),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_the_shortest_numbers_and_quotes_where_they_are_needed() {
        let columns = ["a,\"b\"", "n"].map(String::from);
        let part = vec![
            Values::Text(vec![Some("x\ty".into()), None]),
            Values::Numbers(vec![0.1, -3.0]),
        ];
        let written = |format| {
            let mut out = Vec::new();
            let header = TableHeader::from(&columns[..]);
            write_table(format, &mut out, &header, None, [part.clone()].into_iter()).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            written(TableFormat::Csv),
            "\"a,\"\"b\"\"\",n\nx\ty,0.1\n,-3\n"
        );
        assert_eq!(
            written(TableFormat::Tsv),
            "\"a,\"\"b\"\"\"\tn\n\"x\ty\"\t0.1\n\t-3\n"
        );
        assert_eq!(
            written(TableFormat::JsonLines),
            "{\"a,\\\"b\\\"\":\"x\\ty\",\"n\":0.1}\n{\"a,\\\"b\\\"\":null,\"n\":-3}\n"
        );
    }

    /// Numbers that were text: as they stood there where all is text, as numbers where there are numbers.
    #[test]
    fn fields_are_text_in_text_and_numbers_in_json() {
        let columns = ["a".to_string()];
        let fields = ["1.50", "NA"].map(String::from).to_vec();
        let part = vec![Values::Fields(fields, vec![1.5, f64::NAN])];
        for (format, expected) in [
            (TableFormat::Csv, "a\n1.50\nNA\n"),
            (TableFormat::JsonLines, "{\"a\":1.5}\n{\"a\":null}\n"),
        ] {
            let mut out = Vec::new();
            let header = TableHeader::from(&columns[..]);
            write_table(format, &mut out, &header, None, [part.clone()].into_iter()).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
