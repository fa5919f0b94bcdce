use std::io::{Cursor, Read};

use zip::ZipArchive;

use crate::error::{Error, Result, escape_control, list};
use crate::memory;

use super::source::{Source, held_within};

/// The only array of a NPZ file, as NumPy's `savez` writes them. Both are held whole: what a ZIP archive holds is said at
/// its end.
///
/// # Errors
/// [`Error::Data`] where there is none or more than one, where it is damaged, or where memory is too small.
pub(super) fn only_array(archive: Source) -> Result<Source> {
    let name = archive.name.clone();
    let bad = |message: String| Error::data(format!("{name}: {message}"));
    let damaged = |error: &dyn std::fmt::Display| {
        bad(format!(
            "not a readable ZIP archive: {}",
            escape_control(&error)
        ))
    };
    // The archive, the array, and the numbers.
    let most = memory::available() / 4;
    let whole = |reader: &mut dyn Read| {
        held_within(
            reader,
            most,
            "save the array as .npy, which is read in parts",
        )
        .map_err(|error| damaged(&error))
    };
    let bytes = whole(&mut archive.into_reader())?;
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged(&error))?;
    let names: Result<Vec<String>, _> = archive.file_names().map(|it| it.map(Into::into)).collect();
    let mut names = names.map_err(|error| damaged(&error))?;
    names.retain(|name| name.ends_with(".npy"));
    names.sort();
    let [array] = &names[..] else {
        return Err(bad(match names.len() {
            0 => {
                "this is a ZIP archive without arrays (as .xlsx files are); write the table as CSV"
                    .into()
            }
            count => format!(
                "the file has {count} arrays ({}), and a table is one; save that one alone",
                list(&names)
            ),
        }));
    };
    let mut entry = archive.by_name(array).map_err(|error| damaged(&error))?;
    let bytes = whole(&mut entry)?;
    let name = format!("{name}, {}", list(&names));
    Source::new(name, Box::new(Cursor::new(bytes))).map_err(|error| damaged(&error))
}
