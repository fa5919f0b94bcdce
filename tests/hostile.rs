//! Every reader against files that chance has damaged: an error or a value, never a panic, and never more than a moment. The
//! damage is drawn by a fixed seed, so that a failure comes back.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use couplet::config::{ConfigFile, ModelConfig};
use couplet::data::{TableOptions, read_table};
use couplet::flow::{Plan, initial_parameters};
use couplet::model::{Model, peek};
use couplet::random::{Philox, Purpose};
use couplet::{Matrix, Result};
use rand::{Rng, RngExt};

/// Damages bytes in one to eight places: a bit, a byte, a stretch doubled, taken out, or replaced by what breaks parsers.
fn damage(bytes: &[u8], random: &mut Philox) -> Vec<u8> {
    const NASTY: [&[u8]; 10] = [
        b"\"",
        b"\x00",
        b"[[[[",
        b"{",
        b"-1",
        b"1e999",
        b"nan",
        b"18446744073709551615",
        b"\xff\xfe",
        b"\n",
    ];
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.next_u32() % 8 {
        if bytes.is_empty() {
            break;
        }
        // Headers break more than bodies: half of the damage is in the first 200 bytes.
        let reach = if random.random::<bool>() {
            bytes.len().min(200)
        } else {
            bytes.len()
        };
        let at = random.next_u32() as usize % reach;
        let stretch = at..(at + random.next_u32() as usize % 40).min(bytes.len());
        match random.next_u32() % 6 {
            0 => bytes[at] ^= 1 << (random.next_u32() % 8),
            1 => bytes[at] = random.next_u32() as u8,
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(stretch)),
            4 => {
                let doubled = bytes[stretch].to_vec();
                bytes.splice(at..at, doubled);
            }
            _ => {
                let nasty = NASTY[random.next_u32() as usize % NASTY.len()];
                bytes.splice(stretch, nasty.iter().copied());
            }
        }
    }
    bytes
}

/// Reads `count` damaged versions of a file; returns how many were read all the same.
fn survive(name: &str, good: &[u8], count: u32, read: impl Fn(&Path) -> Result<()>) -> u32 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, good).unwrap();
    read(&path).unwrap();
    let mut random = Philox::row(1, Purpose::Generator, name.len() as u64);
    let mut readable = 0;
    for number in 0..count {
        let bytes = damage(good, &mut random);
        fs::write(&path, &bytes).unwrap();
        let begin = Instant::now();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read(&path)));
        let Ok(result) = result else {
            panic!(
                "{name}, damaged version {number}: {:?}",
                String::from_utf8_lossy(&bytes)
            );
        };
        let took = begin.elapsed();
        assert!(
            took < Duration::from_secs(5),
            "{name}, damaged version {number}: {took:?}"
        );
        match result {
            Ok(()) => readable += 1,
            Err(error) => {
                let text = error.to_string();
                assert!(
                    text.len() < 4000,
                    "{} bytes of message: {text:.200}",
                    text.len()
                );
                assert!(!text.contains('\x1b'), "{text:?}");
            }
        }
    }
    readable
}

#[test]
fn damaged_tables() {
    let options = TableOptions::default();
    let read = |path: &Path| {
        let table = read_table(path, &options)?;
        assert!(table.values.values().iter().all(|x| x.is_finite()));
        assert_eq!(table.columns.len(), table.values.columns());
        Ok(())
    };
    let csv = b"height,\"weight, kg\"\n1.5,70\n1.6,-2e3\n\"1.7\",8\n1,2\n";
    let readable = survive("rows.csv", csv, 2000, read);
    assert!((50..1900).contains(&readable), "{readable}");
    let mut npy = Vec::new();
    let matrix = Matrix::from_fn(20, 3, |row, column| (row * 3 + column) as f64);
    couplet::data::write_npy(&mut npy, 20, 3, std::iter::once(Ok(matrix)))
        .unwrap()
        .unwrap();
    let readable = survive("rows.npy", &npy, 2000, read);
    assert!((50..1900).contains(&readable), "{readable}");
}

#[test]
fn damaged_models() {
    let spec = ModelConfig::default().spec(3).unwrap();
    let plan = Plan::new(&spec).unwrap();
    let model = Model {
        parameters: initial_parameters(&plan.layout, 1),
        spec,
        columns: ["a", "b", "c"].map(String::from).to_vec(),
        preprocessing: Default::default(),
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    model.save(&path).unwrap();
    let readable = survive("m.safetensors", &fs::read(&path).unwrap(), 3000, |path| {
        peek(path);
        let model = Model::load(path)?;
        assert!(model.parameters.iter().all(|p| p.is_finite()));
        assert_eq!(model.parameters.len(), model.plan()?.layout.len());
        Ok(())
    });
    assert!((50..2900).contains(&readable), "{readable}");
}

#[test]
fn damaged_configurations() {
    let toml = b"preset = \"safe\"\n[model]\nlayers = 3\nhidden = [8, 9]\nactivation = \"relu\"\n[train]\nsteps = 70\n\
                 learning_rate = 1e-3\nvalidation = 0.1\n[data]\nwhiten = false\n";
    let readable = survive("run.toml", toml, 3000, |path| {
        let file = ConfigFile::read(path)?;
        // Whatever it says is either a run or an error.
        let config = file.over(&Default::default());
        config
            .validate()
            .and_then(|()| config.model.spec(4).map(drop))
    });
    assert!((50..2900).contains(&readable), "{readable}");
}
