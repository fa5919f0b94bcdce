use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::error::{Error, Result};

/// Reads a file that is `most` bytes long at most: what has no end, or is something else altogether, must not fill the
/// memory.
///
/// # Errors
/// [`Error::Io`].
pub fn read_at_most(path: &Path, most: u64) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(Error::io(path))?;
    let mut bytes = Vec::new();
    file.take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(Error::io(path))?;
    if bytes.len() as u64 > most {
        let message = format!("longer than the {most} bytes that such a file has at most");
        let error = io::Error::new(io::ErrorKind::FileTooLarge, message);
        return Err(Error::io(path)(error));
    }
    Ok(bytes)
}
