use std::io::{self, Read, Write};

use half::f16;
use npyz::{NpyFile, Order, WriterBuilder};

use crate::error::{Error, Message, Result, excerpt};
use crate::memory;

use super::cell::Cell;
use super::rows::{Dropped, Opened, Part, RowBuilder, Rows};
use super::source::Source;
use super::{TableOptions, Values, default_names};

/// A NPY array that is read part by part.
struct NpyRows {
    numbers: Numbers,
    kept: Vec<usize>,
    builder: RowBuilder,
}

/// The numbers of an array, in C order.
struct Numbers {
    /// For messages.
    name: String,
    numbers: Box<dyn Iterator<Item = io::Result<f64>> + Send>,
    rows: usize,
    columns: usize,
    /// Rows read.
    row: usize,
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

/// Opens a two-dimensional NPY array of numbers, in C or Fortran order; the latter is read whole.
pub(super) fn open(mut source: Source, options: &TableOptions) -> Result<Opened> {
    let name = source.name.clone();
    let bad = |message: String| Error::data(format!("{name}: {message}"));
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
    // The declared length is checked here for arrays that are read whole, and while reading for the others.
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
    let Some(numbers) = numbers(npy) else {
        return Err(bad(format!(
            "the array's type is {kind}, and numbers are read; convert it to float64"
        )));
    };
    let (rows, columns) = (rows as usize, columns as usize);
    let names = default_names(columns);
    let selection = options.select(&name, &names, false, |_| false)?;
    let mut numbers = Numbers {
        name: name.clone(),
        numbers,
        rows,
        columns,
        row: 0,
    };
    if !in_order {
        let values: Vec<f64> = (0..rows * columns)
            .map(|_| numbers.next())
            .collect::<Result<_>>()?;
        let indices = (0..rows).flat_map(move |row| (0..columns).map(move |j| j * rows + row));
        numbers.numbers = Box::new(indices.map(move |index| Ok(values[index])));
    }
    let mut builder = RowBuilder::new(&name, &names, false, &selection, options);
    if options.keeps_table {
        builder.keep_table(vec![Values::Numbers(Vec::new()); columns]);
    }
    Ok(Opened {
        columns: builder.columns(),
        named: false,
        row_count_hint: Some(rows),
        types: vec!["number".into(); columns],
        all_columns: names,
        metadata: Vec::new(),
        rows: Box::new(NpyRows {
            numbers,
            kept: selection.columns,
            builder,
        }),
    })
}

/// The numbers of an array of whatever type numbers may have, if it has such a one; whole ones beyond 2^53 are rounded.
fn numbers<R: Read + Send + 'static>(
    npy: NpyFile<R>,
) -> Option<Box<dyn Iterator<Item = io::Result<f64>> + Send>> {
    macro_rules! first_of {
        ($npy:ident, $($kind:ty => $number:expr),+) => {{
            $(let $npy = match $npy.try_data::<$kind>() {
                Ok(data) => return Some(Box::new(data.map(|value| value.map($number)))),
                Err(npy) => npy,
            };)+
            drop($npy);
        }};
    }
    first_of!(
        npy,
        f64 => |x| x, f32 => f64::from, f16 => f64::from, i64 => |x| x as f64, i32 => f64::from, i16 => f64::from,
        i8 => f64::from, u64 => |x| x as f64, u32 => f64::from, u16 => f64::from, u8 => f64::from,
        bool => |x| f64::from(u8::from(x))
    );
    None
}

impl Numbers {
    fn next(&mut self) -> Result<f64> {
        match self.numbers.next() {
            Some(Ok(number)) => Ok(number),
            end => {
                let why = match end {
                    Some(Err(error)) => format!(": {error}"),
                    _ => String::new(),
                };
                Err(Error::data(format!(
                    "{}: the file ends before the {} x {} numbers that its header promises{why}",
                    self.name, self.rows, self.columns
                )))
            }
        }
    }
}

impl Rows for NpyRows {
    fn next(&mut self, most: usize) -> Result<Option<Part>> {
        let mut row = vec![0.0; self.numbers.columns];
        while self.numbers.row < self.numbers.rows && !self.builder.is_full(most) {
            for value in &mut row {
                *value = self.numbers.next()?;
            }
            self.numbers.row += 1;
            let cells = self.kept.iter().map(|&j| Cell::of_number(row[j]));
            if let Some(table) = self.builder.row(None, cells) {
                for (column, &value) in table.iter_mut().zip(&row) {
                    if let Values::Numbers(column) = column {
                        column.push(value);
                    }
                }
            }
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

/// Writes rows as a NPY array of f64, [rows, columns]. The header says how many there are: where that is not known, all are
/// held first.
pub(super) fn write(
    out: &mut dyn Write,
    columns: usize,
    rows: Option<usize>,
    parts: impl Iterator<Item = Vec<Values>>,
) -> io::Result<()> {
    if rows.is_none() {
        let all: Vec<_> = parts.collect();
        let rows = all.iter().map(|part| part.first().map_or(0, Values::len));
        return write(out, columns, Some(rows.sum()), all.into_iter());
    }
    let rows = rows.unwrap_or(0) as u64;
    let mut writer = npyz::WriteOptions::<f64>::new()
        .default_dtype()
        .shape(&[rows, columns as u64])
        .writer(out)
        .begin_nd()?;
    for part in parts {
        for row in 0..part.first().map_or(0, Values::len) {
            for values in &part {
                let value = match values {
                    Values::Numbers(values) | Values::Fields(_, values) => values[row],
                    Values::Whole(values) => values[row] as f64,
                    _ => {
                        return Err(io::Error::new(
                            io::ErrorKind::Unsupported,
                            "an NPY array holds numbers alone, and there is a column of text; write another format",
                        ));
                    }
                };
                writer.push(&value)?;
            }
        }
    }
    writer.finish()
}
