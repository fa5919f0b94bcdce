use std::cell::OnceCell;
use std::fs;

use tempfile::TempDir;

#[path = "../../../tests/common/parsers.rs"]
pub mod parsers;

use parsers::{Parser, check_message};

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

/// Has a parser read a file of these bytes.
pub fn read(parser: &Parser, bytes: &[u8]) {
    FOLDER.with(|folder| {
        let folder = folder.get_or_init(|| tempfile::tempdir().expect("a folder for files"));
        let path = folder.path().join(parser.seed);
        fs::write(&path, bytes).expect("room for a file");
        if let Err(error) = (parser.read)(&path) {
            check_message(&error);
        }
    });
}
