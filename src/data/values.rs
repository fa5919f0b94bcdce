use serde_json::{Value, json};

/// Some rows of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Numbers, NaN where there is none.
    Numbers(Vec<f64>),
    /// Whole numbers.
    Whole(Vec<u64>),
    /// Text, none where there is none.
    Text(Vec<Option<String>>),
    /// Numbers that were read from text, NaN where there is none, and the text: separated text has it as it was.
    Fields(Vec<String>, Vec<f64>),
    /// Values of JSON.
    Json(Vec<Value>),
    /// A column of an Arrow or Parquet file, with its type.
    #[cfg(feature = "arrow")]
    Arrow(arrow_schema::FieldRef, arrow_array::ArrayRef),
}

impl Values {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Values::Numbers(values) => values.len(),
            Values::Whole(values) => values.len(),
            Values::Text(values) => values.len(),
            Values::Fields(text, _) => text.len(),
            Values::Json(values) => values.len(),
            #[cfg(feature = "arrow")]
            Values::Arrow(_, array) => array.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// None of its kind.
    pub(super) fn none_of_them(&self) -> Self {
        match self {
            Values::Numbers(_) => Values::Numbers(Vec::new()),
            Values::Whole(_) => Values::Whole(Vec::new()),
            Values::Text(_) => Values::Text(Vec::new()),
            Values::Fields(..) => Values::Fields(Vec::new(), Vec::new()),
            Values::Json(_) => Values::Json(Vec::new()),
            #[cfg(feature = "arrow")]
            Values::Arrow(field, array) => Values::Arrow(field.clone(), array.slice(0, 0)),
        }
    }
}

/// JSON has no infinity, and this is how languages read and write one as text; nor has it NaN.
pub(super) fn json_number(value: f64) -> Value {
    match value {
        f64::INFINITY => json!("inf"),
        f64::NEG_INFINITY => json!("-inf"),
        value if value == value.trunc() && value.abs() < 1e15 => json!(value as i64),
        value => json!(value),
    }
}

/// A value of JSON as text; none where it is null.
pub(super) fn json_text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}
