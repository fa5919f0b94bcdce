use std::io::{BufReader, Cursor, Read, Seek};

use arrow_array::RecordBatch;
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{ArrowError, Schema};

use crate::data::source::{Source, Whole};

use super::{File, held};

/// Opens an Arrow file, which is read from its end, or a stream.
pub(super) fn open(source: Source) -> Result<File, String> {
    if !source.head.starts_with(b"ARROW1") {
        let stream = StreamReader::try_new(source.into_reader(), None);
        let stream = stream.map_err(|error| error.to_string())?;
        let schema = stream.schema().as_ref().clone();
        return Ok(file(schema, stream));
    }
    match source.into_whole() {
        Whole::File(it) => from_end(BufReader::new(it)),
        Whole::Stream(reader) => from_end(Cursor::new(held(reader)?)),
    }
}

fn from_end(input: impl Read + Seek + Send + 'static) -> Result<File, String> {
    let batches = FileReader::try_new(input, None).map_err(|error| error.to_string())?;
    let schema = batches.schema().as_ref().clone();
    Ok(file(schema, batches))
}

fn file(
    schema: Schema,
    batches: impl Iterator<Item = Result<RecordBatch, ArrowError>> + Send + 'static,
) -> File {
    File {
        schema,
        promised: None,
        batches: Box::new(move |columns| {
            let columns = columns.to_vec();
            Ok(Box::new(batches.map(move |batch| {
                let batch = batch.and_then(|batch| batch.project(&columns));
                batch.map_err(|error| error.to_string())
            })))
        }),
    }
}
