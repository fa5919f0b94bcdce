use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use crate::error::{Error, Result};
use crate::matrix::Matrix;

use super::{Table, default_names};

/// The separator of a file: whichever of comma, semicolon and tab its first line has most of.
fn separator(path: &Path) -> Result<u8> {
    let mut line = Vec::new();
    let file = File::open(path).map_err(Error::io(path))?;
    BufReader::new(file)
        .take(1 << 16)
        .read_until(b'\n', &mut line)
        .map_err(Error::io(path))?;
    let count = |separator: &u8| line.iter().filter(|byte| *byte == separator).count();
    // The last of equals wins: the comma.
    let candidates = [b'\t', b';', b','];
    Ok(candidates.into_iter().max_by_key(count).unwrap_or(b','))
}

/// Reads a CSV file. Its first line is a header if none of its fields is a number.
pub(super) fn read(path: &Path) -> Result<Table> {
    let separator = separator(path)?;
    let file = File::open(path).map_err(Error::io(path))?;
    let mut reader = ::csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .trim(::csv::Trim::All)
        .from_reader(file);
    let bad = |message: String| Error::Data(format!("{}: {message}", path.display()));
    let mut names: Option<Vec<String>> = None;
    let mut columns: Vec<Vec<f64>> = Vec::new();
    let mut record = ::csv::StringRecord::new();
    loop {
        let more = reader
            .read_record(&mut record)
            .map_err(|error| match error.into_kind() {
                ::csv::ErrorKind::Io(source) => Error::io(path)(source),
                ::csv::ErrorKind::Utf8 { pos, .. } => {
                    let line = pos.map_or(0, |pos| pos.line());
                    bad(format!(
                        "line {line} is not UTF-8 text; is this a CSV file?"
                    ))
                }
                kind => bad(format!("{kind:?}")),
            })?;
        if !more {
            break;
        }
        let is_first = names.is_none() && columns.is_empty();
        if is_first {
            columns = vec![Vec::new(); record.len()];
            let texts = record.iter().filter(|field| field.parse::<f64>().is_err());
            if texts.count() == record.len() && !record.iter().all(str::is_empty) {
                names = Some(record.iter().map(str::to_owned).collect());
                continue;
            }
        }
        // A record begins where the reader stood before it, which may be on a blank line, and ends on the line before
        // the one where the reader stands now, unless the file ends without a line end.
        let began = record.position().map_or(1, ::csv::Position::line);
        let line = began.max(reader.position().line().saturating_sub(1));
        let row = columns[0].len() + 1;
        if record.len() != columns.len() {
            return Err(bad(format!(
                "line {line} (row {row}) has {} {} where {} were expected; look for a missing or extra separator, or \
                 a quote that is not closed",
                record.len(),
                if record.len() == 1 { "field" } else { "fields" },
                columns.len()
            )));
        }
        for (j, (field, column)) in record.iter().zip(&mut columns).enumerate() {
            let name = match &names {
                Some(names) => format!("column {} (\"{}\")", j + 1, names[j]),
                None => format!("column {}", j + 1),
            };
            let place = || format!("line {line} (row {row}), {name}");
            match field.parse::<f64>() {
                Ok(value) if value.is_finite() => column.push(value),
                Ok(_) => {
                    return Err(bad(format!(
                        "{}: {field} is not a finite number; remove the row or fill it in",
                        place()
                    )));
                }
                Err(_) if field.is_empty() => {
                    return Err(bad(format!(
                        "{}: the field is empty; remove the row or fill it in",
                        place()
                    )));
                }
                Err(_) => {
                    let header = if row == 1 && names.is_none() {
                        " (a header's fields would all be names)"
                    } else {
                        ""
                    };
                    let shown: String = field.chars().take(40).collect();
                    return Err(bad(format!(
                        "{}: {shown:?} is not a number{header}",
                        place()
                    )));
                }
            }
        }
    }
    if columns.is_empty() {
        return Err(bad("the file is empty".into()));
    }
    let rows = columns[0].len();
    let width = columns.len();
    Ok(Table {
        named: names.is_some(),
        columns: names.unwrap_or_else(|| default_names(width)),
        values: Matrix::from_values(rows, width, columns.concat()),
    })
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
