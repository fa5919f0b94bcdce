use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use super::{Checkpoint, CheckpointDir, CheckpointWriter, Found, Identity};
use crate::error::{Error, Message, Remedy, Result};

/// Which checkpoints a run keeps, and which one it continues from.
#[derive(Clone, Debug)]
pub struct CheckpointOptions {
    /// Where checkpoints are kept; without it there is one only where the run is stopped, in `spare`.
    pub dir: Option<PathBuf>,
    /// Continue from the newest checkpoint in this directory, if there is one; it is `dir` too where that is not set.
    pub resume: Option<PathBuf>,
    /// Whether checkpoints of another run in `dir` may be deleted.
    pub overwrite: bool,
    /// Time between two checkpoints; with zero, training waits until each is on the disk.
    pub every: Duration,
    /// Where a run that is stopped is kept if `dir` is not set.
    pub spare: Option<PathBuf>,
}

impl Default for CheckpointOptions {
    fn default() -> Self {
        CheckpointOptions {
            dir: None,
            resume: None,
            overwrite: false,
            every: Duration::from_secs(30),
            spare: None,
        }
    }
}

/// The directories of [`CheckpointOptions`], looked into; nothing is changed there yet.
pub struct Checkpoints {
    options: CheckpointOptions,
    dir: Option<CheckpointDir>,
    lock: Option<File>,
    /// Whether what the directory holds is of another run, and is deleted.
    clears: bool,
    from: Option<(PathBuf, Checkpoint)>,
}

impl Checkpoints {
    /// Looks into the directories. What is damaged there is logged.
    ///
    /// # Errors
    /// [`Error::Spec`] where `dir` holds the checkpoints of another run, [`Error::Model`] where no checkpoint in `resume` can be
    /// read, [`Error::Io`].
    pub fn look(options: CheckpointOptions) -> Result<Self> {
        let (mut from, mut dir) = (None, None);
        if let Some(path) = &options.resume {
            let Found {
                checkpoint,
                damaged,
                dir: found,
            } = CheckpointDir::look(path)?;
            for sentence in &damaged {
                log::warn!("{sentence}");
            }
            let shown = path.display();
            match checkpoint {
                Some(checkpoint) => from = Some((path.clone(), checkpoint)),
                None if damaged.is_empty() => {
                    log::info!("{shown} holds no checkpoint yet; the run begins at step 0");
                }
                None => {
                    let message =
                        Message::about("resume", shown, "no checkpoint there can be read");
                    let remedy = Remedy::by_hand("remove them to start from the beginning");
                    return Err(Error::Model(message.in_file(path).remedy(remedy)));
                }
            }
            dir = Some(found);
        }
        let mut clears = false;
        if let Some(path) = &options.dir
            && options.resume.as_ref() != Some(path)
        {
            let found = CheckpointDir::look(path)?;
            if let Some(existing) = &found.checkpoint {
                if !options.overwrite {
                    let shown = path.display();
                    let step = existing.snapshot.state.step;
                    let text = format!("it holds a checkpoint, of step {step}");
                    let message = Message::about("checkpoint", &shown, text)
                        .in_file(path)
                        .remedy(Remedy::new("continue from it", "resume", shown))
                        .remedy(Remedy::new("start from the beginning", "force", true));
                    return Err(Error::Spec(message));
                }
                clears = true;
            }
            dir = Some(found.dir);
        }
        Ok(Checkpoints {
            options,
            dir,
            lock: None,
            clears,
            from,
        })
    }

    /// Makes the directory ready, once nothing speaks against the run.
    ///
    /// # Errors
    /// [`Error::Io`], also where another run has the directory.
    pub fn make_ready(&mut self) -> Result<()> {
        if let Some(dir) = &mut self.dir {
            dir.make()?;
            self.lock = Some(dir.lock()?);
            if self.clears {
                dir.clear()?;
            }
        }
        Ok(())
    }

    /// Whether there is a checkpoint to continue from.
    pub fn is_resuming(&self) -> bool {
        self.from.is_some()
    }

    /// What writes the checkpoints of a run, and the one that it continues from. `device` is the one that it runs on.
    ///
    /// # Errors
    /// [`Error::Spec`] where the checkpoint is of another run, with what differs.
    pub fn begin<'a>(
        self,
        identity: impl Fn() -> Identity + 'a,
        device: &str,
    ) -> Result<(CheckpointWriter<'a>, Option<Checkpoint>)> {
        let dir = self.dir.zip(self.lock);
        let mut writer =
            CheckpointWriter::new(identity, dir, self.options.spare, self.options.every);
        let Some((path, checkpoint)) = self.from else {
            return Ok((writer, None));
        };
        let shown = path.display();
        let differences = writer.identity().differences(&checkpoint.identity);
        if !differences.is_empty() {
            let text = format!(
                "its checkpoint is of another run: {}",
                differences.join("; ")
            );
            let message = Message::about("resume", shown, text)
                .in_file(&path)
                .remedy(Remedy::by_hand(
                    "take the settings and the rows of that run",
                ))
                .remedy(Remedy::by_hand("choose another directory"));
            return Err(Error::Spec(message));
        }
        let snapshot = &checkpoint.snapshot;
        if snapshot.device != device {
            log::info!(
                "the checkpoint was made on {}; the run continues here, perhaps not to the same last digits",
                snapshot.device
            );
        }
        let of_flow = match checkpoint.trained.len() {
            0 => String::new(),
            before => format!(" of flow {}", before + 1),
        };
        log::info!(
            "continuing from step {}{of_flow}, a checkpoint in {shown}",
            snapshot.state.step
        );
        Ok((writer, Some(checkpoint)))
    }
}
