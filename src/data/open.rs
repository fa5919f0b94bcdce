use std::ffi::OsStr;
use std::io::Cursor;
use std::path::Path;

use crate::error::{Error, Result};

#[cfg(feature = "arrow")]
use super::arrow;
use super::rows::Opened;
use super::source::{Format, Source};
use super::{TableOptions, json, npy, text};

/// Opens one file, whichever format its content has.
pub(super) fn open_file(path: &Path, options: &TableOptions) -> Result<Opened> {
    open(Source::open(path)?, path.extension(), options)
}

/// Opens what is in a file of that name.
pub(super) fn open_bytes(name: &str, bytes: Vec<u8>, options: &TableOptions) -> Result<Opened> {
    let source = Source::from_bytes(name, Cursor::new(bytes))?;
    open(source, Path::new(name).extension(), options)
}

fn open(source: Source, extension: Option<&OsStr>, options: &TableOptions) -> Result<Opened> {
    let name = source.name.clone();
    let bad = |message: String| Err(Error::data(format!("{name}: {message}")));
    let opened = match source.format()? {
        #[cfg(feature = "arrow")]
        format @ (Format::Parquet | Format::Arrow) => arrow::open(source, &format, options)?,
        #[cfg(not(feature = "arrow"))]
        Format::Parquet | Format::Arrow => {
            return bad(
                "Parquet and Arrow files are read by a build with the feature \"arrow\"".into(),
            );
        }
        Format::Npy => npy::open(source, options)?,
        Format::Text if extension.is_some_and(|it| it.eq_ignore_ascii_case("npy")) => {
            return bad("not a readable NPY file: it does not begin as one".into());
        }
        Format::JsonLines => json::open(source, options)?,
        Format::Text => text::open(source, options)?,
    };
    if opened.columns.is_empty() {
        return bad("no column is left; exclude fewer".into());
    }
    Ok(opened)
}
