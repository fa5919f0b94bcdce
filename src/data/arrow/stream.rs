use std::io::Read;

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::root_as_message;

use crate::data::source::Source;

use super::{CONTINUATION, CUT_SHORT, File, check_packed};

/// The longest description of a message that is taken for one.
const LONGEST_DESCRIPTION: u32 = 64 << 20;

/// Opens an Arrow stream.
pub(super) fn open(source: Source) -> Result<File, String> {
    let mut batches = Batches {
        reader: Box::new(source.into_reader()),
        decoder: StreamDecoder::new(),
        waiting: None,
        is_at_end: false,
    };
    let schema = loop {
        if let Some(schema) = batches.decoder.schema() {
            break schema;
        }
        // A schema may be taken in with the batch behind it.
        batches.waiting = batches.advance()?;
        if batches.is_at_end {
            return Err("it does not say what columns it has".into());
        }
    };
    Ok(File::new(schema.as_ref().clone(), batches))
}

/// The record batches of a stream. No more memory is taken for a message than there are bytes of it, whatever it says of
/// its length.
struct Batches {
    reader: Box<dyn Read + Send>,
    decoder: StreamDecoder,
    /// Read, and still to be handed out.
    waiting: Option<RecordBatch>,
    is_at_end: bool,
}

impl Batches {
    /// Takes in the next message. Returns the batch that it held.
    fn advance(&mut self) -> Result<Option<RecordBatch>, String> {
        let Some(message) = self.message()? else {
            self.is_at_end = true;
            return Ok(None);
        };
        let batch = self.decoder.decode(&mut message.into());
        batch.map_err(|error| error.to_string())
    }

    /// The bytes of the next message; none at the end.
    fn message(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut message = Vec::new();
        self.read(4, &mut message)?;
        if message.is_empty() {
            // A stream may end without a word.
            return Ok(None);
        }
        if message == CONTINUATION {
            self.read(4, &mut message)?;
        }
        let length = message.last_chunk().ok_or(CUT_SHORT)?;
        let length = u32::from_le_bytes(*length);
        if length == 0 {
            return Ok(None);
        }
        if length > LONGEST_DESCRIPTION {
            return Err(format!("a message is described in {length} bytes"));
        }
        let begin = message.len();
        self.read(length.into(), &mut message)?;
        let described = message.len();
        if described - begin < length as usize {
            return Err(CUT_SHORT.into());
        }
        let header = root_as_message(&message[begin..]).map_err(|error| format!("{error:?}"))?;
        let body_length = u64::try_from(header.bodyLength()).map_err(|error| error.to_string())?;
        let mut body = Vec::new();
        self.read(body_length, &mut body)?;
        if (body.len() as u64) < body_length {
            return Err(CUT_SHORT.into());
        }
        check_packed(&header, &body)?;
        message.append(&mut body);
        Ok(Some(message))
    }

    /// Reads so many bytes, or as many as there are.
    fn read(&mut self, count: u64, into: &mut Vec<u8>) -> Result<(), String> {
        let read = self.reader.by_ref().take(count).read_to_end(into);
        read.map(drop).map_err(|error| error.to_string())
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(batch) = self.waiting.take() {
            return Some(Ok(batch));
        }
        while !self.is_at_end {
            match self.advance() {
                Ok(None) => {}
                Ok(Some(batch)) => return Some(Ok(batch)),
                Err(error) => {
                    self.is_at_end = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}
