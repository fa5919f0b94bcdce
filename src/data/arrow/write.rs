use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::file::properties::WriterProperties;
use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use arrow_ipc::writer::{DictionaryHandling, FileWriter, IpcWriteOptions};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};

use crate::data::values::json_text;
use crate::data::{TableHeader, Values};

use super::dictionaries::Dictionaries;

/// Writes a Parquet file, in row groups of so many rows, so that memory does not grow with the table.
pub fn write_parquet(
    out: &mut (dyn Write + Send),
    header: &TableHeader,
    parts: impl Iterator<Item = Vec<Values>>,
) -> io::Result<()> {
    const ROWS: usize = 1 << 18;
    let (schema, mut batches) = batches(header, parts);
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROWS))
        .build();
    let mut writer =
        ArrowWriter::try_new(out, schema, Some(properties)).map_err(io::Error::other)?;
    batches.try_for_each(|batch| writer.write(&batch?).map_err(io::Error::other))?;
    writer.close().map(drop).map_err(io::Error::other)
}

/// Writes an Arrow file.
pub fn write_arrow(
    out: &mut (dyn Write + Send),
    header: &TableHeader,
    parts: impl Iterator<Item = Vec<Values>>,
) -> io::Result<()> {
    let (schema, mut batches) = batches(header, parts);
    let options = IpcWriteOptions::default().with_dictionary_handling(DictionaryHandling::Delta);
    let mut writer =
        FileWriter::try_new_with_options(out, &schema, options).map_err(io::Error::other)?;
    let mut dictionaries = Dictionaries::default();
    batches.try_for_each(|batch| {
        let batch = dictionaries.extend(batch?).map_err(io::Error::other)?;
        writer.write(&batch).map_err(io::Error::other)
    })?;
    writer.finish().map_err(io::Error::other)
}

/// The parts as batches. The first says what kinds the columns have; where there is none they are numbers.
fn batches(
    header: &TableHeader,
    parts: impl Iterator<Item = Vec<Values>>,
) -> (SchemaRef, impl Iterator<Item = io::Result<RecordBatch>>) {
    let mut parts = parts.peekable();
    let kinds = match parts.peek() {
        Some(part) => part.iter().map(Values::none_of_them).collect(),
        None => vec![Values::Numbers(Vec::new()); header.names.len()],
    };
    let fields = header
        .names
        .iter()
        .zip(kinds)
        .map(|(name, kind)| match kind {
            Values::Numbers(_) | Values::Fields(..) => {
                Arc::new(Field::new(name, DataType::Float64, true))
            }
            Values::Whole(_) => Arc::new(Field::new(name, DataType::UInt64, false)),
            Values::Text(_) | Values::Json(_) => Arc::new(Field::new(name, DataType::Utf8, true)),
            Values::Arrow(field, _) => field,
        });
    let metadata: HashMap<String, String> = header.metadata.iter().cloned().collect();
    let schema = Schema::new(fields.collect::<Vec<FieldRef>>()).with_metadata(metadata);
    let schema = Arc::new(schema);
    let of_all = schema.clone();
    let batches = parts.map(move |part| {
        let arrays = part.into_iter().map(array).collect();
        RecordBatch::try_new(of_all.clone(), arrays).map_err(io::Error::other)
    });
    (schema, batches)
}

/// NaN stays NaN: it is a number that could not be had.
fn array(values: Values) -> ArrayRef {
    match values {
        Values::Numbers(values) => Arc::new(Float64Array::from(values)),
        Values::Whole(values) => Arc::new(UInt64Array::from(values)),
        Values::Text(values) => Arc::new(StringArray::from(values)),
        Values::Json(values) => {
            Arc::new(values.into_iter().map(json_text).collect::<StringArray>())
        }
        Values::Fields(_, numbers) => {
            let numbers = numbers.into_iter();
            let there = numbers.map(|number| (!number.is_nan()).then_some(number));
            Arc::new(there.collect::<Float64Array>())
        }
        Values::Arrow(_, array) => array,
    }
}
