use std::fs::File;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Checkpoint, Folder, Identity};
use crate::error::Result;
use crate::train::Snapshot;

/// The folder after a checkpoint, its step, and what came of it.
type Written = (Folder, u64, Result<()>);

/// Writes the checkpoints of a run while it goes on.
pub struct Keeper<'a> {
    /// Takes a look at every row, so it is asked once, and not before it is needed.
    identify: Box<dyn Fn() -> Identity + 'a>,
    identity: Option<Identity>,
    /// None where nobody named one, until one is needed.
    folder: Option<Folder>,
    /// Else there is one only where the run is interrupted.
    is_asked_for: bool,
    /// Keeps other runs out of the folder.
    _lock: Option<File>,
    /// The place of a folder that nobody named.
    spare: PathBuf,
    every: Duration,
    latest: Instant,
    writing: Option<JoinHandle<Written>>,
    /// The step of the newest.
    kept: Option<u64>,
}

impl<'a> Keeper<'a> {
    /// For the run that `identify` describes: a checkpoint in `folder`, which is locked, `every` so often, or where there is
    /// none a single one, in `spare`, when the run is interrupted.
    pub fn new(
        identify: impl Fn() -> Identity + 'a,
        folder: Option<(Folder, File)>,
        spare: PathBuf,
        every: Duration,
    ) -> Self {
        let (folder, lock) = folder.unzip();
        Keeper {
            identify: Box::new(identify),
            identity: None,
            is_asked_for: folder.is_some(),
            folder,
            _lock: lock,
            spare,
            every,
            latest: Instant::now(),
            writing: None,
            kept: None,
        }
    }

    /// What run this is.
    pub fn identity(&mut self) -> Identity {
        self.identity.get_or_insert_with(&self.identify).clone()
    }

    /// A folder that nobody named, unless something else is in its place.
    fn spare_folder(&mut self) -> Option<Folder> {
        let found = Folder::look(&self.spare).ok()?;
        let identity = self.identity();
        let is_theirs = |it: &Checkpoint| !identity.differences(&it.identity).is_empty();
        let taken = found.checkpoint.as_ref().is_some_and(is_theirs) || !found.damaged.is_empty();
        (!taken).then_some(found.folder)
    }

    /// Whether it is time for another. Training waits for a slow disk only where there is to be no time between two.
    pub fn is_due(&self) -> bool {
        let is_free = || self.writing.as_ref().is_none_or(JoinHandle::is_finished);
        let waits = self.every.is_zero();
        self.is_asked_for && self.latest.elapsed() >= self.every && (waits || is_free())
    }

    /// Begins to write one. Returns what there is to say of the one before.
    pub fn keep(&mut self, snapshot: Snapshot) -> Option<String> {
        let complaint = self.settle();
        self.latest = Instant::now();
        if self.folder.is_none() {
            self.folder = self.spare_folder();
        }
        let Some(mut folder) = self.folder.clone() else {
            return Some(format!(
                "no checkpoint is kept: {} holds another run's; name a folder",
                self.spare.display()
            ));
        };
        let identity = self.identity();
        self.writing = Some(thread::spawn(move || {
            let step = snapshot.state.step;
            let written = folder
                .make()
                .and_then(|()| folder.write(&identity, snapshot));
            (folder, step, written)
        }));
        complaint
    }

    /// Waits for the one that is being written. A run does not end because it could not be: the one before is still there.
    pub fn settle(&mut self) -> Option<String> {
        let written = self.writing.take()?.join();
        match written {
            Ok((folder, step, Ok(()))) => {
                self.folder = Some(folder);
                self.kept = Some(step);
                None
            }
            Ok((_, step, Err(error))) => Some(format!(
                "no checkpoint could be written at step {step}: {error}"
            )),
            Err(_) => Some("no checkpoint could be written: its thread failed".into()),
        }
    }

    /// The folder with the newest checkpoint, if one was written.
    pub fn written_to(&self) -> Option<&Path> {
        self.kept?;
        self.folder.as_ref().map(Folder::path)
    }
}
