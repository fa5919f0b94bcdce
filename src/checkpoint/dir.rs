use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::{Checkpoint, Identity};
use crate::config::MOST_FLOWS;
use crate::error::{Error, Result};
use crate::files::{before, read_at_most, take, write_whole};
use crate::flow::MAX_PARAMETERS;
use crate::train::{Snapshot, TrainedFlow};

/// The largest file that is read: thirteen lists of parameters in f64 (three states of four, and the best), one for each flow that was
/// trained before, and what names them.
const LARGEST_FILE: u64 = (1 << 24) + (13 + MOST_FLOWS as u64) * 8 * MAX_PARAMETERS as u64;

/// A directory with the checkpoints of a run: two slots, which new ones take in turn.
#[derive(Clone, Debug)]
pub struct CheckpointDir {
    path: PathBuf,
    /// The slot of the newest one that can be read, and its number.
    newest: Option<(usize, u64)>,
}

/// What a directory holds.
pub struct Found {
    /// The directory.
    pub dir: CheckpointDir,
    /// The newest that can be read.
    pub checkpoint: Option<Checkpoint>,
    /// Those that cannot, a sentence each.
    pub damaged: Vec<String>,
}

impl CheckpointDir {
    /// Looks into a directory, which need not be there yet.
    ///
    /// # Errors
    /// [`Error::Io`] where it is no folder or cannot be read.
    pub fn look(path: &Path) -> Result<Found> {
        if path.exists() && !path.is_dir() {
            let message = "this is no folder; name one, or a new one";
            let kind = io::ErrorKind::NotADirectory;
            return Err(Error::io(path)(io::Error::new(kind, message)));
        }
        let mut dir = CheckpointDir {
            path: path.to_owned(),
            newest: None,
        };
        let mut checkpoint: Option<Checkpoint> = None;
        let mut damaged = Vec::new();
        for slot in 0..2 {
            let file = dir.file(slot);
            let bytes = match read_at_most(&file, LARGEST_FILE) {
                Ok(bytes) => bytes,
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            match Checkpoint::from_bytes(&bytes) {
                Ok(it) if dir.newest.is_none_or(|(_, number)| it.number > number) => {
                    dir.newest = Some((slot, it.number));
                    checkpoint = Some(it);
                }
                Ok(_) => {}
                Err(why) => damaged.push(format!("{}: {why}", file.display())),
            }
        }
        Ok(Found {
            dir,
            checkpoint,
            damaged,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, slot: usize) -> PathBuf {
        self.path.join(format!("checkpoint-{slot}.safetensors"))
    }

    /// Makes the folder, if it is not there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn make(&self) -> Result<()> {
        if self.path.is_dir() {
            return Ok(());
        }
        before(&self.path)
            .and_then(|()| std::fs::create_dir(&self.path))
            .map_err(Error::io(&self.path))
    }

    /// Locks the folder for this process until the returned file is dropped.
    ///
    /// # Errors
    /// [`Error::Io`], also where another process has it.
    pub fn lock(&self) -> Result<File> {
        let path = self.path.join("lock");
        let mut options = File::options();
        let options = options.create(true).append(true);
        let file = before(&path).and_then(|()| options.open(&path));
        let file = file.map_err(Error::io(&path))?;
        let busy = "another run keeps its checkpoints in this folder; name another";
        take(&file, busy).map_err(Error::io(&self.path))?;
        Ok(file)
    }

    /// Removes the checkpoints in it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn clear(&mut self) -> Result<()> {
        for slot in 0..2 {
            let file = self.file(slot);
            match before(&file).and_then(|()| std::fs::remove_file(&file)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io(&file)(error));
                }
                _ => {}
            }
        }
        self.newest = None;
        Ok(())
    }

    /// Replaces the older checkpoint with a snapshot of a run, which trained some flows before, and reads it back; the other one
    /// stays.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Model`] where the file that was written is not what was to be written.
    pub fn write(
        &mut self,
        identity: &Identity,
        trained: Vec<TrainedFlow>,
        snapshot: Snapshot,
    ) -> Result<()> {
        let (slot, number) = match self.newest {
            None => (0, 0),
            Some((slot, number)) => (1 - slot, number + 1),
        };
        let checkpoint = Checkpoint {
            number,
            identity: identity.clone(),
            trained,
            snapshot,
        };
        let file = self.file(slot);
        let bytes = checkpoint.to_bytes()?;
        write_whole(&file, &bytes)?;
        if read_at_most(&file, LARGEST_FILE)? != bytes {
            return Err(Error::model(format!(
                "{}: what was written cannot be read back; is the disk in order?",
                file.display()
            )));
        }
        self.newest = Some((slot, number));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::checkpoint;
    use super::*;

    /// A checkpoint replaces the older one.
    #[test]
    fn the_one_before_stays() {
        let folder = tempfile::tempdir().unwrap();
        let it = checkpoint();
        let mut kept = CheckpointDir::look(&folder.path().join("new")).unwrap().dir;
        kept.make().unwrap();
        let lock = kept.lock().unwrap();
        let second = kept.lock().unwrap_err().to_string();
        assert!(second.contains("another run"), "{second}");
        drop(lock);
        let _lock = kept.lock().unwrap();
        for step in 0..5 {
            let mut snapshot = it.snapshot.clone();
            snapshot.state.step = step;
            kept.write(&it.identity, it.trained.clone(), snapshot)
                .unwrap();
            let found = CheckpointDir::look(kept.path()).unwrap();
            assert_eq!(found.checkpoint.unwrap().snapshot.state.step, step);
            assert!(found.damaged.is_empty());
            let newest = found.dir.newest.unwrap().0;
            let lost = kept.file(newest);
            let whole = std::fs::read(&lost).unwrap();
            std::fs::write(&lost, &whole[..whole.len() / 2]).unwrap();
            let found = CheckpointDir::look(kept.path()).unwrap();
            let before = found.checkpoint.map(|it| it.snapshot.state.step);
            assert_eq!(before, step.checked_sub(1));
            assert_eq!(found.damaged.len(), 1);
            std::fs::write(&lost, whole).unwrap();
        }
    }
}
