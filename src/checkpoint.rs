//! Checkpoints: a training run in a folder, to be taken up again. There are two places, which new ones take in turn, so that the
//! one before stays until the next has been written and read back.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::executor::TrainingState;
use crate::files::{read_at_most, write_whole};
use crate::flow::MAX_PARAMETERS;
use crate::matrix::Matrix;
use crate::train::{Best, Progress, Snapshot};

/// The version of the files, which only grows.
const FORMAT_VERSION: u32 = 1;

/// Keys of a file's metadata: the record, and the digest of all but itself.
const RECORD: &str = "couplet-checkpoint";
const DIGEST: &str = "digest";

/// The largest file that is read: thirteen lists of parameters in f64 (three states of four, and the best), and what names them.
const LARGEST_FILE: u64 = (1 << 24) + 13 * 8 * MAX_PARAMETERS as u64;

/// What a run is of: another one cannot go on from its checkpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The configuration as JSON: as text, since a number that is read back may lose its last bit.
    pub config: String,
    pub columns: Vec<String>,
    pub rows: usize,
    pub held_out: usize,
    /// Of all these rows as the flow sees them.
    pub digest: String,
    /// What computes: on another device a run goes on, but not bit for bit.
    pub device: String,
}

impl Identity {
    /// Of a run on these rows, in the order of the flow's columns.
    pub fn of(
        config: &Config,
        columns: &[String],
        rows: &Matrix<f32>,
        held_out: Option<&Matrix<f64>>,
        device: String,
    ) -> Self {
        let mut digest = Sha256::new();
        for value in rows.values() {
            digest.update(value.to_le_bytes());
        }
        for value in held_out.map_or(&[][..], Matrix::values) {
            digest.update(value.to_le_bytes());
        }
        Identity {
            config: serde_json::to_string(config).expect("plain data serialises"),
            columns: columns.to_vec(),
            rows: rows.rows(),
            held_out: held_out.map_or(0, Matrix::rows),
            digest: hex(digest),
            device,
        }
    }

    /// What a run with this identity lacks to go on from the checkpoints of `other`, a sentence each.
    pub fn differences(&self, other: &Identity) -> Vec<String> {
        let mut found = Vec::new();
        let settings =
            |of: &Identity| leaves(&serde_json::from_str(&of.config).unwrap_or_default());
        let (ours, theirs) = (settings(self), settings(other));
        let names: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
        for name in names {
            let [ours, theirs] = [&ours, &theirs].map(|all| all.get(name));
            let text = |value: Option<&Value>| value.map_or("unset".into(), Value::to_string);
            if text(ours) != text(theirs) {
                found.push(format!(
                    "{name} is {}, and was {}",
                    text(ours),
                    text(theirs)
                ));
            }
        }
        if self.columns != other.columns {
            let [ours, theirs] = [self, other].map(|of| of.columns.join(", "));
            found.push(format!("the columns are {ours}, and were {theirs}"));
        }
        let [ours, theirs] = [self, other].map(|of| (of.rows, of.held_out));
        if ours != theirs {
            found.push(format!(
                "{} rows are trained on and {} held out, and there were {} and {}",
                ours.0, ours.1, theirs.0, theirs.1
            ));
        } else if self.digest != other.digest && found.is_empty() {
            found.push("the rows have other numbers".into());
        }
        found
    }
}

/// A snapshot of a run, as it lies on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Counts those of a folder: the larger one is the newer.
    pub number: u64,
    pub identity: Identity,
    pub snapshot: Snapshot,
}

/// What no tensor holds. Numbers that are not whole are given by their bits.
#[derive(Serialize, Deserialize)]
struct Record {
    format_version: u32,
    library_version: String,
    number: u64,
    identity: Identity,
    state: Place,
    checked: Option<Place>,
    good: Option<Place>,
    best: Option<(usize, u64)>,
    first: Option<u64>,
    last: Option<u64>,
    retries: usize,
    in_steps: Duration,
}

#[derive(Serialize, Deserialize)]
struct Place {
    step: u64,
    rate_factor: u64,
}

impl Place {
    fn of(state: &TrainingState) -> Self {
        Place {
            step: state.step,
            rate_factor: state.rate_factor.to_bits(),
        }
    }
}

/// The lists of a state, with their names.
fn lists(state: &TrainingState) -> [(&'static str, &[f64]); 4] {
    [
        ("parameters", &state.parameters),
        ("first_moment", &state.first_moment),
        ("second_moment", &state.second_moment),
        ("average", &state.average),
    ]
}

impl Checkpoint {
    /// The whole file.
    fn to_bytes(&self) -> Result<Vec<u8>> {
        let Snapshot { state, progress } = &self.snapshot;
        let record = Record {
            format_version: FORMAT_VERSION,
            library_version: env!("CARGO_PKG_VERSION").into(),
            number: self.number,
            identity: self.identity.clone(),
            state: Place::of(state),
            checked: progress.checked.as_ref().map(Place::of),
            good: progress.good.as_ref().map(Place::of),
            best: progress
                .best
                .as_ref()
                .map(|best| (best.step, best.nll.to_bits())),
            first: progress.first.map(f64::to_bits),
            last: progress.last.map(f64::to_bits),
            retries: progress.retries,
            in_steps: progress.in_steps,
        };
        let record = serde_json::to_string(&record).expect("plain data serialises");
        let states = [
            ("state", Some(state)),
            ("checked", progress.checked.as_ref()),
            ("good", progress.good.as_ref()),
        ];
        let mut tensors = BTreeMap::new();
        for (prefix, state) in states {
            for (name, values) in state.iter().flat_map(|state| lists(state)) {
                tensors.insert(format!("{prefix}.{name}"), packed(values));
            }
        }
        if let Some(best) = &progress.best {
            tensors.insert("best.parameters".into(), packed(&best.parameters));
        }
        let digest = digest(
            &record,
            tensors.iter().map(|(name, it)| (&name[..], &it.1[..])),
        );
        let views = tensors.iter().map(|(name, (kind, bytes))| {
            let count = 8 * bytes.len() / kind.bitsize();
            let view = TensorView::new(*kind, vec![count], bytes);
            (name, view.expect("as many bytes as numbers"))
        });
        let metadata = HashMap::from([(RECORD.into(), record), (DIGEST.into(), digest)]);
        safetensors::serialize(views, Some(metadata))
            .map_err(|error| Error::Model(format!("a checkpoint: {error}")))
    }

    /// # Errors
    /// What is wrong with the file, in words.
    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let broken = |error: safetensors::SafeTensorError| format!("damaged or cut short: {error}");
        let tensors = SafeTensors::deserialize(bytes).map_err(broken)?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
        let said = |key: &str| header.metadata().as_ref().and_then(|all| all.get(key));
        let (Some(record), Some(promised)) = (said(RECORD), said(DIGEST)) else {
            return Err("no checkpoint of couplet's".into());
        };
        let sorted: BTreeMap<_, _> = tensors.tensors().into_iter().collect();
        let found = digest(
            record,
            sorted.iter().map(|(name, it)| (&name[..], it.data())),
        );
        if found != *promised {
            return Err("damaged: its content is not what was written".into());
        }
        let unreadable = |error: serde_json::Error| format!("its record is not readable: {error}");
        let version: Value = serde_json::from_str(record).map_err(unreadable)?;
        if version["format_version"] != FORMAT_VERSION {
            return Err(format!(
                "written in format version {}, and this program reads version {FORMAT_VERSION}",
                version["format_version"]
            ));
        }
        let record: Record = serde_json::from_str(record).map_err(unreadable)?;
        let list = |name: String| match sorted.get(&name) {
            Some(view) => unpacked(view).ok_or(format!("tensor {name} is {:?}", view.dtype())),
            None => Err(format!("tensor {name} is missing")),
        };
        let state = |prefix: &str, place: Place| {
            let list = |name: &str| list(format!("{prefix}.{name}"));
            Ok::<_, String>(TrainingState {
                step: place.step,
                parameters: list("parameters")?,
                first_moment: list("first_moment")?,
                second_moment: list("second_moment")?,
                average: list("average")?,
                rate_factor: f64::from_bits(place.rate_factor),
            })
        };
        let checked = record
            .checked
            .map(|place| state("checked", place))
            .transpose()?;
        let good = record.good.map(|place| state("good", place)).transpose()?;
        let best = match record.best {
            None => None,
            Some((step, nll)) => Some(Best {
                step,
                nll: f64::from_bits(nll),
                parameters: list("best.parameters".into())?,
            }),
        };
        Ok(Checkpoint {
            number: record.number,
            identity: record.identity,
            snapshot: Snapshot {
                state: state("state", record.state)?,
                progress: Progress {
                    checked,
                    good,
                    best,
                    first: record.first.map(f64::from_bits),
                    last: record.last.map(f64::from_bits),
                    retries: record.retries,
                    in_steps: record.in_steps,
                },
            },
        })
    }
}

/// Numbers as f32 where they are no more, which is what executors compute in.
fn packed(values: &[f64]) -> (Dtype, Vec<u8>) {
    if values
        .iter()
        .all(|&value| f64::from(value as f32).to_bits() == value.to_bits())
    {
        let bytes = values
            .iter()
            .flat_map(|&value| (value as f32).to_le_bytes());
        return (Dtype::F32, bytes.collect());
    }
    (
        Dtype::F64,
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect(),
    )
}

fn unpacked(view: &TensorView<'_>) -> Option<Vec<f64>> {
    let bytes = view.data();
    match view.dtype() {
        Dtype::F32 => {
            let (numbers, _) = bytes.as_chunks();
            Some(
                numbers
                    .iter()
                    .map(|&four| f64::from(f32::from_le_bytes(four)))
                    .collect(),
            )
        }
        Dtype::F64 => {
            let (numbers, _) = bytes.as_chunks();
            Some(
                numbers
                    .iter()
                    .map(|&eight| f64::from_le_bytes(eight))
                    .collect(),
            )
        }
        _ => None,
    }
}

/// Of a record and all tensors, by name.
fn digest<'a>(record: &str, tensors: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut all = Sha256::new();
    all.update(record);
    for (name, bytes) in tensors {
        all.update(name);
        all.update(bytes);
    }
    hex(all)
}

fn hex(digest: Sha256) -> String {
    let mut text = String::new();
    for byte in digest.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The values in nested tables, by their dotted names.
fn leaves(value: &Value) -> BTreeMap<String, Value> {
    match value {
        Value::Object(table) => table
            .iter()
            .flat_map(|(key, value)| {
                leaves(value).into_iter().map(move |(below, value)| {
                    let dot = if below.is_empty() { "" } else { "." };
                    (format!("{key}{dot}{below}"), value)
                })
            })
            .collect(),
        _ => BTreeMap::from([(String::new(), value.clone())]),
    }
}

/// A folder with the checkpoints of a run.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    /// The place of the newest one that can be read, and its number.
    newest: Option<(usize, u64)>,
}

/// What a folder holds.
pub struct Found {
    pub folder: Folder,
    /// The newest that can be read.
    pub checkpoint: Option<Checkpoint>,
    /// Those that cannot, a sentence each.
    pub damaged: Vec<String>,
}

impl Folder {
    /// Looks into a folder, which need not be there yet.
    ///
    /// # Errors
    /// [`Error::Io`] where it is no folder or cannot be read.
    pub fn look(path: &Path) -> Result<Found> {
        if path.exists() && !path.is_dir() {
            let message = "this is no folder; name one, or a new one";
            let kind = std::io::ErrorKind::NotADirectory;
            return Err(Error::io(path)(std::io::Error::new(kind, message)));
        }
        let mut folder = Folder {
            path: path.to_owned(),
            newest: None,
        };
        let mut checkpoint: Option<Checkpoint> = None;
        let mut damaged = Vec::new();
        for place in 0..2 {
            let file = folder.file(place);
            let bytes = match read_at_most(&file, LARGEST_FILE) {
                Ok(bytes) => bytes,
                Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            match Checkpoint::from_bytes(&bytes) {
                Ok(it) if folder.newest.is_none_or(|(_, number)| it.number > number) => {
                    folder.newest = Some((place, it.number));
                    checkpoint = Some(it);
                }
                Ok(_) => {}
                Err(why) => damaged.push(format!("{}: {why}", file.display())),
            }
        }
        Ok(Found {
            folder,
            checkpoint,
            damaged,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, place: usize) -> PathBuf {
        self.path.join(format!("checkpoint-{place}.safetensors"))
    }

    /// Makes the folder, if it is not there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn make(&self) -> Result<()> {
        if self.path.is_dir() {
            return Ok(());
        }
        std::fs::create_dir(&self.path).map_err(Error::io(&self.path))
    }

    /// Takes the folder for this process, for as long as what is returned lives.
    ///
    /// # Errors
    /// [`Error::Io`], also where another process has it.
    pub fn lock(&self) -> Result<File> {
        let path = self.path.join("lock");
        let mut options = File::options();
        let file = options.create(true).append(true).open(&path);
        let file = file.map_err(Error::io(&path))?;
        // A file system without locks does not stop a run.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            let message = "another run keeps its checkpoints in this folder; name another";
            let error = std::io::Error::new(std::io::ErrorKind::ResourceBusy, message);
            return Err(Error::io(&self.path)(error));
        }
        Ok(file)
    }

    /// Removes the checkpoints in it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn clear(&mut self) -> Result<()> {
        for place in 0..2 {
            let file = self.file(place);
            match std::fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io(&file)(error));
                }
                _ => {}
            }
        }
        self.newest = None;
        Ok(())
    }

    /// Writes a snapshot in the place of the older checkpoint and reads it back; the other stays.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Model`] where the file that was written is not what was to be written.
    pub fn write(&mut self, identity: &Identity, snapshot: Snapshot) -> Result<()> {
        let (place, number) = match self.newest {
            None => (0, 0),
            Some((place, number)) => (1 - place, number + 1),
        };
        let checkpoint = Checkpoint {
            number,
            identity: identity.clone(),
            snapshot,
        };
        let file = self.file(place);
        let bytes = checkpoint.to_bytes()?;
        write_whole(&file, &bytes)?;
        if read_at_most(&file, LARGEST_FILE)? != bytes {
            return Err(Error::Model(format!(
                "{}: what was written cannot be read back; is the disk sound?",
                file.display()
            )));
        }
        self.newest = Some((place, number));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(step: u64, scale: f64) -> TrainingState {
        let list = |by: f64| (0..5).map(|k| scale * by * f64::from(k)).collect();
        TrainingState {
            step,
            parameters: list(0.1),
            first_moment: list(0.25),
            second_moment: list(1e-300),
            average: Vec::new(),
            rate_factor: 0.3,
        }
    }

    fn checkpoint() -> Checkpoint {
        let rows = Matrix::from_fn(3, 2, |row, column| (row + column) as f32);
        Checkpoint {
            number: 7,
            identity: Identity::of(
                &Config::default(),
                &["a".into(), "b".into()],
                &rows,
                None,
                "a device".into(),
            ),
            snapshot: Snapshot {
                state: state(40, 1.0),
                progress: Progress {
                    checked: Some(state(40, 1.0)),
                    good: Some(state(30, -0.5)),
                    best: Some(Best {
                        step: 20,
                        nll: 0.1 + 0.2,
                        parameters: vec![0.1, f64::MIN_POSITIVE, -0.0, 1e300, 3.0],
                    }),
                    first: Some(f64::INFINITY),
                    last: Some(1.0 / 3.0),
                    retries: 2,
                    in_steps: Duration::from_nanos(123_456_789_012),
                },
            },
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let it = checkpoint();
        let bytes = it.to_bytes().unwrap();
        assert_eq!(Checkpoint::from_bytes(&bytes), Ok(it));
    }

    /// Every bit counts, and every byte.
    #[test]
    fn damage_is_noticed() {
        let it = checkpoint();
        let bytes = it.to_bytes().unwrap();
        for length in 0..bytes.len() {
            assert!(
                Checkpoint::from_bytes(&bytes[..length]).is_err(),
                "{length} bytes"
            );
        }
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1 << (place % 8);
            // The padding of the header holds nothing.
            assert!(
                Checkpoint::from_bytes(&damaged).map_or(true, |read| read == it),
                "byte {place}"
            );
        }
    }

    /// A checkpoint takes the place of the older one.
    #[test]
    fn the_one_before_stays() {
        let folder = tempfile::tempdir().unwrap();
        let it = checkpoint();
        let mut kept = Folder::look(&folder.path().join("new")).unwrap().folder;
        kept.make().unwrap();
        let lock = kept.lock().unwrap();
        let second = kept.lock().unwrap_err().to_string();
        assert!(second.contains("another run"), "{second}");
        drop(lock);
        let _lock = kept.lock().unwrap();
        for step in 0..5 {
            let mut snapshot = it.snapshot.clone();
            snapshot.state.step = step;
            kept.write(&it.identity, snapshot).unwrap();
            let found = Folder::look(kept.path()).unwrap();
            assert_eq!(found.checkpoint.unwrap().snapshot.state.step, step);
            assert!(found.damaged.is_empty());
            let newest = found.folder.newest.unwrap().0;
            let lost = kept.file(newest);
            let whole = std::fs::read(&lost).unwrap();
            std::fs::write(&lost, &whole[..whole.len() / 2]).unwrap();
            let found = Folder::look(kept.path()).unwrap();
            let before = found.checkpoint.map(|it| it.snapshot.state.step);
            assert_eq!(before, step.checked_sub(1));
            assert_eq!(found.damaged.len(), 1);
            std::fs::write(&lost, whole).unwrap();
        }
    }
}
