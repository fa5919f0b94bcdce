//! Reads Parquet and Arrow files as batches of numeric columns.

mod dictionaries;
mod guarded;
mod ipc;
mod numbers;
mod parquet;
mod plain;
mod stream;
mod write;

use std::io::Read;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchReader};
use arrow_ipc::Message;
use arrow_schema::{DataType, Field, Schema};
use serde::Deserialize;

use crate::error::{self, Error, Remedy, Result, escape_control, first_few, quote};
use crate::memory;

use super::cell::Cell;
use super::columns::{Categories, Selection};
use super::rows::{Dropped, Opened, Part, RowBuilder, Rows};
use super::source::{Format, Source, held_within};
use super::{TableOptions, Values};

use guarded::guarded;
#[cfg(feature = "cli")]
pub(crate) use guarded::is_panic_an_error;
use numbers::{Numbers, holds_numbers};
pub(super) use plain::{json, plain};
pub(super) use write::{write_arrow, write_parquet};

/// Batches of the columns that are read, in the file's order.
type Batches = Box<dyn Iterator<Item = Result<RecordBatch, String>> + Send>;

/// Begins to read the columns at these indices.
type Begin = dyn FnOnce(&[usize]) -> Result<Batches, String> + Send;

/// What a file says of itself, and the way to its rows.
struct File {
    schema: Schema,
    row_count_hint: Option<usize>,
    /// Of these columns, by their indices in ascending order.
    batches: Box<Begin>,
}

impl File {
    /// Of batches with all columns.
    fn new(
        schema: Schema,
        batches: impl Iterator<Item = Result<RecordBatch, String>> + Send + 'static,
    ) -> Self {
        File {
            schema,
            row_count_hint: None,
            batches: Box::new(move |columns| {
                let columns = columns.to_vec();
                Ok(Box::new(batches.map(move |batch| {
                    batch?.project(&columns).map_err(|error| error.to_string())
                })))
            }),
        }
    }
}

/// The beginning of a message of Arrow's.
const CONTINUATION: [u8; 4] = [0xff; 4];

const CUT_SHORT: &str = "it is cut short";

/// Opens a Parquet file, or an Arrow file or stream.
pub(super) fn open(source: Source, format: &Format, options: &TableOptions) -> Result<Opened> {
    let name = source.name.clone();
    let what = match format {
        Format::Parquet => "a Parquet",
        _ => "an Arrow",
    };
    let damaged =
        move |error: String| format!("not readable as {what} file: {}", escape_control(&error));
    let file = match format {
        Format::Parquet => guarded(|| parquet::open(source)),
        _ if source.head.starts_with(&CONTINUATION) => guarded(|| stream::open(source)),
        _ => guarded(|| ipc::open(source)),
    };
    let file = file.map_err(|error| about(&name, damaged(error).into()))?;
    opened(&name, file, options, Box::new(damaged))
}

/// Opens batches that a program holds; `name` is what messages call them.
pub(super) fn open_batches(
    name: &str,
    batches: Box<dyn RecordBatchReader + Send>,
    options: &TableOptions,
) -> Result<Opened> {
    let schema = batches.schema().as_ref().clone();
    let file = File::new(schema, batches.map(|it| it.map_err(|e| e.to_string())));
    opened(name, file, options, Box::new(|error| error))
}

/// An error that names the table that it is about.
fn about(name: &str, message: error::Message) -> Error {
    Error::Data(
        message
            .prefixed(format_args!("{name}: "))
            .in_file(name.as_ref()),
    )
}

fn opened(
    name: &str,
    file: File,
    options: &TableOptions,
    damaged: Box<dyn Fn(String) -> String + Send>,
) -> Result<Opened> {
    let bad = |message: error::Message| about(name, message);
    let columns: Vec<String> = file
        .schema
        .fields()
        .iter()
        .map(|it| it.name().clone())
        .collect();
    let labels = row_labels(&file.schema);
    let is_row_label = |j: usize| labels.contains(&columns[j]);
    let selection = options.select(name, &columns, true, is_row_label)?;
    check_types(&file.schema, &selection).map_err(bad)?;
    let mut read = selection.columns.clone();
    read.sort_unstable();
    if options.keeps_table {
        read = (0..columns.len()).collect();
    }
    let order = selection.columns.iter();
    let order = order.filter_map(|j| read.binary_search(j).ok()).collect();
    let batches = guarded(|| (file.batches)(&read)).map_err(|error| bad(damaged(error).into()))?;
    let fields = file.schema.fields().iter();
    let types = fields.map(|field| field.data_type().to_string()).collect();
    let metadata = file.schema.metadata().iter();
    let mut metadata: Vec<(String, String)> = metadata
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    metadata.sort();
    let builder = RowBuilder::new(name, &columns, true, &selection, options);
    Ok(Opened {
        columns: builder.columns(),
        all_columns: columns,
        named: true,
        row_count_hint: file.row_count_hint,
        types,
        metadata,
        rows: Box::new(ArrowRows {
            batches,
            order,
            columns: Vec::new(),
            batch: None,
            keeps_table: options.keeps_table,
            next: 0,
            rows: 0,
            builder,
            damaged,
        }),
    })
}

/// The columns that hold the labels of the rows, by what pandas says in its metadata.
fn row_labels(schema: &Schema) -> Vec<String> {
    #[derive(Deserialize)]
    struct Pandas {
        // A name, or the description of a range that is no column.
        index_columns: Vec<serde_json::Value>,
    }
    let pandas = schema.metadata().get("pandas");
    let pandas = pandas.and_then(|json| serde_json::from_str::<Pandas>(json).ok());
    let columns = pandas.map_or_else(Vec::new, |pandas| pandas.index_columns);
    let names = columns.iter().filter_map(|column| column.as_str());
    names.map(String::from).collect()
}

/// Refuses columns that are to be read and hold no numbers.
fn check_types(schema: &Schema, selection: &Selection) -> Result<(), error::Message> {
    let described = |field: &Field| {
        let kind = error::truncate_escaped(&field.data_type().to_string());
        format!("{} ({kind})", quote(field.name()))
    };
    let fields = selection.columns.iter().map(|&j| schema.field(j));
    let others: Vec<String> = fields
        .zip(&selection.categories)
        .filter(|(field, categories)| {
            let may_be_text = **categories != Categories::Never && holds_text(field.data_type());
            !may_be_text && !holds_numbers(field.data_type())
        })
        .map(|(field, _)| described(field))
        .collect();
    match others.is_empty() {
        true => Ok(()),
        false => {
            let text = format!("these columns hold no numbers: {}", first_few(&others));
            Err(error::Message::new(text)
                .remedy(Remedy::with("leave them out", "exclude"))
                .remedy(Remedy::with("take categories as context", "given")))
        }
    }
}

/// A column of a batch.
enum Column {
    Numbers(Numbers),
    /// None where a row has none.
    Text(Vec<Option<String>>),
}

impl Column {
    /// None where it holds neither numbers nor text.
    fn of(column: &ArrayRef) -> Option<Self> {
        if holds_text(column.data_type()) {
            return match plain(column) {
                Values::Text(texts) => Some(Column::Text(texts)),
                _ => None,
            };
        }
        Numbers::of(column).map(Column::Numbers)
    }

    #[inline]
    fn cell(&self, row: usize) -> Cell<'_> {
        match self {
            Column::Numbers(numbers) => match numbers.get(row) {
                Some(value) => Cell::of_number(value),
                None => Cell::Missing("null"),
            },
            Column::Text(texts) => match &texts[row] {
                Some(text) => Cell::Text(text),
                None => Cell::Missing("null"),
            },
        }
    }
}

/// Whether columns of this type hold text.
fn holds_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => holds_text(values),
        _ => false,
    }
}

/// All bytes of what is read from its end and is no file on a disk.
fn held(reader: impl Read) -> Result<Vec<u8>, String> {
    held_within(
        reader,
        memory::available() / 2,
        "it comes through a pipe or is packed; read it from a file",
    )
}

/// Refuses a batch that says that it takes more memory than there is when it is unpacked.
fn check_packed(header: &Message<'_>, body: &[u8]) -> Result<(), String> {
    let Some(batch) = header.header_as_record_batch() else {
        return Ok(());
    };
    if batch.compression().is_none() {
        return Ok(());
    }
    let mut bytes = 0u64;
    for buffer in batch.buffers().into_iter().flatten() {
        let begin = usize::try_from(buffer.offset()).unwrap_or(usize::MAX);
        let length = body.get(begin..).and_then(|rest| rest.first_chunk());
        // A buffer that lies elsewhere is refused by who reads it; one of -1 is not packed.
        let length = length.map_or(0, |length| i64::from_le_bytes(*length));
        bytes = bytes.saturating_add(u64::try_from(length).unwrap_or(0));
    }
    match memory::shortfall(bytes) {
        None => Ok(()),
        Some(shortfall) => Err(format!("a batch {shortfall}")),
    }
}

struct ArrowRows {
    batches: Batches,
    /// Where each column that is read lies in a batch.
    order: Vec<usize>,
    /// The columns of the batch that is being read, the position in it, and its length.
    columns: Vec<Column>,
    next: usize,
    rows: usize,
    /// All of it, where the whole table is kept.
    batch: Option<RecordBatch>,
    keeps_table: bool,
    builder: RowBuilder,
    damaged: Box<dyn Fn(String) -> String + Send>,
}

impl ArrowRows {
    /// Makes the next batch that has rows the one that is being read. Returns whether there is one.
    fn advance(&mut self) -> Result<bool> {
        while self.next == self.rows {
            let batches = &mut self.batches;
            let batch = guarded(|| batches.next().transpose());
            let Some(batch) = batch.map_err(|error| self.builder.bad((self.damaged)(error)))?
            else {
                return Ok(false);
            };
            let order = &self.order;
            let columns = guarded(|| {
                let columns = order.iter().map(|&j| Column::of(batch.column(j)));
                let columns: Option<Vec<Column>> = columns.collect();
                columns.ok_or_else(|| "a batch has other types than the file says".into())
            });
            self.columns = columns.map_err(|error| self.builder.bad((self.damaged)(error)))?;
            self.rows = batch.num_rows();
            self.next = 0;
            self.batch = self.keeps_table.then_some(batch);
        }
        Ok(true)
    }
}

impl Rows for ArrowRows {
    fn next(&mut self, most: usize) -> Result<Option<Part>> {
        let mut table = None;
        while !self.builder.is_full(most) && self.advance()? {
            let begin = self.next;
            while self.next < self.rows && !self.builder.is_full(most) {
                let row = self.next;
                self.builder
                    .row(None, self.columns.iter().map(|column| column.cell(row)));
                self.next += 1;
            }
            // With the whole table a part ends where its batch does: columns of two are not put together.
            if let Some(batch) = &self.batch {
                let rows = batch.slice(begin, self.next - begin);
                let fields = rows.schema_ref().fields().iter().cloned();
                let columns = fields.zip(rows.columns().iter().cloned());
                table = Some(
                    columns
                        .map(|(field, column)| Values::Arrow(field, column))
                        .collect(),
                );
                break;
            }
        }
        let part = self.builder.part()?;
        Ok(part.map(|part| Part { table, ..part }))
    }

    fn dropped(&self) -> &Dropped {
        self.builder.dropped()
    }

    fn notes(&self) -> Vec<error::Message> {
        self.builder.notes()
    }
}
