//! What the machine refuses is an error, and loses nothing.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::command::{shell, stderr, table, well};

/// A limit on the size of files ends a write as a full disk does: with a message, and what was there before.
#[test]
fn a_file_size_limit_is_an_error_not_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder, "t.csv", 200, |_, _| {});
    let train = "train t.csv --device cpu --steps 20 --out m.safetensors";
    well(folder, train);
    let model = fs::read(folder.join("m.safetensors")).unwrap();
    let limited = |command: &str| shell(folder, &format!("ulimit -f 10; couplet {command}"));
    for command in [
        format!("{train} --force"),
        format!("{train} --checkpoint kept --checkpoint-every 0s"),
        "sample m.safetensors -n 50000 --device cpu --out s.csv".into(),
    ] {
        let output = limited(&command);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{command}: {said}");
        assert!(said.contains("File too large"), "{command}: {said}");
        assert!(fs::read(folder.join("m.safetensors")).unwrap() == model);
        assert!(!folder.join("s.csv").exists());
    }
    // What is small enough, or refused before it is written, ends as ever.
    let output = limited("score m.safetensors t.csv --device cpu --append --out s.npy");
    assert!(
        output.status.code().is_some_and(|code| code <= 2),
        "{}",
        stderr(&output)
    );
}

/// Whatever prints to standard output says so where nothing can arrive there.
#[test]
fn standard_output_that_is_full_or_closed_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder, "t.csv", 60, |_, _| {});
    well(
        folder,
        "train t.csv --device cpu --steps 3 --out m.safetensors",
    );
    let mut streams = vec![">&-"];
    // The device that is always full.
    if Path::new("/dev/full").exists() {
        streams.push("> /dev/full");
    }
    for stream in streams {
        for command in [
            "--version",
            "--help",
            "train --help",
            "info m.safetensors",
            "man",
            "completions bash",
            "sample m.safetensors -n 5 --device cpu",
            "score m.safetensors t.csv --device cpu",
            "score m.safetensors t.csv --device cpu --summary",
        ] {
            let output = shell(folder, &format!("couplet {command} {stream}"));
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{command} {stream}: {said}");
            assert!(
                said.contains("error: standard output"),
                "{command} {stream}: {said}"
            );
        }
        // What prints nothing there does its work.
        let output = shell(
            folder,
            &format!("couplet sample m.safetensors -n 5 --device cpu --out s.csv {stream}"),
        );
        assert!(output.status.success(), "{}", stderr(&output));
    }
    // A device that takes everything is no closed stream, however it was opened; nor is a reader that has seen enough.
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_couplet"))
        .arg("--help")
        .stdout(Stdio::from(null))
        .status()
        .unwrap();
    assert!(status.success());
    let piped = "set -o pipefail; couplet sample m.safetensors -n 100000 --device cpu -q | head -1";
    assert!(shell(folder, piped).status.success());
}
