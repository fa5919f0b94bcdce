use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Decimal128Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use crate::data::Values;

/// A column of numbers, some of which may be null. Whole ones beyond 2^53 are rounded.
pub(super) struct Numbers {
    values: Vec<f64>,
    /// None where nothing is null.
    is_null: Option<Vec<bool>>,
}

/// Whether columns of this type can be read.
pub(super) fn holds_numbers(kind: &DataType) -> bool {
    use DataType::*;
    matches!(
        kind,
        Float16
            | Float32
            | Float64
            | Int8
            | Int16
            | Int32
            | Int64
            | UInt8
            | UInt16
            | UInt32
            | UInt64
            | Boolean
            | Null
            | Decimal128(..)
    )
}

/// Whether columns of this type can be written again.
pub(super) fn can_be_kept(kind: &DataType) -> bool {
    use DataType::*;
    holds_numbers(kind) || matches!(kind, Utf8 | LargeUtf8 | Utf8View)
}

/// A column that [can be kept](can_be_kept).
pub(super) fn kept(column: &ArrayRef) -> Values {
    if let Some(numbers) = Numbers::of(column) {
        let value = |row| numbers.get(row).unwrap_or(f64::NAN);
        return Values::Numbers((0..column.len()).map(value).collect());
    }
    let text: Vec<Option<&str>> = match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().iter().collect(),
        DataType::LargeUtf8 => column.as_string::<i64>().iter().collect(),
        DataType::Utf8View => column.as_string_view().iter().collect(),
        _ => vec![None; column.len()],
    };
    Values::Text(
        text.into_iter()
            .map(|text| text.map(str::to_owned))
            .collect(),
    )
}

impl Numbers {
    /// Of a column; none where it does not [hold numbers](holds_numbers).
    pub fn of(column: &ArrayRef) -> Option<Self> {
        use DataType::*;
        let values = match column.data_type() {
            Float64 => primitive::<Float64Type>(column, |x| x),
            Float32 => primitive::<Float32Type>(column, f64::from),
            Float16 => primitive::<Float16Type>(column, f64::from),
            Int64 => primitive::<Int64Type>(column, |x| x as f64),
            Int32 => primitive::<Int32Type>(column, f64::from),
            Int16 => primitive::<Int16Type>(column, f64::from),
            Int8 => primitive::<Int8Type>(column, f64::from),
            UInt64 => primitive::<UInt64Type>(column, |x| x as f64),
            UInt32 => primitive::<UInt32Type>(column, f64::from),
            UInt16 => primitive::<UInt16Type>(column, f64::from),
            UInt8 => primitive::<UInt8Type>(column, f64::from),
            Decimal128(_, scale) => {
                let scale = i32::from(*scale);
                primitive::<Decimal128Type>(column, |x| x as f64 / 10f64.powi(scale))
            }
            Boolean => {
                let column = column.as_boolean_opt()?;
                let values = (0..column.len()).map(|row| f64::from(u8::from(column.value(row))));
                Some(values.collect())
            }
            Null => Some(vec![0.0; column.len()]),
            _ => None,
        }?;
        let is_null = match column.logical_null_count() {
            0 => None,
            _ => column
                .logical_nulls()
                .map(|nulls| nulls.iter().map(|valid| !valid).collect()),
        };
        Some(Numbers { values, is_null })
    }

    /// The number of a row; none where it is null.
    #[inline]
    pub fn get(&self, row: usize) -> Option<f64> {
        let is_null = self.is_null.as_ref().is_some_and(|is_null| is_null[row]);
        (!is_null).then(|| self.values[row])
    }
}

fn primitive<T: ArrowPrimitiveType>(
    column: &ArrayRef,
    number: impl Fn(T::Native) -> f64,
) -> Option<Vec<f64>> {
    let column = column.as_primitive_opt::<T>()?;
    Some(column.values().iter().map(|&value| number(value)).collect())
}
