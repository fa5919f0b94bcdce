use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::hex;
use crate::config::Config;
use crate::matrix::Matrix;

/// What identifies a run: a run with another identity cannot continue from its checkpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The configuration as JSON: as text, since a number that is read back may lose its last bit.
    pub config: String,
    /// The columns' names.
    pub columns: Vec<String>,
    /// Rows trained on.
    pub rows: usize,
    /// Rows held out.
    pub held_out: usize,
    /// The blocks that rows are streamed in, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<usize>,
    /// Of all these rows as the flow sees them.
    pub digest: String,
}

impl Identity {
    /// Of a run on these rows, in the order of the flow's columns.
    pub fn of(
        config: &Config,
        columns: &[String],
        (rows, weights): (&Matrix<f32>, &[f32]),
        held_out: Option<&Matrix<f64>>,
    ) -> Self {
        let mut digest = Sha256::new();
        for value in rows.values().iter().chain(weights) {
            digest.update(value.to_le_bytes());
        }
        for value in held_out.map_or(&[][..], Matrix::values) {
            digest.update(value.to_le_bytes());
        }
        Identity {
            config: serde_json::to_string(config).expect("plain data serializes"),
            columns: columns.to_vec(),
            rows: rows.rows(),
            held_out: held_out.map_or(0, Matrix::rows),
            blocks: None,
            digest: hex(digest),
        }
    }

    /// The differences that keep a run with this identity from continuing the checkpoints of `other`, a sentence each.
    pub fn differences(&self, other: &Identity) -> Vec<String> {
        let mut found = Vec::new();
        let settings =
            |of: &Identity| leaves(&serde_json::from_str(&of.config).unwrap_or_default());
        let (ours, theirs) = (settings(self), settings(other));
        let names: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
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
        } else if self.blocks != other.blocks {
            let text = |blocks: Option<usize>| match blocks {
                None => "held in memory".into(),
                Some(count) => format!("streamed in {count} blocks"),
            };
            found.push(format!(
                "rows are {}, and were {} (memory decides)",
                text(self.blocks),
                text(other.blocks)
            ));
        } else if self.digest != other.digest && found.is_empty() {
            found.push("the rows have other numbers".into());
        }
        found
    }
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
