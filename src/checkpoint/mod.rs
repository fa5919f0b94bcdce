//! Checkpoints: the state of a training run in a directory, from which it can be resumed. Two slots are written in turn, so the
//! previous checkpoint stays until the next one is written and read back.

mod dir;
mod identity;
mod options;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::time::Duration;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result, escape_control};
use crate::executor::TrainingState;
use crate::train::{Best, Progress, Snapshot, TrainedFlow};

pub use dir::{CheckpointDir, Found};
pub use identity::Identity;
pub use options::{CheckpointOptions, Checkpoints};
pub use writer::CheckpointWriter;

/// The version of the files, which only grows.
const FORMAT_VERSION: u32 = 1;

/// Keys of a file's metadata: the record, and the digest of all but itself.
const RECORD: &str = "couplet-checkpoint";
const DIGEST: &str = "digest";

/// A snapshot of a run, as it is stored on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// A counter within the folder: the larger number is the newer checkpoint.
    pub number: u64,
    /// The run that it belongs to.
    pub identity: Identity,
    /// The flows of an ensemble that were trained before.
    pub trained: Vec<TrainedFlow>,
    /// Where the run of the flow after them stands.
    pub snapshot: Snapshot,
}

/// What no tensor holds. Numbers that are not whole are given by their bits.
#[derive(Serialize, Deserialize)]
struct Record {
    format_version: u32,
    library_version: String,
    number: u64,
    identity: Identity,
    device: String,
    state: Place,
    checked: Option<Place>,
    good: Option<Place>,
    best: Option<(usize, u64)>,
    first: Option<u64>,
    last: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    late: Option<(u64, u64)>,
    retries: usize,
    in_steps: Duration,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    trained: Vec<TrainedRecord>,
}

/// What no tensor holds of a flow of an ensemble.
#[derive(Serialize, Deserialize)]
struct TrainedRecord {
    steps: usize,
    best_step: usize,
    validation: Option<(u64, u64)>,
    out_of_patience: bool,
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
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let Snapshot {
            state,
            progress,
            device,
        } = &self.snapshot;
        let record = Record {
            format_version: FORMAT_VERSION,
            library_version: env!("CARGO_PKG_VERSION").into(),
            number: self.number,
            identity: self.identity.clone(),
            device: device.clone(),
            state: Place::of(state),
            checked: progress.checked.as_ref().map(Place::of),
            good: progress.good.as_ref().map(Place::of),
            best: progress
                .best
                .as_ref()
                .map(|best| (best.step, best.nll.to_bits())),
            first: progress.first.map(f64::to_bits),
            last: progress.last.map(f64::to_bits),
            late: progress.late.map(to_bits),
            retries: progress.retries,
            in_steps: progress.in_steps,
            trained: self
                .trained
                .iter()
                .map(|flow| TrainedRecord {
                    steps: flow.steps,
                    best_step: flow.best_step,
                    validation: flow.validation.map(to_bits),
                    out_of_patience: flow.out_of_patience,
                    in_steps: flow.in_steps,
                })
                .collect(),
        };
        let record = serde_json::to_string(&record).expect("plain data serializes");
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
        for (index, flow) in self.trained.iter().enumerate() {
            tensors.insert(of_trained(index), packed(&flow.parameters));
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
            .map_err(|error| Error::model(format!("a checkpoint: {error}")))
    }

    /// # Errors
    /// What is wrong with the file, in words.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let broken = |error: safetensors::SafeTensorError| {
            format!("damaged or cut short: {}", escape_control(&error))
        };
        let tensors = SafeTensors::deserialize(bytes).map_err(broken)?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
        let said = |key: &str| header.metadata().as_ref().and_then(|all| all.get(key));
        let (Some(record), Some(expected)) = (said(RECORD), said(DIGEST)) else {
            return Err("no checkpoint of couplet's".into());
        };
        let sorted: BTreeMap<_, _> = tensors.tensors().into_iter().collect();
        let found = digest(
            record,
            sorted.iter().map(|(name, it)| (&name[..], it.data())),
        );
        // A random change never matches the digest, so a fuzzer would not reach what follows.
        if found != *expected && !cfg!(fuzzing) {
            return Err("damaged: its content is not what was written".into());
        }
        let unreadable = |error: serde_json::Error| {
            format!("its record is not readable: {}", escape_control(&error))
        };
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
        let state = |prefix: &str, index: Place| {
            let list = |name: &str| list(format!("{prefix}.{name}"));
            Ok::<_, String>(TrainingState {
                step: index.step,
                parameters: list("parameters")?,
                first_moment: list("first_moment")?,
                second_moment: list("second_moment")?,
                average: list("average")?,
                rate_factor: f64::from_bits(index.rate_factor),
            })
        };
        let checked = record
            .checked
            .map(|index| state("checked", index))
            .transpose()?;
        let good = record.good.map(|index| state("good", index)).transpose()?;
        let best = match record.best {
            None => None,
            Some((step, nll)) => Some(Best {
                step,
                nll: f64::from_bits(nll),
                parameters: list("best.parameters".into())?,
            }),
        };
        let trained = record.trained.into_iter().enumerate();
        let trained = trained.map(|(index, it)| {
            Ok::<_, String>(TrainedFlow {
                parameters: list(of_trained(index))?,
                steps: it.steps,
                best_step: it.best_step,
                validation: it.validation.map(from_bits),
                out_of_patience: it.out_of_patience,
                in_steps: it.in_steps,
            })
        });
        Ok(Checkpoint {
            number: record.number,
            identity: record.identity,
            trained: trained.collect::<Result<_, _>>()?,
            snapshot: Snapshot {
                device: record.device,
                state: state("state", record.state)?,
                progress: Progress {
                    checked,
                    good,
                    best,
                    first: record.first.map(f64::from_bits),
                    last: record.last.map(f64::from_bits),
                    late: record.late.map(from_bits),
                    retries: record.retries,
                    in_steps: record.in_steps,
                },
            },
        })
    }
}

fn to_bits((first, second): (f64, f64)) -> (u64, u64) {
    (first.to_bits(), second.to_bits())
}

fn from_bits((first, second): (u64, u64)) -> (f64, f64) {
    (f64::from_bits(first), f64::from_bits(second))
}

/// The name of the parameters of a flow that was trained before.
fn of_trained(index: usize) -> String {
    format!("trained.{index}.parameters")
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::Config;
    use crate::matrix::Matrix;

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

    pub fn checkpoint() -> Checkpoint {
        let rows = Matrix::from_fn(3, 2, |row, column| (row + column) as f32);
        Checkpoint {
            number: 7,
            identity: Identity::of(
                &Config::default(),
                &["a".into(), "b".into()],
                (&rows, &[]),
                None,
            ),
            trained: vec![TrainedFlow {
                parameters: vec![0.5, -0.1],
                steps: 70,
                best_step: 60,
                validation: Some((0.1 + 0.2, f64::NEG_INFINITY)),
                out_of_patience: true,
                in_steps: Duration::from_nanos(1),
            }],
            snapshot: Snapshot {
                device: "a device".into(),
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
                    late: Some((0.1 + 0.2, 0.7)),
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
        for index in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[index] ^= 1 << (index % 8);
            // The padding of the header holds nothing.
            assert!(
                Checkpoint::from_bytes(&damaged).map_or(true, |read| read == it),
                "byte {index}"
            );
        }
    }
}
