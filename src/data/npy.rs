use std::io::{self, Write};

use npyz::{NpyFile, Order, WriterBuilder};

use crate::error::{Error, Result, excerpt};
use crate::matrix::Matrix;
use crate::memory;

use super::source::Source;
use super::{Table, TableOptions, default_names};

/// Reads a two-dimensional NPY array of f32 or f64, in C or Fortran order.
pub(super) fn read(source: Source, options: &TableOptions) -> Result<Table> {
    let name = source.name.clone();
    let bad = |message: String| Error::Data(format!("{name}: {message}"));
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
    let wrong_kind = || {
        bad(format!(
            "the array's type is {kind}; convert it to float32 or float64"
        ))
    };
    // The numbers come as f64, and are turned round and standardised in copies.
    let bytes = rows
        .checked_mul(columns)
        .and_then(|count| count.checked_mul(4 * 8));
    if let Some(shortfall) = memory::shortfall(bytes.unwrap_or(u64::MAX)) {
        return Err(bad(format!(
            "the header promises {rows} x {columns} numbers, which {shortfall}; train on fewer rows"
        )));
    }
    let order = npy.order();
    let ends_early = |error: io::Error| {
        bad(format!(
            "the file ends before the {rows} x {columns} numbers that its header promises: {error}"
        ))
    };
    // Collected as they come, not allocated as promised.
    let values: Vec<f64> = match npy.try_data::<f64>() {
        Ok(data) => data.collect::<io::Result<_>>().map_err(ends_early)?,
        Err(npy) => match npy.try_data::<f32>() {
            Ok(data) => data
                .map(|value| value.map(f64::from))
                .collect::<io::Result<_>>()
                .map_err(ends_early)?,
            Err(_) => return Err(wrong_kind()),
        },
    };
    let (rows, columns) = (rows as usize, columns as usize);
    let names = default_names(columns);
    let kept = options.kept(&names, false)?;
    let values = Matrix::from_fn(rows, kept.len(), |row, j| match order {
        Order::Fortran => values[kept[j] * rows + row],
        Order::C => values[row * columns + kept[j]],
    });
    let not_finite: Vec<String> = kept
        .iter()
        .enumerate()
        .filter_map(|(j, place)| {
            let column = values.column(j);
            let row = column.iter().position(|value| !value.is_finite())?;
            let count = column.iter().filter(|value| !value.is_finite()).count();
            let more = match count - 1 {
                0 => String::new(),
                more => format!(", and so in {more} more of its rows"),
            };
            Some(format!(
                "row {}, column {}: {} is not a finite number{more}",
                row + 1,
                place + 1,
                column[row]
            ))
        })
        .collect();
    if !not_finite.is_empty() {
        const TOLD: usize = 8;
        let more = match not_finite.len().saturating_sub(TOLD) {
            0 => String::new(),
            more => format!("; and {more} more columns are like this"),
        };
        let told = not_finite[..not_finite.len().min(TOLD)].join("; ");
        return Err(bad(format!(
            "{told}{more}; fill in or remove such rows, or leave such columns out with --exclude"
        )));
    }
    Ok(Table {
        columns: kept.iter().map(|&j| names[j].clone()).collect(),
        named: false,
        values,
    })
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
