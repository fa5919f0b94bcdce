use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use tempfile::NamedTempFile;

use super::disk::{self, before};

const PREFIX: &str = ".couplet-";
const SUFFIX: &str = ".tmp";

/// How old another process's temporary file must be before it may be swept: longer than from its creation to its lock.
const SETTLED: Duration = Duration::from_secs(5);

/// A file being written under a temporary name beside its final one. It is locked while this process lives, so that no
/// other process removes it.
pub struct Temporary {
    file: NamedTempFile,
    listed: Listed,
}

/// The temporary files that exist now.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Keeps a temporary file in the list while it is written.
struct Listed(PathBuf);

impl Listed {
    fn new(path: &Path) -> Self {
        if let Ok(mut list) = UNFINISHED.lock() {
            list.push(path.to_owned());
        }
        Listed(path.to_owned())
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        if let Ok(mut list) = UNFINISHED.lock() {
            list.retain(|path| *path != self.0);
        }
    }
}

/// Removes every temporary file, for a process that is about to exit.
#[cfg(feature = "cli")]
pub fn discard_unfinished() {
    if let Ok(list) = UNFINISHED.lock() {
        for path in list.iter() {
            // It may be gone already, and the process is about to exit.
            let _ = fs::remove_file(path);
        }
    }
}

impl Temporary {
    /// Creates one in a folder, and sweeps away what runs that were killed have left there. It has the permissions of the
    /// file that it will replace, or those of a new file.
    pub fn create(folder: &Path, replaced: Option<&fs::Metadata>) -> io::Result<Self> {
        sweep(folder);
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX).suffix(SUFFIX);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As any new file's: the user's umask takes away what it takes away.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        before(folder)?;
        let file = builder.tempfile_in(folder)?;
        // A file system without locks has no sweeping either.
        let _ = file.as_file().try_lock();
        if let Some(metadata) = replaced {
            before(file.path())?;
            file.as_file().set_permissions(metadata.permissions())?;
        }
        Ok(Temporary {
            listed: Listed::new(file.path()),
            file,
        })
    }

    /// Renames it to its final name.
    pub fn persist(self, path: &Path) -> io::Result<()> {
        let _listed = self.listed;
        before(path)?;
        self.file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    pub fn as_file(&self) -> &File {
        self.file.as_file()
    }
}

impl io::Write for Temporary {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        disk::write(&mut self.file, &self.listed.0, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Removes the temporary files of processes that are no more: theirs are not locked. Whatever cannot be looked at stays.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(PREFIX)
            && name.ends_with(SUFFIX)
            && is_abandoned(&entry).is_ok_and(|is| is)
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn is_abandoned(entry: &fs::DirEntry) -> io::Result<bool> {
    // Not through a link, and never a FIFO, whose opening could wait for ever.
    if !entry.file_type()?.is_file() {
        return Ok(false);
    }
    let age = entry.metadata()?.modified()?.elapsed();
    if age.unwrap_or_default() < SETTLED {
        return Ok(false);
    }
    Ok(File::open(entry.path())?.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    /// What a killed run has left goes; what another one is writing, however slowly, and files of other names stay.
    #[test]
    fn only_abandoned_files_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - Duration::from_secs(60);
        let make = |name: &str, time| {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_modified(time).unwrap();
            file
        };
        drop(make(".couplet-abandoned.tmp", old));
        drop(make(".couplet-young.tmp", SystemTime::now()));
        drop(make(".other.tmp", old));
        let written = make(".couplet-written.tmp", old);
        written.lock().unwrap();
        drop(Temporary::create(folder.path(), None).unwrap());
        let mut left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(
            left,
            [".couplet-written.tmp", ".couplet-young.tmp", ".other.tmp"]
        );
    }
}
