use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Float16Type,
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_cast::cast;
use arrow_schema::DataType;
use num_traits::ToPrimitive;

/// A column of numbers, some of which may be null. Whole ones beyond 2^53 are rounded.
pub(super) struct Numbers {
    values: Vec<f64>,
    /// None where nothing is null.
    is_null: Option<Vec<bool>>,
}

/// Whether columns of this type can be read.
pub(super) fn holds_numbers(kind: &DataType) -> bool {
    use DataType::*;
    match kind {
        Float16 | Float32 | Float64 | Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32
        | UInt64 | Boolean | Null => true,
        Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..) => true,
        Dictionary(_, values) => holds_numbers(values),
        RunEndEncoded(_, values) => holds_numbers(values.data_type()),
        _ => false,
    }
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
            Decimal32(_, scale) => {
                let power = power(*scale);
                primitive::<Decimal32Type>(column, |x| f64::from(x) / power)
            }
            Decimal64(_, scale) => {
                let power = power(*scale);
                primitive::<Decimal64Type>(column, |x| x as f64 / power)
            }
            Decimal128(_, scale) => {
                let power = power(*scale);
                primitive::<Decimal128Type>(column, |x| x as f64 / power)
            }
            Decimal256(_, scale) => {
                let power = power(*scale);
                // Those that 128 bits hold are what they are there.
                primitive::<Decimal256Type>(column, |x| match x.to_i128() {
                    Some(x) => x as f64 / power,
                    None => x.to_f64().unwrap_or(f64::NAN) / power,
                })
            }
            Dictionary(_, values) => return Self::of(&cast(column, values).ok()?),
            RunEndEncoded(_, values) => return Self::of(&cast(column, values.data_type()).ok()?),
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

/// What a decimal's digits are divided by.
fn power(scale: i8) -> f64 {
    10f64.powi(scale.into())
}

fn primitive<T: ArrowPrimitiveType>(
    column: &ArrayRef,
    number: impl Fn(T::Native) -> f64,
) -> Option<Vec<f64>> {
    let column = column.as_primitive_opt::<T>()?;
    Some(column.values().iter().map(|&value| number(value)).collect())
}
