use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

use super::disk::{self, before};
use super::lock::take;
use super::output::Destination;

/// A file that grows line by line, each on its way to the disk at once: a run that ends early leaves it up to there. It is
/// locked while it is written, so that no two runs mix their lines.
pub struct LogFile {
    file: File,
    path: PathBuf,
    is_stream: bool,
}

impl LogFile {
    /// Opens `path` and empties it, unless `append`; a device or a pipe is written straight.
    ///
    /// # Errors
    /// [`Error::Io`], also where another process is writing it.
    pub fn create(path: &Path, append: bool) -> Result<Self> {
        let failed = Error::io(path);
        let (file, is_stream) = match Destination::find(path)? {
            Destination::Stream => (File::options().append(true).open(path), true),
            Destination::File(target_path, _) => {
                let mut options = File::options();
                let options = options.create(true).append(true).read(true);
                (
                    before(&target_path).and_then(|()| options.open(target_path)),
                    false,
                )
            }
        };
        let mut file = file.map_err(failed)?;
        if !is_stream {
            let busy = "another run is writing this log; name another file";
            take(&file, busy).map_err(Error::io(path))?;
            if !append {
                before(path)
                    .and_then(|()| file.set_len(0))
                    .map_err(Error::io(path))?;
            } else if is_cut(&mut file).map_err(Error::io(path))? {
                disk::write_all(&mut file, path, b"\n").map_err(Error::io(path))?;
            }
        }
        Ok(LogFile {
            file,
            path: path.to_owned(),
            is_stream,
        })
    }

    /// Appends a line.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn line(&mut self, text: &str) -> Result<()> {
        // In one call: a line is there or it is not.
        let line = format!("{text}\n");
        let written = disk::write_all(&mut self.file, &self.path, line.as_bytes());
        written.map_err(Error::io(&self.path))
    }

    /// Waits until the lines are on the disk.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(self) -> Result<()> {
        if self.is_stream {
            return Ok(());
        }
        before(&self.path)
            .and_then(|()| self.file.sync_all())
            .map_err(Error::io(&self.path))
    }
}

/// Whether the last line has no end.
fn is_cut(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

impl Drop for LogFile {
    fn drop(&mut self) {
        // Said, not left to the closing of the file: a child process may hold it open a moment longer.
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_belongs_to_one_run_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "an old run's\n").unwrap();
        let mut log = LogFile::create(&path, false).unwrap();
        log.line("one").unwrap();
        let second = LogFile::create(&path, false)
            .err()
            .map(|error| error.to_string());
        assert!(
            second.as_ref().is_some_and(|e| e.contains("another run")),
            "{second:?}"
        );
        log.line("two").unwrap();
        log.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        // A run that continues adds to it, after a line that a power cut has cut short.
        std::fs::write(&path, "one\ntw").unwrap();
        let mut log = LogFile::create(&path, true).unwrap();
        log.line("three").unwrap();
        log.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntw\nthree\n");
        LogFile::create(&path, false).unwrap();
    }
}
