//! Parquet and Arrow files: columns of numbers, in batches of rows.

mod guarded;
mod ipc;
mod numbers;
mod parquet;
mod stream;
mod write;

use std::io::Read;

use arrow_array::RecordBatch;
use arrow_ipc::Message;
use arrow_schema::{Field, Schema};

use crate::error::{Error, Result, first_few, plain, shown, told};
use crate::memory;

use super::rows::{Cell, Dropped, Gatherer, Opened, Part, Rows};
use super::source::{Format, Source, held_within};
use super::{TableOptions, Values};

use guarded::guarded;
use numbers::{Numbers, can_be_kept, holds_numbers, kept};
pub(super) use write::{write_arrow, write_parquet};

/// Batches of the columns that are read, in the file's order.
type Batches = Box<dyn Iterator<Item = Result<RecordBatch, String>> + Send>;

/// Begins to read the columns at these places.
type Begin = dyn FnOnce(&[usize]) -> Result<Batches, String> + Send;

/// What a file says of itself, and the way to its rows.
struct File {
    schema: Schema,
    promised: Option<usize>,
    /// Of these columns, by their places in ascending order.
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
            promised: None,
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
    let bad = |message: String| Error::Data(format!("{name}: {message}"));
    let what = match format {
        Format::Parquet => "a Parquet",
        _ => "an Arrow",
    };
    let damaged = move |error: String| format!("not readable as {what} file: {}", told(&error));
    let file = match format {
        Format::Parquet => guarded(|| parquet::open(source)),
        _ if source.head.starts_with(&CONTINUATION) => guarded(|| stream::open(source)),
        _ => guarded(|| ipc::open(source)),
    };
    let file = file.map_err(|error| bad(damaged(error)))?;
    let columns: Vec<String> = file
        .schema
        .fields()
        .iter()
        .map(|it| it.name().clone())
        .collect();
    let wanted = options.kept(&columns, true)?;
    check_types(&file.schema, &wanted, options).map_err(bad)?;
    let mut read = wanted.clone();
    read.sort_unstable();
    if options.keeps_table {
        read = (0..columns.len()).collect();
    }
    let order = wanted
        .iter()
        .filter_map(|j| read.binary_search(j).ok())
        .collect();
    let batches = guarded(|| (file.batches)(&read)).map_err(|error| bad(damaged(error)))?;
    let mut gatherer = Gatherer::new(&name, &columns, true, &wanted, options);
    if options.keeps_table {
        let fields = file.schema.fields().iter();
        gatherer.keep_table(
            fields
                .map(|field| match holds_numbers(field.data_type()) {
                    true => Values::Numbers(Vec::new()),
                    false => Values::Text(Vec::new()),
                })
                .collect(),
        );
    }
    Ok(Opened {
        all_columns: columns,
        columns: gatherer.columns(),
        named: true,
        promised: file.promised,
        rows: Box::new(ArrowRows {
            batches,
            order,
            columns: Vec::new(),
            table: Vec::new(),
            keeps_table: options.keeps_table,
            next: 0,
            rows: 0,
            gatherer,
            damaged: Box::new(damaged),
        }),
    })
}

/// Refuses columns that are wanted and hold no numbers, and where the whole table is kept, what could not be written again.
fn check_types(schema: &Schema, wanted: &[usize], options: &TableOptions) -> Result<(), String> {
    let described = |field: &Field| {
        let kind = plain(&field.data_type().to_string());
        format!("{} ({kind})", shown(field.name()))
    };
    let fields = wanted.iter().map(|&j| schema.field(j));
    let others: Vec<String> = fields
        .filter(|field| !holds_numbers(field.data_type()))
        .map(described)
        .collect();
    if !others.is_empty() {
        return Err(format!(
            "these columns hold no numbers: {}; leave them out with --exclude",
            first_few(&others)
        ));
    }
    let mut fields = schema.fields().iter();
    match fields.find(|field| !can_be_kept(field.data_type())) {
        Some(field) if options.keeps_table => Err(format!(
            "column {} is neither numbers nor text, and cannot be kept",
            described(field)
        )),
        _ => Ok(()),
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
    /// Where each column that is wanted lies in a batch.
    order: Vec<usize>,
    /// The batch that is being read, the place in it, and its length.
    columns: Vec<Numbers>,
    /// All columns of it, where they are kept.
    table: Vec<Values>,
    keeps_table: bool,
    next: usize,
    rows: usize,
    gatherer: Gatherer,
    damaged: Box<dyn Fn(String) -> String + Send>,
}

impl ArrowRows {
    /// Makes the next batch that has rows the one that is being read. Returns whether there is one.
    fn advance(&mut self) -> Result<bool> {
        while self.next == self.rows {
            let batches = &mut self.batches;
            let batch = guarded(|| batches.next().transpose());
            let Some(batch) = batch.map_err(|error| self.gatherer.bad((self.damaged)(error)))?
            else {
                return Ok(false);
            };
            let columns = self.order.iter().map(|&j| Numbers::of(batch.column(j)));
            let columns: Option<Vec<Numbers>> = columns.collect();
            self.columns = columns.ok_or_else(|| {
                let other = "a batch has other types than the file says".to_string();
                self.gatherer.bad((self.damaged)(other))
            })?;
            if self.keeps_table {
                self.table = batch.columns().iter().map(kept).collect();
            }
            self.rows = batch.num_rows();
            self.next = 0;
        }
        Ok(true)
    }
}

impl Rows for ArrowRows {
    fn next(&mut self, most: usize) -> Result<Option<Part>> {
        while !self.gatherer.is_full(most) && self.advance()? {
            let row = self.next;
            let cells = self.columns.iter().map(|column| match column.get(row) {
                Some(value) => Cell::of_number(value),
                None => Cell::Missing("null"),
            });
            if let Some(table) = self.gatherer.row(None, cells) {
                for (all, batch) in table.iter_mut().zip(&self.table) {
                    all.push_from(batch, row);
                }
            }
            self.next += 1;
        }
        self.gatherer.part()
    }

    fn dropped(&self) -> &Dropped {
        self.gatherer.dropped()
    }
}
