use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;

use crate::error::{Error, Result, excerpt};
use crate::memory;

use super::npz;

/// A table's file, opened once: the bytes that are inspected are handed on to the reader, since a pipe gives them once.
pub(super) struct Source {
    /// For messages.
    pub name: String,
    /// The beginning: up to the end of the first line, or [`LONGEST_FIRST_LINE`].
    pub head: Vec<u8>,
    rest: Box<dyn Read + Send>,
    /// The file itself, where it is one on a disk and is not packed.
    #[cfg_attr(
        not(feature = "arrow"),
        expect(dead_code, reason = "read from its end by Parquet alone")
    )]
    file: Option<File>,
}

/// All of a source, for what is not read from its beginning.
#[cfg(feature = "arrow")]
pub(super) enum Whole {
    File(File),
    Stream(Box<dyn Read + Send>),
}

/// How much is looked at to tell what a file is.
const LONGEST_FIRST_LINE: usize = 1 << 16;

const GZIP: &[u8] = b"\x1f\x8b";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";

/// Says of what is unpacked on the way that it was packed, where that fails.
struct CompressedReader {
    inner: Box<dyn Read + Send>,
    what: &'static str,
}

impl Read for CompressedReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.inner.read(out).map_err(|error| {
            let message = format!("the {} file is damaged or cut short: {error}", self.what);
            io::Error::new(error.kind(), message)
        })
    }
}

/// The content of a file.
#[derive(PartialEq, Eq)]
pub(super) enum Format {
    Text,
    JsonLines,
    Npy,
    Parquet,
    /// A file or a stream.
    Arrow,
}

/// All that a reader has, up to so many bytes; `otherwise` says what to do where it has more.
pub(super) fn held_within(
    reader: impl Read,
    most: u64,
    otherwise: &str,
) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = reader.take(most + 1).read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    match bytes.len() as u64 > most {
        true => Err(format!(
            "it takes more memory than it may ({}); {otherwise}",
            memory::readable(most)
        )),
        false => Ok(bytes),
    }
}

impl Source {
    /// Opens a file, a pipe, or standard input, which is called `-`, and unpacks it where it is packed.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Data`] where it cannot be unpacked.
    pub fn open(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            let source = Self::new("standard input".into(), Box::new(io::stdin()));
            return source.map_err(Error::io(path))?.unpacked();
        }
        let file = File::open(path).map_err(Error::io(path))?;
        let metadata = file.metadata().map_err(Error::io(path))?;
        if metadata.is_dir() {
            let kind = io::ErrorKind::IsADirectory;
            return Err(Error::io(path)(io::Error::new(kind, "this is a folder")));
        }
        let again = match metadata.is_file() {
            true => file.try_clone().ok(),
            false => None,
        };
        let source = Self::new(path.display().to_string(), Box::new(file));
        let source = source.map_err(Error::io(path))?;
        Source {
            file: again,
            ..source
        }
        .unpacked()
    }

    /// What is in a file of that name.
    ///
    /// # Errors
    /// [`Error::Data`] where it cannot be unpacked.
    pub fn from_bytes(name: &str, bytes: Cursor<Vec<u8>>) -> Result<Self> {
        let source = Self::new(name.into(), Box::new(bytes));
        source.map_err(Error::io(Path::new(name)))?.unpacked()
    }

    /// As it is, or what is in it.
    pub fn new(name: String, rest: Box<dyn Read + Send>) -> io::Result<Self> {
        let head = Vec::new();
        let file = None;
        let mut source = Source {
            name,
            head,
            rest,
            file,
        };
        source.look(LONGEST_FIRST_LINE, |head| head.contains(&b'\n'))?;
        Ok(source)
    }

    fn unpacked(self) -> Result<Self> {
        let name = self.name.clone();
        let begun = |inner: Box<dyn Read + Send>, what| {
            let inner = CompressedReader { inner, what };
            Self::new(name.clone(), Box::new(inner))
                .map_err(|error| Error::data(format!("{name}: {error}")))
        };
        if self.head.starts_with(GZIP) {
            return begun(Box::new(MultiGzDecoder::new(self.into_reader())), "gzip");
        }
        if self.head.starts_with(ZSTD) {
            let inner = StreamingDecoder::new(self.into_reader());
            let inner = inner.map_err(|error| {
                let error = excerpt(&error.to_string(), 200);
                Error::data(format!(
                    "{name}: the zstd file is damaged or cut short: {error}"
                ))
            })?;
            return begun(Box::new(inner), "zstd");
        }
        if self.head.starts_with(b"PK\x03\x04") {
            return npz::only_array(self);
        }
        Ok(self)
    }

    /// Reads `head` on until it is as long as this, or enough, or all there is.
    pub fn look(&mut self, length: usize, is_enough: impl Fn(&[u8]) -> bool) -> io::Result<()> {
        let mut end = self.head.len();
        self.head.resize(length.max(end), 0);
        // A pipe may hand out a line in pieces.
        while end < self.head.len() && !is_enough(&self.head[..end]) {
            match self.rest.read(&mut self.head[end..]) {
                Ok(0) => break,
                Ok(more) => end += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.head.truncate(end);
        Ok(())
    }

    /// Drops what was looked at and the rest of the line that it ends in.
    pub fn skip_line(&mut self) -> io::Result<()> {
        loop {
            self.head.clear();
            self.look(LONGEST_FIRST_LINE, |head| head.contains(&b'\n'))?;
            let end = self.head.iter().position(|byte| *byte == b'\n');
            if let Some(end) = end {
                self.head.drain(..=end);
                return Ok(());
            }
            if self.head.is_empty() {
                return Ok(());
            }
        }
    }

    /// All bytes, from the first. The reader is buffered.
    pub fn into_reader(self) -> impl Read + Send + use<> {
        const BUFFER: usize = 1 << 18;
        BufReader::with_capacity(BUFFER, Cursor::new(self.head).chain(self.rest))
    }

    /// The file, or all bytes from the first.
    #[cfg(feature = "arrow")]
    pub fn into_whole(mut self) -> Whole {
        match self.file.take() {
            Some(file) => Whole::File(file),
            None => Whole::Stream(Box::new(self.into_reader())),
        }
    }

    pub fn bad(&self, message: impl AsRef<str>) -> Error {
        Error::data(format!("{}: {}", self.name, message.as_ref()))
    }

    /// Tells the format by what the file begins with; names of files lie, and pipes have none.
    ///
    /// # Errors
    /// [`Error::Data`] names a format that cannot be read, and the way out.
    pub fn format(&self) -> Result<Format> {
        let head = &self.head;
        if head.starts_with(b"\x93NUMPY") {
            return Ok(Format::Npy);
        }
        if head.starts_with(b"PAR1") {
            return Ok(Format::Parquet);
        }
        if head.starts_with(b"ARROW1") || head.starts_with(b"\xff\xff\xff\xff") {
            return Ok(Format::Arrow);
        }
        let compressed: [(&[u8], &str, &str); 4] = [
            (GZIP, "gzip, and then again", "gunzip"),
            (ZSTD, "zstd, and then again", "unzstd"),
            (b"\xfd7zXZ\x00", "xz", "unxz"),
            (b"BZh", "bzip2", "bunzip2"),
        ];
        for (magic, what, command) in compressed {
            if head.starts_with(magic) {
                return Err(self.bad(format!(
                    "the file is compressed with {what}; unpack it: {command} < FILE | couplet train -"
                )));
            }
        }
        let others: [(&[u8], &str); 4] = [
            (b"PK\x03\x04", "a ZIP archive in a packed file"),
            (b"\x89HDF", "an HDF5 file"),
            (b"SIMPLE  =", "a FITS file"),
            (b"SQLite format 3", "an SQLite database"),
        ];
        for (magic, what) in others {
            if head.starts_with(magic) {
                return Err(self.bad(format!(
                    "this is {what}, which cannot be read; write the table as CSV, NPY or Parquet"
                )));
            }
        }
        // The text of tables is ASCII for its most part; in UTF-16 every second byte of it is 0.
        let zeros = head.iter().filter(|byte| **byte == 0).count();
        let marked = head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff");
        if (marked && zeros > 0)
            || (head.len() >= 4 && zeros * 5 >= head.len() * 2 && zeros < head.len())
        {
            return Err(self.bad(
                "the text is UTF-16, as spreadsheets write it, and UTF-8 is read; convert it: iconv -f UTF-16 -t UTF-8",
            ));
        }
        match head.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{') => Ok(Format::JsonLines),
            Some(b'[') => Err(self.bad(
                "this looks like a JSON array, which cannot be read; write an object a line (JSON Lines), CSV, NPY or Parquet",
            )),
            _ => Ok(Format::Text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out a few bytes at a time, as a pipe may.
    struct Trickle(Cursor<Vec<u8>>);

    impl Read for Trickle {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let few = out.len().min(3);
            self.0.read(&mut out[..few])
        }
    }

    #[test]
    fn what_was_looked_at_is_read_again() {
        let text = b"height,weight\n1,2\n3,4\n".to_vec();
        let source =
            Source::new("pipe".into(), Box::new(Trickle(Cursor::new(text.clone())))).unwrap();
        assert!(source.head.starts_with(b"height,weight\n"));
        let mut all = Vec::new();
        source.into_reader().read_to_end(&mut all).unwrap();
        assert_eq!(all, text);
    }
}
