//! A run that is killed, at any moment, is taken up again and ends as it would have; what cannot continue says why.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::command::{refused, stderr, table, well};

/// A run of some seconds, with held-out rows, minibatches and checks.
const RUN: &str = "train d.csv --device cpu --steps 600 --layers 4 --hidden 32,32 --log-every 200";

fn with_table() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    table(folder.path(), "d.csv", 2000, |_, _| {});
    folder
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    fs::read(folder.join(name)).unwrap()
}

fn start(folder: &Path, args: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_couplet"))
        .args(args.split_whitespace())
        .current_dir(folder)
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Starts a command and kills it after a while, if it has not ended.
fn killed(folder: &Path, args: &str, after: Duration) -> bool {
    let mut child = start(folder, args);
    sleep(after);
    let ended = child.try_wait().unwrap().is_some();
    // One that has just ended cannot be killed, which is as well.
    let _ = child.kill();
    child.wait().unwrap();
    !ended
}

fn last_step(lines: &[Value]) -> u64 {
    lines
        .iter()
        .filter_map(|line| line["step"].as_u64())
        .max()
        .unwrap()
}

/// Killed at moments spread over the run, some of them while a checkpoint is written, and resumed each time.
#[test]
fn a_killed_run_ends_with_the_same_bytes() {
    let folder = with_table();
    let folder = folder.path();
    let run = RUN.replace("--steps 600", "--steps 2500");
    well(folder, &format!("{run} --out whole.safetensors"));
    let again = format!(
        "{run} --out model.safetensors --resume kept --checkpoint-every 10ms --log log.jsonl"
    );
    let mut kills = 0;
    for k in 0..12 {
        let after = Duration::from_millis(150 + 37 * k);
        kills += u32::from(killed(folder, &again, after));
    }
    assert!(kills > 3, "{kills} kills");
    assert!(folder.join("kept/checkpoint-0.safetensors").exists());
    let output = well(folder, &again);
    assert!(
        stderr(&output).contains("continuing from step"),
        "{}",
        stderr(&output)
    );
    assert!(read(folder, "whole.safetensors") == read(folder, "model.safetensors"));
    // Its log tells the whole run: every logged step, some of them more than once, and where it went on.
    let log = fs::read_to_string(folder.join("log.jsonl")).unwrap();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let steps = (0..=2500).step_by(200).chain([2500]);
    for step in steps.filter(|&step| step <= last_step(&lines)) {
        let is_it = |line: &&Value| line["event"] == "step" && line["step"] == step;
        let told: Vec<_> = lines
            .iter()
            .filter(is_it)
            .map(|line| &line["nll"])
            .collect();
        assert!(
            !told.is_empty() && told.iter().all(|nll| *nll == told[0]),
            "step {step}"
        );
    }
    assert!(lines.iter().any(|line| line["event"] == "resumed"));
    // Once more, from a checkpoint of a run that has ended.
    well(folder, &again);
    assert!(read(folder, "whole.safetensors") == read(folder, "model.safetensors"));
    // Two runs at once do not mix theirs.
    let endless = again
        .replace("--steps 2500", "--steps 100000000")
        .replace("--resume", "--checkpoint");
    let endless = endless
        .replace("kept", "busy")
        .replace(" --log log.jsonl", "");
    let mut first = start(folder, &endless);
    while !folder.join("busy/checkpoint-0.safetensors").exists() {
        sleep(Duration::from_millis(10));
    }
    let second = endless.replace("--checkpoint ", "--resume ");
    refused(folder, &second, 1, &["busy", "another run"]);
    first.kill().unwrap();
    first.wait().unwrap();
    // Nothing half-written stays once its writer is long dead.
    let names = fs::read_dir(folder.join("kept")).unwrap();
    assert!(names.count() <= 3 + kills as usize);
}

/// Ctrl-C and SIGTERM leave a checkpoint even where none was asked for, and says how to continue.
#[cfg(unix)]
#[test]
fn an_interrupted_run_says_how_it_goes_on() {
    let folder = with_table();
    let folder = folder.path();
    let run = RUN.replace("--steps 600", "--steps 1200");
    well(folder, &format!("{run} --out whole.safetensors"));
    for signal in ["-INT", "-TERM"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_couplet"))
            .args(format!("{run} --out model.safetensors").split_whitespace())
            .current_dir(folder)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Not before it is on its way.
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let begun = lines.any(|line| line.unwrap().trim_start().starts_with("200 "));
        assert!(begun);
        let id = child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.unwrap().success());
        let text: Vec<String> = lines.map(|line| line.unwrap()).collect();
        let text = text.join("\n");
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{text}");
        let (_, command) = text.split_once("To continue: ").expect(&text);
        assert!(
            command.trim_end().ends_with("--resume model.checkpoint"),
            "{text}"
        );
        let words = command.split_whitespace().skip(1).collect::<Vec<_>>();
        well(folder, &words.join(" "));
        assert!(read(folder, "whole.safetensors") == read(folder, "model.safetensors"));
    }
}

#[test]
fn what_cannot_go_on_says_why() {
    let folder = with_table();
    let folder = folder.path();
    let kept = format!("{RUN} --out m.safetensors --checkpoint kept --checkpoint-every 0s");
    let text = stderr(&well(
        folder,
        &format!("{RUN} --out m.safetensors --resume kept"),
    ));
    assert!(text.contains("kept holds no checkpoint yet"), "{text}");
    well(folder, &kept);
    // Another's place is not taken.
    refused(
        folder,
        &kept,
        2,
        &["--checkpoint kept", "--resume kept", "--force"],
    );
    let resume = format!("{RUN} --out m.safetensors --resume kept");
    let parts = [
        "another run",
        "train.steps is 700, and was 600",
        "train.seed is 7",
    ];
    refused(
        folder,
        &format!("{} --seed 7", resume.replace("600", "700")),
        2,
        &parts,
    );
    table(folder, "other.csv", 2000, |row, fields| {
        if row == 1234 {
            fields[1] = "100.5".into();
        }
    });
    refused(
        folder,
        &resume.replace("d.csv", "other.csv"),
        2,
        &["other numbers"],
    );
    table(folder, "long.csv", 2010, |_, _| {});
    refused(
        folder,
        &resume.replace("d.csv", "long.csv"),
        2,
        &["1809 rows", "and there were 1800"],
    );
    refused(
        folder,
        &resume.replace("--resume kept", "--resume d.csv"),
        3,
        &["d.csv: this is no folder"],
    );
    refused(
        folder,
        &format!("{resume} --cpu-reference"),
        2,
        &["--cpu-reference"],
    );

    // A damaged one gives way to the one before it; two leave nothing to continue from.
    let before = read(folder, "m.safetensors");
    for (index, what) in [(0, "damaged"), (1, "no checkpoint there can be read")] {
        let file = folder.join(format!("kept/checkpoint-{index}.safetensors"));
        let mut bytes = fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&file, bytes).unwrap();
        if index == 0 {
            let text = stderr(&well(folder, &resume));
            assert!(
                text.contains(what) && text.contains("checkpoint-0"),
                "{text}"
            );
            assert!(before == read(folder, "m.safetensors"));
            // It has been written anew meanwhile, or not: the run may have been too short.
            fs::write(&file, b"short").unwrap();
        } else {
            refused(folder, &resume, 3, &[what, "--resume kept"]);
        }
    }
    well(folder, &format!("{kept} --force"));
    well(folder, &resume);
}
