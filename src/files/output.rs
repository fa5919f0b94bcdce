use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

use super::disk::before;
use super::temporary::Temporary;

/// What rows or a model are written to. A file appears under its name only when it is whole: it is written beside it under
/// a temporary name, synced, then renamed, then the folder is synced. Whoever reads the path finds the old file or the new
/// one, even after a power cut. A device or a pipe is written directly.
pub struct OutputFile {
    path: PathBuf,
    target: Target,
}

enum Target {
    /// To be renamed to the path.
    File(BufWriter<Temporary>, PathBuf),
    Straight(BufWriter<File>),
}

/// What a path leads to.
pub(super) enum Destination {
    /// A file, or room for one, at this path, which is no link; with the metadata of what is there.
    File(PathBuf, Option<fs::Metadata>),
    /// Something that takes bytes but is no file.
    Stream,
}

/// The largest number of links followed before a chain counts as a loop.
const MOST_LINKS: usize = 40;

impl Destination {
    /// Looks a path up, through symbolic links, also those that lead to a file yet to be made.
    pub(super) fn find(path: &Path) -> Result<Self> {
        let wrong = |kind, message: &str| Error::io(path)(io::Error::new(kind, message));
        let mut target_path = path.to_owned();
        for _ in 0..MOST_LINKS {
            if is_own_stream(&target_path) {
                return Ok(Destination::Stream);
            }
            match fs::symlink_metadata(&target_path) {
                Ok(metadata) if metadata.is_symlink() => {
                    let target = fs::read_link(&target_path).map_err(Error::io(path))?;
                    target_path = folder(&target_path).join(target);
                }
                Ok(metadata) if metadata.is_dir() => {
                    let message = "this is a folder; name a file in it";
                    return Err(wrong(io::ErrorKind::IsADirectory, message));
                }
                Ok(metadata) if metadata.is_file() => {
                    if metadata.permissions().readonly() {
                        let message = "this file is read-only; make it writable, or name another";
                        return Err(wrong(io::ErrorKind::PermissionDenied, message));
                    }
                    return Ok(Destination::File(target_path, Some(metadata)));
                }
                Ok(_) => return Ok(Destination::Stream),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if !folder(&target_path).is_dir() {
                        let message = "its folder does not exist; create it, or name another file";
                        return Err(wrong(io::ErrorKind::NotFound, message));
                    }
                    if target_path.file_name().is_none() {
                        let message = "this is a folder; name a file in it";
                        return Err(wrong(io::ErrorKind::IsADirectory, message));
                    }
                    return Ok(Destination::File(target_path, None));
                }
                Err(error) => return Err(Error::io(path)(error)),
            }
        }
        let message = "its symbolic links lead round in a circle";
        Err(wrong(io::ErrorKind::InvalidInput, message))
    }
}

/// Whether a path is one of the process's own open streams. Wherever it leads, what was opened there is written to, not
/// replaced.
fn is_own_stream(path: &Path) -> bool {
    let stands_in = |folder: &str| path.parent() == Some(Path::new(folder));
    cfg!(unix)
        && (stands_in("/dev/fd")
            || stands_in("/proc/self/fd")
            || path == Path::new("/dev/stdout")
            || path == Path::new("/dev/stderr"))
}

impl OutputFile {
    /// Begins to write `path`.
    ///
    /// # Errors
    /// [`Error::Io`], where the folder does not exist or cannot be written, or the file is read-only.
    pub fn create(path: &Path) -> Result<Self> {
        let target = match Destination::find(path)? {
            Destination::File(target_path, metadata) => {
                let temporary = Temporary::create(folder(&target_path), metadata.as_ref());
                Target::File(
                    BufWriter::new(temporary.map_err(Error::io(path))?),
                    target_path,
                )
            }
            Destination::Stream => {
                let file = File::options().append(true).open(path);
                Target::Straight(BufWriter::new(file.map_err(Error::io(path))?))
            }
        };
        Ok(OutputFile {
            path: path.to_owned(),
            target,
        })
    }

    /// Whether `path` could be written, without waiting for the reader of a pipe.
    ///
    /// # Errors
    /// As [`OutputFile::create`].
    #[cfg(feature = "cli")]
    pub fn check(path: &Path) -> Result<()> {
        match Destination::find(path)? {
            Destination::File(..) => OutputFile::create(path).map(drop),
            Destination::Stream => Ok(()),
        }
    }

    /// Moves the file to its path.
    ///
    /// # Errors
    /// [`Error::Io`]; what stood there before is untouched.
    pub fn commit(self) -> Result<()> {
        let path = &self.path;
        let (file, target_path) = match self.target {
            Target::Straight(mut file) => return file.flush().map_err(Error::io(path)),
            Target::File(file, target_path) => (file, target_path),
        };
        let file = file
            .into_inner()
            .map_err(|error| Error::io(path)(error.into_error()))?;
        before(&target_path)
            .and_then(|()| file.as_file().sync_all())
            .map_err(Error::io(path))?;
        file.persist(&target_path).map_err(Error::io(path))?;
        // The rename is on disk once the folder is. Only Unix opens folders.
        if cfg!(unix) {
            before(folder(&target_path))
                .and_then(|()| File::open(folder(&target_path)))
                .and_then(|folder| folder.sync_all())
                .map_err(Error::io(path))?;
        }
        Ok(())
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.target {
            Target::File(file, _) => file.write(bytes),
            Target::Straight(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::File(file, _) => file.flush(),
            Target::Straight(file) => file.flush(),
        }
    }
}

pub(super) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Writes all bytes as [`OutputFile`] does.
///
/// # Errors
/// [`Error::Io`].
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = OutputFile::create(path)?;
    file.write_all(bytes).map_err(Error::io(path))?;
    file.commit()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};

    use super::*;

    /// A link stays a link, to a file that is new; permissions stay; a chain that ends nowhere yet makes the file there.
    #[test]
    fn links_are_followed_and_permissions_kept() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("kept")).unwrap();
        fs::write(at("kept/real"), "old").unwrap();
        fs::set_permissions(at("kept/real"), fs::Permissions::from_mode(0o600)).unwrap();
        symlink("kept/real", at("link")).unwrap();
        symlink("kept/new", at("dangling")).unwrap();
        symlink("b", at("a")).unwrap();
        symlink("a", at("b")).unwrap();
        write_whole(&at("link"), b"new").unwrap();
        write_whole(&at("dangling"), b"new").unwrap();
        assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
        assert_eq!(fs::read(at("kept/real")).unwrap(), b"new");
        assert_eq!(fs::metadata(at("kept/real")).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read(at("kept/new")).unwrap(), b"new");
        let circle = write_whole(&at("a"), b"new").unwrap_err().to_string();
        assert!(circle.contains("circle"), "{circle}");
    }

    /// Root may write a read-only file, and a rename needs no permission on it; the file's owner meant neither.
    #[test]
    fn a_read_only_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
        let error = write_whole(&path, b"new").unwrap_err().to_string();
        assert!(error.contains("read-only"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }

    #[test]
    fn a_device_and_a_pipe_stay_what_they_are() {
        write_whole(Path::new("/dev/null"), b"gone").unwrap();
        assert!(
            fs::metadata("/dev/null")
                .unwrap()
                .file_type()
                .is_char_device()
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let reader = std::thread::spawn({
            let path = path.clone();
            move || fs::read(path).unwrap()
        });
        OutputFile::check(&path).unwrap();
        write_whole(&path, b"through").unwrap();
        assert_eq!(reader.join().unwrap(), b"through");
        assert!(fs::metadata(&path).unwrap().file_type().is_fifo());
    }
}
