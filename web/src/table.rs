use couplet::Matrix;
use couplet::data::{Missing, TableOptions, TableReader, Target, TargetName};
use couplet::train::GroundTruth;
use serde::Deserialize;
use serde_json::json;
use wasm_bindgen::prelude::*;

use crate::error::{thrown, words};
use crate::flow::Flow;

/// A table to fit to, or rows for a flow. Numbers are in rows, one after the other; of a column of categories a number is the index of
/// a level.
#[wasm_bindgen]
pub struct Table(pub(crate) couplet::Table);

/// How a table is read.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct ReadOptions {
    columns: Vec<String>,
    exclude: Vec<String>,
    header: Option<bool>,
    drop_missing: bool,
    decimal_comma: bool,
    given: Vec<String>,
    categories: Vec<String>,
    weights: Option<String>,
}

#[wasm_bindgen]
impl Table {
    /// What is in a file: text, JSON Lines, NPY or NPZ, packed or not. `options` are JSON.
    pub fn read(name: &str, bytes: Vec<u8>, options: &str) -> Result<Table, JsError> {
        let options: ReadOptions = serde_json::from_str(options)?;
        let options = TableOptions {
            columns: options.columns,
            exclude: options.exclude,
            header: options.header,
            missing: match options.drop_missing {
                true => Missing::Drop,
                false => Missing::Refuse,
            },
            decimal_comma: options.decimal_comma,
            given: options.given,
            categories: options.categories,
            weights: options.weights,
            takes_text: true,
            ..TableOptions::default()
        };
        read(name, bytes, &options)
    }

    /// The columns of a flow that a file has, in the flow's order.
    #[wasm_bindgen(js_name = readFor)]
    pub fn read_for(flow: &Flow, name: &str, bytes: Vec<u8>) -> Result<Table, JsError> {
        let options = TableOptions {
            expected: Some(flow.0.model().expected_columns()),
            ..TableOptions::default()
        };
        read(name, bytes, &options)
    }

    /// Of numbers that a program holds, row after row.
    pub fn of(columns: Vec<String>, values: &[f64]) -> Result<Table, JsError> {
        let values = whole_rows(values, columns.len()).map_err(thrown)?;
        Ok(Table(couplet::Table::new(columns, values).map_err(thrown)?))
    }

    /// Rows drawn from a density of two columns that has a name.
    pub fn target(name: &str, rows: usize, seed: u32) -> Result<Table, JsError> {
        let name: TargetName = name.parse().map_err(thrown)?;
        let seed = u64::from(seed);
        let target = Target::new(name, None, None, seed).map_err(thrown)?;
        let table = GroundTruth::new(target, seed).table(rows);
        Ok(Table(table.map_err(thrown)?))
    }

    /// Rows, columns with their levels and ranges, and what is to be known of how it was read, as JSON.
    pub fn describe(&self) -> String {
        let Table(table) = self;
        let column = |(j, name): (usize, &String)| {
            let numbers = table.values.column(j);
            let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
            let most = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            json!({ "name": name, "levels": table.levels_of(j), "min": least, "max": most })
        };
        let notes = table.notes.iter().map(words);
        json!({
            "rows": table.values.rows(),
            "named": table.named,
            "columns": table.columns.iter().enumerate().map(column).collect::<Vec<_>>(),
            "notes": notes.collect::<Vec<_>>(),
            "dropped": table.dropped.rows,
        })
        .to_string()
    }

    /// Its numbers, row after row.
    pub fn values(&self) -> Vec<f64> {
        rows(&self.0.values)
    }
}

fn read(name: &str, bytes: Vec<u8>, options: &TableOptions) -> Result<Table, JsError> {
    let reader = TableReader::from_bytes(name, bytes, options).map_err(thrown)?;
    Ok(Table(reader.read().map_err(thrown)?))
}

/// Rows of so many columns from numbers that follow row after row.
///
/// # Errors
/// [`couplet::Error::Data`] where they are not so many numbers.
pub fn whole_rows(values: &[f64], columns: usize) -> couplet::Result<Matrix<f64>> {
    match columns > 0 && values.len().is_multiple_of(columns) {
        true => Ok(matrix(values, columns)),
        false => Err(couplet::Error::Data(
            format!("{} numbers are no rows of {columns} columns", values.len()).into(),
        )),
    }
}

/// The same, as far as there are whole ones.
pub fn matrix(values: &[f64], columns: usize) -> Matrix<f64> {
    let count = values.len().checked_div(columns).unwrap_or(0);
    Matrix::from_fn(count, columns, |row, j| values[row * columns + j])
}

/// Numbers row after row.
pub fn rows(matrix: &Matrix<f64>) -> Vec<f64> {
    let rows = (0..matrix.rows()).flat_map(|row| matrix.row(row));
    rows.collect()
}
