use std::io::{self, Write};

use npyz::{NpyFile, Order, WriterBuilder};

use crate::error::{Error, Result, excerpt};
use crate::matrix::Matrix;
use crate::memory;

use super::rows::{Opened, Rows, WAY_OUT, and_more, told};
use super::source::Source;
use super::{TableOptions, default_names};

/// A NPY array that is read part by part.
struct NpyRows {
    /// For messages.
    name: String,
    /// In C order.
    numbers: Box<dyn Iterator<Item = io::Result<f64>> + Send>,
    rows: usize,
    columns: usize,
    kept: Vec<usize>,
    /// Rows read.
    row: usize,
    /// For each column kept the first number that is not finite, with its row, and how many there are.
    wrong: Vec<Option<(usize, f64, usize)>>,
}

/// As long as NumPy lets a header be, and deeper than one is.
const LONGEST_HEADER: usize = 10_000;
const DEEPEST_HEADER: usize = 16;

/// Refuses a header that its parser cannot take: one that is too long or too deep, or whose shape overflows. `head` has as
/// many of the file's first bytes as the longest header may have; what is no header is left to the parser.
fn check_header(head: &[u8]) -> Result<(), String> {
    let (length, text) = match head {
        [_, _, _, _, _, _, 1, _, a, b, text @ ..] => (u16::from_le_bytes([*a, *b]).into(), text),
        [_, _, _, _, _, _, 2..=255, _, a, b, c, d, text @ ..] => {
            (u32::from_le_bytes([*a, *b, *c, *d]) as usize, text)
        }
        _ => return Ok(()),
    };
    if length > LONGEST_HEADER {
        return Err(format!(
            "its header has {length} bytes, more than {LONGEST_HEADER}"
        ));
    }
    let text = &text[..length.min(text.len())];
    let mut depth = 0usize;
    for byte in text {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST_HEADER {
            return Err("its header has too many brackets in brackets".into());
        }
    }
    let numbers = text.split(|byte| !byte.is_ascii_digit());
    let mut product = Some(1u64);
    for digits in numbers.filter(|digits| !digits.is_empty()) {
        let number = str::from_utf8(digits).ok();
        let number = number.and_then(|digits| digits.parse::<u64>().ok());
        product = product
            .zip(number)
            .and_then(|(a, b)| a.checked_mul(b.max(1)));
    }
    match product {
        Some(_) => Ok(()),
        None => Err(format!(
            "its header promises more numbers than there can be: {}",
            excerpt(&String::from_utf8_lossy(text), 200)
        )),
    }
}

/// Opens a two-dimensional NPY array of f32 or f64, in C or Fortran order; the latter is read whole.
pub(super) fn open(mut source: Source, options: &TableOptions) -> Result<Opened> {
    let name = source.name.clone();
    let bad = |message: String| Error::Data(format!("{name}: {message}"));
    source
        .look(LONGEST_HEADER + 12, |_| false)
        .map_err(|error| bad(error.to_string()))?;
    check_header(&source.head).map_err(|what| bad(format!("not a readable NPY file: {what}")))?;
    let npy = NpyFile::new(source.into_reader()).map_err(|error| {
        // It may repeat the whole of a header.
        let error = excerpt(&error.to_string(), 200);
        bad(format!("not a readable NPY file: {error}"))
    })?;
    let shape = npy.shape().to_vec();
    let &[rows, columns] = &shape[..] else {
        return Err(bad(format!(
            "the array has shape {shape:?}; a table has two dimensions: rows and columns"
        )));
    };
    let kind = excerpt(&npy.dtype().descr(), 200);
    let order = npy.order();
    let in_order = matches!(order, Order::C);
    // Of what is read whole the promise is checked here, of the rest by who keeps it.
    let bytes = rows
        .checked_mul(columns)
        .and_then(|count| count.checked_mul(16));
    let too_much = bytes.is_none() || columns > u64::from(u32::MAX);
    if too_much || !in_order {
        let shortfall = memory::shortfall(bytes.unwrap_or(u64::MAX));
        if let Some(shortfall) = shortfall {
            return Err(bad(format!(
                "the header promises {rows} x {columns} numbers, which {shortfall}; take fewer rows"
            )));
        }
    }
    let numbers: Box<dyn Iterator<Item = io::Result<f64>> + Send> = match npy.try_data::<f64>() {
        Ok(data) => Box::new(data),
        Err(npy) => match npy.try_data::<f32>() {
            Ok(data) => Box::new(data.map(|value| value.map(f64::from))),
            Err(_) => {
                return Err(bad(format!(
                    "the array's type is {kind}; convert it to float32 or float64"
                )));
            }
        },
    };
    let (rows, columns) = (rows as usize, columns as usize);
    let names = default_names(columns);
    let kept = options.kept(&names, false)?;
    let mut parts = NpyRows {
        name: name.clone(),
        numbers,
        rows,
        columns,
        wrong: vec![None; kept.len()],
        kept,
        row: 0,
    };
    if !in_order {
        let values: Vec<f64> = (0..rows * columns)
            .map(|_| parts.number())
            .collect::<Result<_>>()?;
        let places = (0..rows).flat_map(move |row| (0..columns).map(move |j| j * rows + row));
        parts.numbers = Box::new(places.map(move |place| Ok(values[place])));
    }
    Ok(Opened {
        columns: parts.kept.iter().map(|&j| names[j].clone()).collect(),
        named: false,
        promised: Some(rows),
        rows: Box::new(parts),
    })
}

impl NpyRows {
    fn bad(&self, message: String) -> Error {
        Error::Data(format!("{}: {message}", self.name))
    }

    fn number(&mut self) -> Result<f64> {
        match self.numbers.next() {
            Some(Ok(number)) => Ok(number),
            end => {
                let why = match end {
                    Some(Err(error)) => format!(": {error}"),
                    _ => String::new(),
                };
                Err(self.bad(format!(
                    "the file ends before the {} x {} numbers that its header promises{why}",
                    self.rows, self.columns
                )))
            }
        }
    }

    /// What is wrong with the rows so far, in one message.
    fn verdict(&self) -> Result<()> {
        let places = self.kept.iter().zip(&self.wrong);
        let wrong: Vec<String> = places
            .filter_map(|(place, wrong)| {
                let (row, value, count) = (*wrong)?;
                Some(format!(
                    "row {row}, column {}: {value} is not a finite number{}",
                    place + 1,
                    and_more(count)
                ))
            })
            .collect();
        if wrong.is_empty() {
            return Ok(());
        }
        Err(self.bad(format!("{}; {WAY_OUT}", told(wrong).join("; "))))
    }
}

impl Rows for NpyRows {
    fn next(&mut self, most: usize) -> Result<Option<Matrix<f64>>> {
        let first = self.row;
        let mut sound = true;
        let mut row_values = vec![0.0; self.columns];
        let mut values: Vec<Vec<f64>> = vec![Vec::new(); self.kept.len()];
        while self.row < self.rows && (!sound || self.row - first < most) {
            for value in &mut row_values {
                *value = self.number()?;
            }
            self.row += 1;
            for ((&j, column), wrong) in self.kept.iter().zip(&mut values).zip(&mut self.wrong) {
                let value = row_values[j];
                if value.is_finite() {
                    if sound {
                        column.push(value);
                    }
                } else {
                    sound = false;
                    let (_, _, count) = wrong.get_or_insert((self.row, value, 0));
                    *count += 1;
                }
            }
        }
        self.verdict()?;
        let rows = self.row - first;
        Ok((rows > 0).then(|| Matrix::from_values(rows, self.kept.len(), values.concat())))
    }
}

/// Writes rows as a NPY array of f64, [rows, columns], as they come from `parts`.
///
/// # Errors
/// Those of the writer and of `parts`.
pub fn write_npy(
    out: &mut dyn Write,
    rows: usize,
    columns: usize,
    parts: impl Iterator<Item = Result<Matrix<f64>>>,
) -> Result<io::Result<()>> {
    let mut writer = match npyz::WriteOptions::<f64>::new()
        .default_dtype()
        .shape(&[rows as u64, columns as u64])
        .writer(out)
        .begin_nd()
    {
        Ok(writer) => writer,
        Err(error) => return Ok(Err(error)),
    };
    for part in parts {
        let part = part?;
        for row in 0..part.rows() {
            for value in part.row(row) {
                if let Err(error) = writer.push(&value) {
                    return Ok(Err(error));
                }
            }
        }
    }
    Ok(writer.finish())
}
