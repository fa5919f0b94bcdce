use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_cast::cast;
use arrow_cast::display::{ArrayFormatter, FormatOptions, array_value_to_string};
use arrow_schema::{ArrowError, DataType, FieldRef};
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
    let column = &in_utc(column);
    let texts = Texts::of(column);
    let value = |row| (!column.is_null(row)).then(|| texts.get(row));
    Values::Text((0..column.len()).map(value).collect())
}

/// The values of a column as text: a date and a time as ISO 8601 has them, a decimal with all of its digits, a list in
/// brackets.
pub(super) struct Texts<'a> {
    column: &'a ArrayRef,
    formatter: Result<ArrayFormatter<'a>, ArrowError>,
}

impl<'a> Texts<'a> {
    /// Of a column whose points in time are [in UTC](in_utc).
    pub fn of(column: &'a ArrayRef) -> Self {
        Texts {
            column,
            formatter: ArrayFormatter::try_new(column, &FormatOptions::default()),
        }
    }

    /// A value; one that has no text, as a date beyond all calendars, as the number that is kept of it.
    pub fn get(&self, row: usize) -> String {
        let text = match &self.formatter {
            Ok(formatter) => formatter.value(row).try_to_string().ok(),
            Err(_) => None,
        };
        text.unwrap_or_else(|| self.number(row).unwrap_or_else(|error| error.to_string()))
    }

    fn number(&self, row: usize) -> Result<String, ArrowError> {
        let number = cast(&self.column.slice(row, 1), &DataType::Int64)?;
        array_value_to_string(&number, 0)
    }
}

/// The same column, with points in time told in UTC: where a named time zone stands takes a data base of them all.
pub(super) fn in_utc(column: &ArrayRef) -> ArrayRef {
    let kind = type_in_utc(column.data_type());
    match kind == *column.data_type() {
        true => column.clone(),
        false => cast(column, &kind).unwrap_or_else(|_| column.clone()),
    }
}

fn type_in_utc(kind: &DataType) -> DataType {
    use DataType::*;
    let field = |field: &FieldRef| -> FieldRef {
        let kind = type_in_utc(field.data_type());
        Arc::new(field.as_ref().clone().with_data_type(kind))
    };
    match kind {
        Timestamp(unit, Some(_)) => Timestamp(*unit, Some("+00:00".into())),
        List(of) => List(field(of)),
        LargeList(of) => LargeList(field(of)),
        FixedSizeList(of, size) => FixedSizeList(field(of), *size),
        Struct(fields) => Struct(fields.iter().map(field).collect()),
        Map(of, sorted) => Map(field(of), *sorted),
        Dictionary(keys, values) => Dictionary(keys.clone(), Box::new(type_in_utc(values))),
        _ => kind.clone(),
    }
}

/// A value as JSON: numbers, booleans, lists and objects as such, all else as text.
pub fn json(column: &ArrayRef, row: usize) -> Value {
    use DataType::*;
    if column.is_null(row) {
        return Value::Null;
    }
    let as_text = || json!(Texts::of(&in_utc(&column.slice(row, 1))).get(0));
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
        Null => Value::Null,
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
            Err(_) => as_text(),
        },
        _ => as_text(),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::builder::{ListBuilder, TimestampSecondBuilder};
    use arrow_array::{NullArray, TimestampSecondArray};

    use super::*;

    #[test]
    fn points_in_time_of_any_zone_are_told_in_utc() {
        let zone = |zone: &str| -> ArrayRef {
            Arc::new(TimestampSecondArray::from(vec![0, 90]).with_timezone(zone))
        };
        for name in ["Europe/Berlin", "+02:00", "UTC", "no zone"] {
            let Values::Text(texts) = plain(&zone(name)) else {
                panic!("{name}: no text");
            };
            let expected = ["1970-01-01T00:00:00Z", "1970-01-01T00:01:30Z"];
            assert_eq!(texts, expected.map(|it| Some(it.to_string())), "{name}");
            assert_eq!(json(&zone(name), 1), json!(expected[1]), "{name}");
        }
        let kind = DataType::Timestamp(arrow_schema::TimeUnit::Second, Some("Asia/Tokyo".into()));
        let times = TimestampSecondBuilder::new().with_data_type(kind);
        let mut lists = ListBuilder::new(times);
        lists.append_value([Some(0), None]);
        let lists: ArrayRef = Arc::new(lists.finish());
        assert_eq!(json(&lists, 0), json!(["1970-01-01T00:00:00Z", null]));
        assert_eq!(
            Texts::of(&in_utc(&lists)).get(0),
            "[1970-01-01T00:00:00Z, ]"
        );
    }

    #[test]
    fn what_has_no_text_is_shown_as_its_number() {
        let beyond: ArrayRef = Arc::new(TimestampSecondArray::from(vec![i64::MAX]));
        assert_eq!(Texts::of(&beyond).get(0), i64::MAX.to_string());
        let nulls: ArrayRef = Arc::new(NullArray::new(1));
        assert_eq!(json(&nulls, 0), Value::Null);
    }
}
