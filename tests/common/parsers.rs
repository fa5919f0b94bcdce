//! Every parser on a file from anywhere: an error that says something, or a value that holds together. The tests and the fuzz
//! targets (`fuzz/`) share them.
#![allow(dead_code)]

use std::path::Path;

use couplet::checkpoint::CheckpointDir;
use couplet::config::Overrides;
use couplet::data::{
    Missing, TableFormat, TableHeader, TableOptions, TableReader, read_table, write_table,
};
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
pub const BLANKS: Parser = Parser {
    seed: "rows.dat",
    read: table,
};
pub const THOUSANDS: Parser = Parser {
    seed: "thousands.csv",
    read: european,
};
pub const KINDS_PARQUET: Parser = Parser {
    seed: "kinds.parquet",
    read: kept,
};
pub const KINDS_ARROW: Parser = Parser {
    seed: "kinds.arrow",
    read: kept,
};
pub const JSON: Parser = Parser {
    seed: "rows.jsonl",
    read: kept,
};
pub const FOLDER: Parser = Parser {
    seed: "part-2.csv",
    read: folder,
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

pub const ALL: [Parser; 18] = [
    CSV,
    NPY,
    NPZ,
    PARQUET,
    ARROW,
    ARROW_STREAM,
    ARROW_PACKED,
    GZIP,
    ZSTD,
    BLANKS,
    THOUSANDS,
    KINDS_PARQUET,
    KINDS_ARROW,
    JSON,
    FOLDER,
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

/// With decimal commas, and whatever separator the file seems to have.
fn european(path: &Path) -> Result<()> {
    let options = TableOptions {
        decimal_comma: true,
        missing: Missing::Drop,
        ..TableOptions::default()
    };
    let table = read_table(path, &options)?;
    assert!(table.values.values().iter().all(|x| x.is_finite()));
    Ok(())
}

/// A table whose every column is kept, and written in every format that has a place for it.
fn kept(path: &Path) -> Result<()> {
    let options = TableOptions {
        keeps_table: true,
        missing: Missing::Drop,
        columns: vec!["a".into(), "price".into()],
        ..TableOptions::default()
    };
    let mut reader = TableReader::open(&[path], &options)?;
    let header = TableHeader {
        names: reader.all_columns().to_vec(),
        metadata: reader.metadata().to_vec(),
    };
    let mut parts = Vec::new();
    while let Some(part) = reader.next(20)? {
        let rows = (part.rows.end - part.rows.start) as usize;
        let table = part.table.expect("the table is kept");
        assert!(table.iter().all(|column| column.len() == rows));
        assert!(part.numbers.iter().all(|number| part.rows.contains(number)));
        parts.push(table);
    }
    for format in TableFormat::ALL {
        let mut out = Vec::new();
        let written = write_table(format, &mut out, &header, None, parts.clone().into_iter());
        // An array holds no text; names and values that are damaged may be refused, but not by all formats of text.
        assert!(
            written.is_ok() || !format.is_text(),
            "{format:?}: {written:?}"
        );
    }
    Ok(())
}

/// A folder of two files, of which one is good.
fn folder(path: &Path) -> Result<()> {
    let folder = path.parent().expect("a folder");
    let good = folder.join("part-1.csv");
    if !good.exists() {
        std::fs::write(&good, "a,b\n1,2\n3,4\n").map_err(Error::io(&good))?;
    }
    table(folder)
}

fn model(path: &Path) -> Result<()> {
    peek(path);
    let model = Model::load(path)?;
    for flow in &model.flows {
        assert!(flow.parameters.iter().all(|p| p.is_finite()));
        assert_eq!(flow.parameters.len(), model.plan()?.layout.len());
    }
    Ok(())
}

fn checkpoint(path: &Path) -> Result<()> {
    let mut found = CheckpointDir::look(path.parent().expect("a folder"))?;
    if let Some(why) = found.damaged.pop() {
        return Err(Error::Model(why.into()));
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
