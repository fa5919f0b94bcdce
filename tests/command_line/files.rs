//! No file of the user's is lost: what the command may write over, what it keeps when a run does not end well.
#![cfg(unix)]

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use crate::command::{couplet, refused, stderr, table, well};

use crate::faulty::{Fault, Faulty};
use couplet::executor::Executor;
use couplet::testing::with_executor_decorator;
use couplet::{Error, Result};

/// A folder with a table and a model of it.
fn with_model() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    table(folder.path(), "d.csv", 60, |_, _| {});
    let args = "train d.csv --steps 5 --device cpu --out m.safetensors";
    well(folder.path(), args);
    folder
}

fn pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

/// Devices and pipes are written through, never replaced by a file of their name; so is a link, which stays one.
#[test]
fn what_is_no_file_is_not_replaced() {
    let folder = with_model();
    let folder = folder.path();
    let is_device = || {
        let kind = fs::metadata("/dev/null").unwrap().file_type();
        assert!(kind.is_char_device(), "/dev/null was replaced");
    };
    well(
        folder,
        "score m.safetensors d.csv --device cpu --out /dev/null",
    );
    is_device();
    well(
        folder,
        "sample m.safetensors -n 5 --device cpu --out /dev/null",
    );
    is_device();
    let train = "train d.csv --steps 5 --device cpu --out";
    well(folder, &format!("{train} /dev/null --log /dev/null"));
    is_device();
    let output = well(folder, &format!("{train} n.safetensors --log /dev/stderr"));
    assert!(stderr(&output).contains("\"event\":\"done\""));

    let fifo = folder.join("fifo");
    pipe(&fifo);
    let reader = std::thread::spawn({
        let fifo = fifo.clone();
        move || fs::read_to_string(fifo).unwrap()
    });
    well(folder, "score m.safetensors d.csv --device cpu --out fifo");
    assert_eq!(reader.join().unwrap().lines().count(), 61);
    assert!(fs::metadata(&fifo).unwrap().file_type().is_fifo());

    symlink("elsewhere.csv", folder.join("link.csv")).unwrap();
    well(
        folder,
        "score m.safetensors d.csv --device cpu --out link.csv",
    );
    assert!(
        fs::symlink_metadata(folder.join("link.csv"))
            .unwrap()
            .is_symlink()
    );
    assert!(folder.join("elsewhere.csv").exists());
}

/// No command writes over what it reads, under whatever name, nor anything else over a model.
#[test]
fn inputs_and_models_are_not_overwritten() {
    let folder = with_model();
    let folder = folder.path();
    let (data, model) = (folder.join("d.csv"), folder.join("m.safetensors"));
    fs::hard_link(&data, folder.join("hard.csv")).unwrap();
    symlink("d.csv", folder.join("soft.csv")).unwrap();
    fs::hard_link(&model, folder.join("m2.safetensors")).unwrap();
    fs::write(folder.join("notes.txt"), "mine").unwrap();
    fs::write(folder.join("c.toml"), "").unwrap();
    let before = [&data, &model].map(|path| fs::read(path).unwrap());
    let score = "score m.safetensors d.csv --device cpu --out";
    let train = "train d.csv --device cpu --steps 2 --config c.toml";
    for (args, parts) in [
        (format!("{score} d.csv"), ["DATA", "overwrite"]),
        (format!("{score} ./hard.csv"), ["DATA", "overwrite"]),
        (format!("{score} soft.csv"), ["DATA", "overwrite"]),
        (
            format!("{score} m2.safetensors --json"),
            ["MODEL", "overwrite"],
        ),
        (
            "sample m.safetensors --json --out m.safetensors".into(),
            ["MODEL", "overwrite"],
        ),
        (format!("{train} --log hard.csv"), ["DATA", "overwrite"]),
        (format!("{train} --log c.toml"), ["--config", "overwrite"]),
        (format!("{train} --out soft.csv"), ["DATA", "overwrite"]),
        (
            format!("{train} --log m2.safetensors"),
            ["a model", "--force"],
        ),
        (
            format!("{train} --log x --out ./x"),
            ["--log and --out", "name two"],
        ),
        (format!("{train} --out notes.txt"), ["no model", "--force"]),
        (
            format!("{train} --out -"),
            ["standard output", "name a file"],
        ),
    ] {
        refused(folder, &args, 2, &parts);
    }
    fs::copy(&model, folder.join("other.safetensors")).unwrap();
    let onto = "sample m.safetensors -n 3 --device cpu --json --out other.safetensors";
    refused(folder, onto, 2, &["a model", "2 columns", "--force"]);
    assert_eq!(before, [&data, &model].map(|path| fs::read(path).unwrap()));
    assert_eq!(fs::read(folder.join("notes.txt")).unwrap(), b"mine");

    // Asked for, it is done; and a model that takes another's place says whose.
    well(folder, &format!("{onto} --force"));
    well(folder, &format!("{train} --out notes.txt --force"));
    let output = well(folder, &format!("{train} --out m.safetensors"));
    let text = stderr(&output);
    assert!(
        text.contains("in place of the model that was there (2 columns"),
        "{text}"
    );
    // Rows that go to standard output must not go to the end of the table that they are read from.
    let appended = Command::new(env!("CARGO_BIN_EXE_couplet"))
        .args(["score", "m.safetensors", "d.csv", "--device", "cpu"])
        .current_dir(folder)
        .stdout(File::options().append(true).open(&data).unwrap())
        .output()
        .unwrap();
    assert_eq!(appended.status.code(), Some(2), "{}", stderr(&appended));
    assert_eq!(fs::read(&data).unwrap(), before[0]);
}

#[test]
fn the_models_name_keeps_all_of_the_tables_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for name in ["data.v1.csv", "data.v2.csv", ".csv", "plain"] {
        table(folder, name, 40, |_, _| {});
        well(folder, &format!("train {name} --steps 2 --device cpu"));
    }
    for name in ["data.v1", "data.v2", ".csv", "plain"] {
        assert!(
            folder.join(format!("{name}.safetensors")).exists(),
            "{name}"
        );
    }
}

/// kill -9 leaves a temporary file; the next run in that folder removes it, but not one that another run is writing.
#[test]
fn what_killed_runs_leave_is_swept() {
    let folder = with_model();
    let folder = folder.path();
    let temporaries = || -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
        entries
            .filter(|path| path.to_string_lossy().ends_with(".tmp"))
            .collect()
    };
    let endless = || {
        // Counted first: the child may be quicker than we are.
        let before = temporaries().len();
        let mut child = start(
            folder,
            "sample m.safetensors -n 900000000 --device cpu --out many.csv",
        );
        wait_until(|| temporaries().len() > before || child.try_wait().unwrap().is_some());
        child
    };
    let mut killed = endless();
    killed.kill().unwrap();
    killed.wait().unwrap();
    let left = temporaries();
    assert_eq!(left.len(), 1);
    let mut writing = endless();
    let old = SystemTime::now() - Duration::from_secs(60);
    for path in temporaries() {
        File::open(path).unwrap().set_modified(old).unwrap();
    }
    well(
        folder,
        "sample m.safetensors -n 5 --device cpu --out few.csv",
    );
    let now = temporaries();
    writing.kill().unwrap();
    writing.wait().unwrap();
    assert_eq!(now.len(), 1, "{now:?}");
    assert_ne!(now, left);
}

/// Two runs with one log: the second is refused, and the first one's lines stay whole.
#[test]
fn a_log_is_written_by_one_run() {
    let folder = with_model();
    let folder = folder.path();
    let mut first = start(
        folder,
        "train d.csv --steps 100000000 --validation 0 --device cpu --log log.jsonl --out a.safetensors",
    );
    wait_until(|| fs::metadata(folder.join("log.jsonl")).is_ok_and(|m| m.len() > 0));
    let second = "train d.csv --steps 2 --device cpu --log log.jsonl --out b.safetensors";
    refused(folder, second, 1, &["log.jsonl", "another run"]);
    interrupt(&first);
    assert_eq!(first.wait().unwrap().code(), Some(130));
    let log = fs::read_to_string(folder.join("log.jsonl")).unwrap();
    for line in log.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

fn start(folder: &Path, args: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_couplet"))
        .args(args.split_whitespace())
        .current_dir(folder)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn interrupt(child: &Child) {
    signal(child, "-INT");
}

fn signal(child: &Child, name: &str) {
    let kill = Command::new("kill")
        .args([name, &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
}

#[track_caller]
fn wait_until(mut done: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(std::time::Instant::now() < deadline, "waited in vain");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ctrl-C and SIGTERM end a run with its best model on the disk, and say so.
#[test]
fn an_interrupted_run_leaves_its_best_model() {
    let folder = with_model();
    let folder = folder.path();
    for (name, flags) in [
        ("-INT", ""),
        ("-TERM", "--validation 0"),
        ("-INT", "--cpu-reference"),
    ] {
        let args = format!(
            "train d.csv --steps 100000000 --patience 0 --device cpu --log-every 10 --out best.safetensors {flags}"
        );
        let mut child = start(folder, &args);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut text = String::new();
        // Some steps in.
        while !text
            .lines()
            .any(|line| line.trim_start().starts_with("30 "))
        {
            text += &(lines.next().unwrap().unwrap() + "\n");
        }
        signal(&child, name);
        for line in lines {
            text += &(line.unwrap() + "\n");
        }
        assert_eq!(child.wait().unwrap().code(), Some(130), "{text}");
        assert!(
            text.contains("The best model so far") && text.contains("best.safetensors"),
            "{text}"
        );
        well(folder, "info best.safetensors");
        fs::remove_file(folder.join("best.safetensors")).unwrap();
    }
}

/// A device that is lost at a given step, or in whatever comes after training.
struct Lost {
    at_step: u64,
    taken: u64,
}

impl Fault for Lost {
    fn train(&mut self, steps: usize) -> Result<()> {
        if self.taken >= self.at_step {
            return Err(Error::Gpu("the device was lost".into()));
        }
        self.taken += steps as u64;
        Ok(())
    }

    fn log_prob(&mut self) -> Result<()> {
        if self.taken >= 100 {
            return Err(Error::Gpu("the device was lost".into()));
        }
        Ok(())
    }
}

/// Fails on a GPU after some steps, twice in all or from then on for good.
struct Flaky {
    on_gpu: bool,
    taken: usize,
    failures: Arc<AtomicUsize>,
    most: usize,
}

impl Fault for Flaky {
    fn train(&mut self, steps: usize) -> Result<()> {
        self.taken += steps;
        let failures = self.failures.load(Ordering::Relaxed);
        let is_for_good = self.most > 2 && failures > 0;
        if self.on_gpu && failures < self.most && (self.taken > 5 || is_for_good) {
            self.failures.store(failures + 1, Ordering::Relaxed);
            return Err(Error::Gpu("the device was lost".into()));
        }
        Ok(())
    }
}

/// A device that fails is opened again, and the run ends as if it had not; one that always fails is given up, with the best
/// model in its place; with --fallback cpu the CPU continues.
#[test]
fn a_device_that_fails_is_opened_again() {
    let folder = with_model();
    let folder = folder.path();
    let run = |out: &str, most: usize, flags: &str| {
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let failures = Arc::new(AtomicUsize::new(0));
        let args = format!(
            "couplet train {} --device gpu --steps 40 --out {} --log {} {flags}",
            path("d.csv"),
            path(&format!("{out}.safetensors")),
            path(&format!("{out}.jsonl")),
        );
        let decorator = move |inner: Box<dyn Executor>| -> Box<dyn Executor> {
            let fault = Flaky {
                on_gpu: !inner.describe().starts_with("CPU"),
                taken: 0,
                failures: failures.clone(),
                most,
            };
            Box::new(Faulty { inner, fault })
        };
        let args = args.split_whitespace().map(OsString::from);
        let code = with_executor_decorator(decorator, || couplet::cli::run(args));
        let log = fs::read_to_string(folder.join(format!("{out}.jsonl"))).unwrap();
        let failed = log.lines().filter(|line| line.contains("device_failed"));
        let model = fs::read(folder.join(format!("{out}.safetensors")));
        (code, failed.count(), model.ok(), log)
    };
    let (code, failed, expected, _) = run("whole", 0, "");
    assert_eq!((code, failed), (0, 0));
    let (code, failed, model, log) = run("twice", 2, "");
    assert_eq!((code, failed), (0, 2), "{log}");
    assert!(model == expected);
    let (code, failed, model, log) = run("always", usize::MAX, "");
    assert_eq!((code, failed), (1, 4), "{log}");
    assert!(model.is_some());
    let (code, failed, model, log) = run("cpu", usize::MAX, "--fallback cpu");
    assert_eq!((code, failed), (0, 4), "{log}");
    assert!(model.is_some());
    assert!(log.lines().last().unwrap().contains("CPU"), "{log}");
}

/// A device that is lost within a step, and one that is lost when all steps are done: the model is there.
#[test]
fn a_model_outlives_the_device_that_trained_it() {
    let folder = with_model();
    let folder = folder.path();
    for (at_step, flags) in [(50, "--validation 0.2"), (1000, "--validation 0")] {
        let out = folder.join(format!("{at_step}.safetensors"));
        let mut args: Vec<OsString> = "couplet train --device cpu --steps 100"
            .split_whitespace()
            .chain(flags.split_whitespace())
            .map(OsString::from)
            .collect();
        args.extend([
            folder.join("d.csv").into(),
            "--out".into(),
            out.clone().into(),
        ]);
        let decorator = move |inner| -> Box<dyn Executor> {
            let fault = Lost { at_step, taken: 0 };
            Box::new(Faulty { inner, fault })
        };
        let code = with_executor_decorator(decorator, || couplet::cli::run(args));
        assert_eq!(code, 1);
        let output = couplet(folder, &format!("info {}", out.display()));
        assert!(output.status.success(), "{}", stderr(&output));
    }
}
