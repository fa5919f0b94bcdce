use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ::parquet::file::reader::ChunkReader;
use bytes::Bytes;

use crate::data::source::{Source, Whole};

use super::{File, held};

/// Rows of a batch.
const ROWS: usize = 1 << 13;

/// Opens a Parquet file, which is read from its end: what is no file on a disk is held whole.
pub(super) fn open(source: Source) -> Result<File, String> {
    match source.into_whole() {
        Whole::File(file) => with(file),
        Whole::Stream(reader) => with(Bytes::from(held(reader)?)),
    }
}

fn with(input: impl ChunkReader + 'static) -> Result<File, String> {
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(input).map_err(|error| error.to_string())?;
    let rows = builder.metadata().file_metadata().num_rows();
    Ok(File {
        schema: builder.schema().as_ref().clone(),
        row_count_hint: usize::try_from(rows).ok(),
        batches: Box::new(move |columns| {
            let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
            let reader = builder
                .with_projection(mask)
                .with_batch_size(ROWS)
                .build()
                .map_err(|error| error.to_string())?;
            Ok(Box::new(
                reader.map(|batch| batch.map_err(|error| error.to_string())),
            ))
        }),
    })
}
