use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::checkpoint::{Checkpoint, Folder, Found, Identity, Keeper};
use crate::error::Error;
use crate::train::Snapshot;

use super::resolve::Run;
use super::train_args::TrainArgs;
use super::{Failure, Result, input};

/// Where the checkpoints of a run go and where it goes on from, as the flags say.
pub struct Plans {
    folder: Option<Folder>,
    lock: Option<File>,
    /// Whether what the folder holds is of another run, and makes room.
    clears: bool,
    every: Duration,
    from: Option<(PathBuf, Checkpoint)>,
}

impl Plans {
    /// Looks into the folders, before any work begins.
    pub fn new(args: &TrainArgs) -> Result<Self> {
        let look = |path: &Path| Folder::look(path).map_err(input);
        let (mut from, mut folder) = (None, None);
        if let Some(path) = &args.resume {
            let Found {
                checkpoint,
                damaged,
                folder: found,
            } = look(path)?;
            folder = Some(found);
            for sentence in &damaged {
                say!("warning: {sentence}");
            }
            let folder = path.display();
            match checkpoint {
                Some(checkpoint) => from = Some((path.clone(), checkpoint)),
                None if damaged.is_empty() => {
                    say!("note: {folder} holds no checkpoint yet; the run begins at step 0");
                }
                None => {
                    return Err(Error::Model(format!(
                        "--resume {folder}: no checkpoint there can be read; remove them to begin anew"
                    ))
                    .into());
                }
            }
        }
        let mut clears = false;
        if let Some(path) = args
            .checkpoint
            .as_ref()
            .filter(|&path| args.resume.as_ref() != Some(path))
        {
            let found = look(path)?;
            if let Some(there) = &found.checkpoint {
                if !args.force {
                    return Err(Failure::usage(format!(
                        "--checkpoint {0}: it holds a checkpoint, of step {1}; add --resume {0} to go on from there, or --force \
                         to begin anew",
                        path.display(),
                        there.snapshot.state.step
                    )));
                }
                clears = true;
            }
            folder = Some(found.folder);
        }
        Ok(Plans {
            folder,
            lock: None,
            clears,
            every: args.checkpoint_every,
            from,
        })
    }

    /// Makes the folder ready, once nothing speaks against the run.
    pub fn make_folder(&mut self) -> Result<()> {
        if let Some(folder) = &mut self.folder {
            folder.make()?;
            self.lock = Some(folder.lock()?);
            if self.clears {
                folder.clear()?;
            }
        }
        Ok(())
    }

    /// Whether there is a checkpoint to go on from.
    pub fn goes_on(&self) -> bool {
        self.from.is_some()
    }

    /// For the run as it was resolved, on a device: what keeps its checkpoints, and what it goes on from.
    pub fn begin<'a>(self, run: &'a Run, device: &str) -> Result<(Keeper<'a>, Option<Snapshot>)> {
        let identity = || {
            let fit = &run.fit;
            Identity::of(
                &fit.config,
                &fit.model.columns,
                &fit.rows,
                fit.validation.as_ref(),
            )
        };
        let spare = run.out.with_extension("checkpoint");
        let mut keeper = Keeper::new(identity, self.folder.zip(self.lock), spare, self.every);
        let Some((path, checkpoint)) = self.from else {
            return Ok((keeper, None));
        };
        let folder = path.display();
        let identity = keeper.identity();
        let differences = identity.differences(&checkpoint.identity);
        if !differences.is_empty() {
            return Err(Failure::usage(format!(
                "--resume {folder}: its checkpoint is of another run: {}; take the settings and the rows of that one, or \
                 another folder",
                differences.join("; ")
            )));
        }
        let snapshot = checkpoint.snapshot;
        if snapshot.device != device {
            say!(
                "note: the checkpoint was made on {}; here the run goes on, if perhaps not to the same last digits",
                snapshot.device
            );
        }
        say!(
            "going on from step {}, a checkpoint in {folder}",
            snapshot.state.step
        );
        Ok((keeper, Some(snapshot)))
    }
}

/// The command that goes on from the checkpoint of a folder.
pub fn command(folder: &Path) -> String {
    let said = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    going_on(said, &folder.to_string_lossy())
}

/// A command, as said, with its checkpoint in `folder`.
fn going_on(mut said: impl Iterator<Item = String>, folder: &str) -> String {
    let mut words = Vec::new();
    while let Some(word) = said.next() {
        if word == "--resume" {
            said.next();
        } else if !word.starts_with("--resume=") {
            words.push(quoted(&word));
        }
    }
    words.extend(["--resume".into(), quoted(folder)]);
    words.join(" ")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// A time such as 30s, 5m or 1h.
pub fn duration(text: &str) -> Result<Duration, String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let seconds = match unit {
        "ms" => 1e-3,
        "s" | "" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("a number with ms, s, m or h behind it, such as 30s".into()),
    };
    let number: f64 = text[..text.len() - unit.len()]
        .parse()
        .map_err(|_| "a number with ms, s, m or h behind it, such as 30s".to_string())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| "that is too long".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        let is = |text: &str, seconds: f64| {
            assert_eq!(
                duration(text),
                Ok(Duration::from_secs_f64(seconds)),
                "{text}"
            );
        };
        is("30s", 30.0);
        is("250ms", 0.25);
        is("1.5m", 90.0);
        is("2h", 7200.0);
        is("5", 5.0);
        for text in ["", "s", "-1s", "1d", "1e3", "..s", "99999999999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_command_names_the_newest_folder() {
        let words = [
            "couplet",
            "train",
            "my rows.csv",
            "--resume",
            "old",
            "--resume=older",
        ];
        let command = going_on(words.into_iter().map(String::from), "it's new");
        assert_eq!(
            command,
            r"couplet train 'my rows.csv' --resume 'it'\''s new'"
        );
    }
}
