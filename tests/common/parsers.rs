//! Every parser on a file from anywhere: an error that says something, or a value that holds together. The tests and the fuzz
//! targets (`fuzz/`) share them.
#![allow(dead_code)]

use std::path::Path;

use couplet::checkpoint::Folder;
use couplet::config::Overrides;
use couplet::data::{TableOptions, read_table};
use couplet::model::{Model, peek};
use couplet::{Error, Result};

/// A parser, and a file in `tests/fixtures/seeds` that it reads.
pub struct Parser {
    pub seed: &'static str,
    pub read: fn(&Path) -> Result<()>,
}

pub const CSV: Parser = Parser {
    seed: "rows.csv",
    read: table,
};
pub const NPY: Parser = Parser {
    seed: "rows.npy",
    read: table,
};
pub const NPZ: Parser = Parser {
    seed: "rows.npz",
    read: table,
};
pub const PARQUET: Parser = Parser {
    seed: "rows.parquet",
    read: table,
};
pub const ARROW: Parser = Parser {
    seed: "rows.arrow",
    read: table,
};
pub const ARROW_STREAM: Parser = Parser {
    seed: "rows.arrows",
    read: table,
};
pub const ARROW_PACKED: Parser = Parser {
    seed: "packed.arrow",
    read: table,
};
pub const GZIP: Parser = Parser {
    seed: "rows.csv.gz",
    read: table,
};
pub const ZSTD: Parser = Parser {
    seed: "rows.csv.zst",
    read: table,
};
pub const MODEL: Parser = Parser {
    seed: "model.safetensors",
    read: model,
};
pub const CHECKPOINT: Parser = Parser {
    seed: "checkpoint-0.safetensors",
    read: checkpoint,
};
pub const CONFIGURATION: Parser = Parser {
    seed: "run.toml",
    read: configuration,
};

pub const ALL: [Parser; 12] = [
    CSV,
    NPY,
    NPZ,
    PARQUET,
    ARROW,
    ARROW_STREAM,
    ARROW_PACKED,
    GZIP,
    ZSTD,
    MODEL,
    CHECKPOINT,
    CONFIGURATION,
];

fn table(path: &Path) -> Result<()> {
    let table = read_table(path, &TableOptions::default())?;
    assert!(table.values.values().iter().all(|x| x.is_finite()));
    assert_eq!(table.columns.len(), table.values.columns());
    Ok(())
}

fn model(path: &Path) -> Result<()> {
    peek(path);
    let model = Model::load(path)?;
    assert!(model.parameters.iter().all(|p| p.is_finite()));
    assert_eq!(model.parameters.len(), model.plan()?.layout.len());
    Ok(())
}

fn checkpoint(path: &Path) -> Result<()> {
    let mut found = Folder::look(path.parent().expect("a folder"))?;
    if let Some(why) = found.damaged.pop() {
        return Err(Error::Model(why));
    }
    assert!(found.checkpoint.is_some());
    Ok(())
}

/// Whatever it says is either a run or an error.
fn configuration(path: &Path) -> Result<()> {
    let config = Overrides::read(path)?.over(Default::default());
    config.validate()?;
    config.model.spec(4).map(drop)
}

/// What every error has to be like.
pub fn check_message(error: &Error) {
    let text = error.to_string();
    assert!(text.len() < 4000, "{} bytes: {text:.200}", text.len());
    assert!(!text.contains('\x1b'), "{text:?}");
}
