use std::io::{Cursor, Read, Seek, SeekFrom};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::{FileDecoder, read_footer_length};
use arrow_ipc::{Block, root_as_footer, root_as_message};

use crate::data::source::{Source, Whole};

use super::{CONTINUATION, CUT_SHORT, File, check_packed, held};

/// Opens an Arrow file, which is read from its end.
pub(super) fn open(source: Source) -> Result<File, String> {
    match source.into_whole() {
        Whole::File(file) => from_end(file),
        Whole::Stream(reader) => from_end(Cursor::new(held(reader)?)),
    }
}

/// The end of a file: the length of what it says of itself, and the magic word.
const END: u64 = 10;

fn from_end(mut input: impl Read + Seek + Send + 'static) -> Result<File, String> {
    let length = input
        .seek(SeekFrom::End(0))
        .map_err(|error| error.to_string())?;
    let begin = length.checked_sub(END).ok_or(CUT_SHORT)?;
    let end = read_at(&mut input, begin, END)?;
    let end = end.try_into().map_err(|_| CUT_SHORT)?;
    let footer = read_footer_length(end).map_err(|_| CUT_SHORT)? as u64;
    let footer_begin = begin.checked_sub(footer).ok_or(CUT_SHORT)?;
    let footer = read_at(&mut input, footer_begin, footer)?;
    let footer = root_as_footer(&footer).map_err(|error| format!("{error:?}"))?;
    let schema = footer
        .schema()
        .ok_or("it does not say what columns it has")?;
    if !schema.endianness().equals_to_target_endianness() {
        return Err("its bytes are in the order of another machine".into());
    }
    let schema = Arc::new(try_fb_to_schema(schema).map_err(|error| error.to_string())?);
    let list = |blocks: Option<flatbuffers::Vector<'_, Block>>| {
        blocks
            .into_iter()
            .flatten()
            .copied()
            .collect::<Vec<Block>>()
    };
    let mut batches = Batches {
        decoder: FileDecoder::new(schema.clone(), footer.version()),
        input,
        length,
        blocks: list(footer.recordBatches()).into_iter(),
    };
    for block in list(footer.dictionaries()) {
        let bytes = batches.bytes(&block)?;
        let read = batches.decoder.read_dictionary(&block, &bytes.into());
        read.map_err(|error| error.to_string())?;
    }
    Ok(File::new(schema.as_ref().clone(), batches))
}

fn read_at(input: &mut (impl Read + Seek), index: u64, length: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let sought = input.seek(SeekFrom::Start(index));
    let read = sought.and_then(|_| input.take(length).read_to_end(&mut bytes));
    read.map_err(|error| error.to_string())?;
    match bytes.len() as u64 == length {
        true => Ok(bytes),
        false => Err(CUT_SHORT.into()),
    }
}

/// The record batches of a file.
struct Batches<R> {
    decoder: FileDecoder,
    input: R,
    length: u64,
    blocks: std::vec::IntoIter<Block>,
}

impl<R: Read + Seek> Batches<R> {
    /// The bytes of a block, which lies in the file and takes no more memory than there is.
    fn bytes(&mut self, block: &Block) -> Result<Vec<u8>, String> {
        let index = u64::try_from(block.offset());
        let described = u64::try_from(block.metaDataLength());
        let body = u64::try_from(block.bodyLength());
        let (Ok(index), Ok(described), Ok(body)) = (index, described, body) else {
            return Err("a block lies before its beginning".into());
        };
        let end = index
            .checked_add(described)
            .and_then(|end| end.checked_add(body));
        if end.is_none_or(|end| end > self.length) {
            return Err("a block lies behind its end".into());
        }
        let bytes = read_at(&mut self.input, index, described + body)?;
        let (header, body) = bytes.split_at(described as usize);
        let prefix = if header.starts_with(&CONTINUATION) {
            8
        } else {
            4
        };
        let header = header.get(prefix..).ok_or("a block has no description")?;
        let header = root_as_message(header).map_err(|error| format!("{error:?}"))?;
        check_packed(&header, body)?;
        Ok(bytes)
    }

    fn batch(&mut self, block: &Block) -> Result<Option<RecordBatch>, String> {
        let bytes = self.bytes(block)?;
        let batch = self.decoder.read_record_batch(block, &bytes.into());
        batch.map_err(|error| error.to_string())
    }
}

impl<R: Read + Seek> Iterator for Batches<R> {
    type Item = Result<RecordBatch, String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let block = self.blocks.next()?;
            if let Some(batch) = self.batch(&block).transpose() {
                return Some(batch);
            }
        }
    }
}
