use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// A file that appears under its name only when it is whole: it is written beside it under a temporary name, synced, then
/// renamed, then the folder is synced. Whoever reads the path finds the old file or the new one, even after a power cut.
pub struct AtomicFile {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
    _unfinished: Unfinished,
}

/// The temporary files that exist now.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Keeps a temporary file in the list while it is written.
struct Unfinished(PathBuf);

impl Unfinished {
    fn new(path: &Path) -> Self {
        if let Ok(mut list) = UNFINISHED.lock() {
            list.push(path.to_owned());
        }
        Unfinished(path.to_owned())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Ok(mut list) = UNFINISHED.lock() {
            list.retain(|path| *path != self.0);
        }
    }
}

/// Removes every temporary file, for a process that is about to end in the middle of things.
#[cfg(feature = "cli")]
pub fn discard_unfinished() {
    if let Ok(list) = UNFINISHED.lock() {
        for path in list.iter() {
            // It may be gone already; there is nobody left to tell.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl AtomicFile {
    /// Begins to write `path`.
    ///
    /// # Errors
    /// [`Error::Io`], where the folder does not exist or cannot be written.
    pub fn create(path: &Path) -> Result<Self> {
        if !folder(path).is_dir() {
            let message = "its folder does not exist; create it, or name another file";
            return Err(Error::io(path)(io::Error::new(
                io::ErrorKind::NotFound,
                message,
            )));
        }
        if path.is_dir() || path.file_name().is_none() {
            let message = "this is a folder; name a file in it";
            return Err(Error::io(path)(io::Error::new(
                io::ErrorKind::IsADirectory,
                message,
            )));
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(".couplet-").suffix(".tmp");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As any new file's: the user's umask takes away what it takes away.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(folder(path)).map_err(Error::io(path))?;
        Ok(AtomicFile {
            path: path.to_owned(),
            _unfinished: Unfinished::new(file.path()),
            file: BufWriter::new(file),
        })
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// [`Error::Io`]; what stood there before is untouched.
    pub fn commit(self) -> Result<()> {
        let path = &self.path;
        let file = self
            .file
            .into_inner()
            .map_err(|error| Error::io(path)(error.into_error()))?;
        file.as_file().sync_all().map_err(Error::io(path))?;
        file.persist(path)
            .map_err(|error| Error::io(path)(error.error))?;
        // The rename is on disk once the folder is. Only Unix opens folders.
        if cfg!(unix) {
            File::open(folder(path))
                .and_then(|folder| folder.sync_all())
                .map_err(Error::io(path))?;
        }
        Ok(())
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Writes a whole file as [`AtomicFile`] does.
///
/// # Errors
/// [`Error::Io`].
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes).map_err(Error::io(path))?;
    file.commit()
}
