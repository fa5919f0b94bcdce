use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;

use npyz::{NpyFile, Order, WriterBuilder};

use crate::error::{Error, Result};
use crate::matrix::Matrix;

use super::{Table, default_names};

/// Reads a two-dimensional NPY array of f32 or f64, in C or Fortran order.
pub(super) fn read(path: &Path) -> Result<Table> {
    let bad = |message: String| Error::Data(format!("{}: {message}", path.display()));
    let file = File::open(path).map_err(Error::io(path))?;
    let length = file.metadata().map_err(Error::io(path))?.len();
    let npy = NpyFile::new(BufReader::new(file))
        .map_err(|error| bad(format!("not a readable NPY file: {error}")))?;
    let shape = npy.shape().to_vec();
    let &[rows, columns] = &shape[..] else {
        return Err(bad(format!(
            "the array has shape {shape:?}; a table has two dimensions: rows and columns"
        )));
    };
    let kind = npy.dtype().descr();
    let width = match npy.dtype() {
        npyz::DType::Plain(plain) if ["<f8", ">f8"].contains(&plain.to_string().as_str()) => 8,
        npyz::DType::Plain(plain) if ["<f4", ">f4"].contains(&plain.to_string().as_str()) => 4,
        _ => {
            return Err(bad(format!(
                "the array's type is {kind}; convert it to float32 or float64"
            )));
        }
    };
    // A header may promise more than the file holds; believe the file before anything is allocated.
    let promised = rows.checked_mul(columns);
    if promised.is_none_or(|count| count.checked_mul(width).is_none_or(|bytes| bytes > length)) {
        return Err(bad(format!(
            "the header promises {rows} x {columns} numbers, more than the file's {length} bytes can hold"
        )));
    }
    let order = npy.order();
    let truncated = |error: io::Error| bad(format!("the file ends early: {error}"));
    let values: Vec<f64> = match npy.try_data::<f64>() {
        Ok(data) => data.collect::<io::Result<_>>().map_err(truncated)?,
        Err(npy) => match npy.try_data::<f32>() {
            Ok(data) => data
                .map(|value| value.map(f64::from))
                .collect::<io::Result<_>>()
                .map_err(truncated)?,
            Err(_) => {
                return Err(bad(format!(
                    "the array's type is {kind}; convert it to float32 or float64"
                )));
            }
        },
    };
    let (rows, columns) = (rows as usize, columns as usize);
    if let Some(place) = values.iter().position(|value| !value.is_finite()) {
        let (row, column) = match order {
            Order::C => (place / columns, place % columns),
            Order::Fortran => (place % rows, place / rows),
        };
        return Err(bad(format!(
            "row {}, column {}: {} is not a finite number; remove the row or fill it in",
            row + 1,
            column + 1,
            values[place]
        )));
    }
    let values = match order {
        Order::Fortran => Matrix::from_values(rows, columns, values),
        Order::C => Matrix::from_fn(rows, columns, |row, column| values[row * columns + column]),
    };
    Ok(Table {
        columns: default_names(columns),
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
