//! Every command that writes, on a disk that fails at each of its changes in turn.

use std::fs;
use std::path::Path;

use serde_json::Value;

use couplet::checkpoint::CheckpointDir;
use couplet::model::Model;
use couplet::testing::DiskFault;

/// A folder with a table, and a model that is to be written over.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut table = String::from("a,b\n");
    for row in 0..60 {
        let [x, y] = [1.7, 2.3].map(|pace| f64::sin(pace * f64::from(row)));
        table += &format!("{x},{y}\n");
    }
    fs::write(folder.path().join("d.csv"), table).unwrap();
    assert_eq!(
        run(folder.path(), "train d.csv --steps 1 --out m.safetensors"),
        0
    );
    folder
}

/// Runs a command on files in a folder.
fn run(folder: &Path, args: &str) -> u8 {
    let args = args.split_whitespace().map(|word| {
        let is_file = (word.contains('.') && !word.starts_with(|c: char| c.is_ascii_digit()))
            || word == "kept";
        match is_file {
            true => folder.join(word).into_os_string(),
            false => word.into(),
        }
    });
    let args = std::iter::once("couplet".into()).chain(args);
    couplet::cli::run(args.chain(["--device", "cpu", "--quiet"].map(Into::into)))
}

/// Runs a command once for each change that it makes to the disk, with that one failing, and has `check` look at what is left.
/// Returns how many runs ended well, and how many did not.
fn at_every_change(args: &str, mut check: impl FnMut(&Path, u8, &str)) -> [usize; 2] {
    let before = folder();
    let mut ended = [0, 0];
    for fault in [DiskFault::Full, DiskFault::Denied] {
        for at in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let folder = folder.path();
            for entry in fs::read_dir(before.path()).unwrap() {
                let entry = entry.unwrap();
                fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
            }
            fault.plan(folder, at);
            let code = run(folder, args);
            let changes = DiskFault::end(folder);
            check(
                folder,
                code,
                &format!("{args}: {fault:?} at {at} of {changes}"),
            );
            let mut names = fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name());
            assert!(
                !names.any(|name| name.to_string_lossy().starts_with('.')),
                "{fault:?} at {at}"
            );
            ended[usize::from(code != 0)] += 1;
            if changes <= at {
                assert_eq!(code, 0, "{args}: nothing failed");
                break;
            }
        }
    }
    println!("{args}: {} ended well, {} did not", ended[0], ended[1]);
    ended
}

/// What stood under a name stays until the new is there, whole; a run whose log fails keeps its best model, and one whose
/// checkpoints fail continues.
#[test]
fn a_run_on_a_disk_that_fails() {
    let small = "--layers 2 --transform affine --mixing none --hidden 8";
    // A checkpoint at each of three logged steps at least, however fast the machine and its disk are.
    let args = format!(
        "train d.csv {small} --steps 150 --out m.safetensors --log l.jsonl --checkpoint kept --checkpoint-every 0s"
    );
    let usual = folder();
    let old = fs::read(usual.path().join("m.safetensors")).unwrap();
    assert_eq!(run(usual.path(), &args), 0);
    let new = fs::read(usual.path().join("m.safetensors")).unwrap();
    let [well, badly] = at_every_change(&args, |folder, code, what| {
        let path = folder.join("m.safetensors");
        let model = fs::read(&path).unwrap();
        match code {
            0 => assert!(model == new, "{what}"),
            1 => assert!(model == old || Model::load(&path).is_ok(), "{what}"),
            other => panic!("{what}: exit code {other}"),
        }
        let kept = CheckpointDir::look(&folder.join("kept")).unwrap();
        assert_eq!(kept.damaged, Vec::<String>::new(), "{what}");
        let log = fs::read_to_string(folder.join("l.jsonl")).unwrap_or_default();
        for line in log
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
        {
            serde_json::from_str::<Value>(line)
                .unwrap_or_else(|error| panic!("{what}: {line}: {error}"));
        }
    });
    assert!(well > 20 && badly > 20, "{well} {badly}");
}

#[test]
fn tables_on_a_disk_that_fails() {
    for args in [
        "sample m.safetensors -n 500 --out t.csv",
        "sample m.safetensors -n 500 --out t.npy",
        "sample m.safetensors -n 500 --json --out t.json",
        "score m.safetensors d.csv --out t.csv",
        "score m.safetensors d.csv --out t.npy",
    ] {
        let usual = folder();
        assert_eq!(run(usual.path(), args), 0);
        let name = args.split(' ').next_back().unwrap();
        let whole = fs::read(usual.path().join(name)).unwrap();
        let [well, badly] = at_every_change(args, |folder, code, what| {
            let written = fs::read(folder.join(name)).ok();
            match code {
                0 => assert!(written.as_ref() == Some(&whole), "{what}"),
                1 => assert!(written.is_none_or(|written| written == whole), "{what}"),
                other => panic!("{what}: exit code {other}"),
            }
        });
        assert!(well == 2 && badly > 5, "{args}: {well} {badly}");
    }
}
