use arrow_array::cast::AsArray;
use arrow_array::types::{
    Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_cast::cast;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::DataType;
use serde_json::{Value, json};

use crate::data::values::{Values, json_number};

use super::numbers::Numbers;

/// A column of any type for formats that have none: numbers where f64 holds them as they are, else text.
pub fn plain(column: &ArrayRef) -> Values {
    use DataType::*;
    match column.data_type() {
        Float16 | Float32 | Float64 | Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32 | Boolean
        | Null => match Numbers::of(column) {
            Some(numbers) => {
                let value = |row| numbers.get(row).unwrap_or(f64::NAN);
                Values::Numbers((0..column.len()).map(value).collect())
            }
            None => text(column),
        },
        Dictionary(_, values) => match cast(column, values) {
            Ok(values) => plain(&values),
            Err(_) => text(column),
        },
        _ => text(column),
    }
}

fn text(column: &ArrayRef) -> Values {
    let value = |row| (!column.is_null(row)).then(|| shown(column, row));
    Values::Text((0..column.len()).map(value).collect())
}

/// A value as text: a date and a time as ISO 8601 has them, a decimal with all of its digits, a list in brackets.
fn shown(column: &dyn Array, row: usize) -> String {
    let options = FormatOptions::default();
    match ArrayFormatter::try_new(column, &options) {
        Ok(formatter) => formatter.value(row).to_string(),
        Err(error) => error.to_string(),
    }
}

/// A value as JSON: numbers, booleans, lists and objects as such, all else as text.
pub fn json(column: &dyn Array, row: usize) -> Value {
    use DataType::*;
    if column.is_null(row) {
        return Value::Null;
    }
    let list = |values: ArrayRef| (0..values.len()).map(|row| json(&values, row)).collect();
    match column.data_type() {
        Int8 => json!(column.as_primitive::<Int8Type>().value(row)),
        Int16 => json!(column.as_primitive::<Int16Type>().value(row)),
        Int32 => json!(column.as_primitive::<Int32Type>().value(row)),
        Int64 => json!(column.as_primitive::<Int64Type>().value(row)),
        UInt8 => json!(column.as_primitive::<UInt8Type>().value(row)),
        UInt16 => json!(column.as_primitive::<UInt16Type>().value(row)),
        UInt32 => json!(column.as_primitive::<UInt32Type>().value(row)),
        UInt64 => json!(column.as_primitive::<UInt64Type>().value(row)),
        Float16 | Float32 | Float64 => match Numbers::of(&column.slice(row, 1)) {
            Some(number) => json_number(number.get(0).unwrap_or(f64::NAN)),
            None => Value::Null,
        },
        Boolean => json!(column.as_boolean().value(row)),
        List(_) => list(column.as_list::<i32>().value(row)),
        LargeList(_) => list(column.as_list::<i64>().value(row)),
        FixedSizeList(..) => list(column.as_fixed_size_list().value(row)),
        Struct(fields) => {
            let columns = column.as_struct().columns().iter();
            let values = fields.iter().zip(columns);
            values
                .map(|(field, column)| (field.name().clone(), json(column, row)))
                .collect()
        }
        Dictionary(_, values) => match cast(&column.slice(row, 1), values) {
            Ok(value) => json(&value, 0),
            Err(_) => json!(shown(column, row)),
        },
        _ => json!(shown(column, row)),
    }
}
