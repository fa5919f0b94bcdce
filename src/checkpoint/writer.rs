use std::fs::File;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use web_time::{Duration, Instant};

use super::{Checkpoint, CheckpointDir, Identity};
use crate::error::Result;
use crate::train::{Snapshot, TrainedFlow};

/// The directory after a checkpoint, its step, and what came of it.
type Written = (CheckpointDir, u64, Result<()>);

/// Writes the checkpoints of a run while it continues.
pub struct CheckpointWriter<'a> {
    /// Reads every row, so it is called only once, when first needed.
    identify: Box<dyn Fn() -> Identity + 'a>,
    identity: Option<Identity>,
    /// None until one is needed, if the user chose none.
    dir: Option<CheckpointDir>,
    /// Whether checkpoints are written while the run continues; else one is where it is stopped.
    is_periodic: bool,
    /// Keeps other runs out of the directory.
    _lock: Option<File>,
    /// The directory to use if the user chose none.
    spare: Option<PathBuf>,
    every: Duration,
    latest: Instant,
    writing: Option<JoinHandle<Written>>,
    /// The step of the newest checkpoint that was written.
    written: Option<u64>,
}

impl<'a> CheckpointWriter<'a> {
    /// For the run that `identify` describes: a checkpoint in `dir`, which is locked, `every` so often; without it a single
    /// one, in `spare`, when the run is stopped.
    pub fn new(
        identify: impl Fn() -> Identity + 'a,
        dir: Option<(CheckpointDir, File)>,
        spare: Option<PathBuf>,
        every: Duration,
    ) -> Self {
        let (dir, lock) = dir.unzip();
        CheckpointWriter {
            identify: Box::new(identify),
            identity: None,
            is_periodic: dir.is_some(),
            dir,
            _lock: lock,
            spare,
            every,
            latest: Instant::now(),
            writing: None,
            written: None,
        }
    }

    /// The identity of this run.
    pub fn identity(&mut self) -> Identity {
        self.identity.get_or_insert_with(&self.identify).clone()
    }

    /// The default directory, unless it holds something else.
    fn spare_dir(&mut self) -> Option<CheckpointDir> {
        let found = CheckpointDir::look(self.spare.as_ref()?).ok()?;
        let identity = self.identity();
        let is_other = |it: &Checkpoint| !identity.differences(&it.identity).is_empty();
        let taken = found.checkpoint.as_ref().is_some_and(is_other) || !found.damaged.is_empty();
        (!taken).then_some(found.dir)
    }

    /// Whether it is time for another. Training waits for a slow disk only where no time is to pass between two.
    pub fn is_due(&self) -> bool {
        let is_free = || self.writing.as_ref().is_none_or(JoinHandle::is_finished);
        let waits = self.every.is_zero();
        self.is_periodic && self.latest.elapsed() >= self.every && (waits || is_free())
    }

    /// Begins to write one, of a run that trained some flows before. What went wrong with the one before is logged.
    pub fn write(&mut self, trained: &[TrainedFlow], snapshot: Snapshot) {
        self.wait();
        self.latest = Instant::now();
        if self.dir.is_none() {
            self.dir = self.spare_dir();
        }
        let Some(mut dir) = self.dir.clone() else {
            if let Some(spare) = &self.spare {
                log::warn!(
                    "no checkpoint is kept: {} holds those of another run; choose a directory",
                    spare.display()
                );
            }
            return;
        };
        let (identity, trained) = (self.identity(), trained.to_vec());
        self.writing = Some(thread::spawn(move || {
            let step = snapshot.state.step;
            let written = dir
                .make()
                .and_then(|()| dir.write(&identity, trained, snapshot));
            (dir, step, written)
        }));
    }

    /// Waits for the checkpoint that is being written. A run does not end because it could not be: the one before is still
    /// there.
    pub fn wait(&mut self) {
        let Some(writing) = self.writing.take() else {
            return;
        };
        match writing.join() {
            Ok((dir, step, Ok(()))) => {
                self.dir = Some(dir);
                self.written = Some(step);
            }
            Ok((_, step, Err(error))) => {
                log::warn!("no checkpoint could be written at step {step}: {error}");
            }
            Err(_) => log::warn!("no checkpoint could be written: its thread failed"),
        }
    }

    /// The directory with the newest checkpoint, if one was written.
    pub fn written_to(&self) -> Option<&Path> {
        self.written?;
        self.dir.as_ref().map(CheckpointDir::path)
    }
}
