//! What a run says: in a terminal and elsewhere, more and less, and what it makes of the fit.

use std::fs;
#[cfg(target_os = "linux")]
use std::path::Path;

use crate::command::{couplet, refused, stderr, stdout, table, well};

const TRAIN: &str = "train people.csv --device cpu --steps 120 --log-every 40";

fn people() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    table(folder.path(), "people.csv", 300, |_, _| {});
    folder
}

/// What a command writes to a terminal, with everything that moves the cursor.
#[cfg(target_os = "linux")]
fn in_terminal(folder: &Path, setting: &str, args: &str) -> String {
    let command = format!(
        "stty cols 100 rows 40; {setting} {} {args}",
        env!("CARGO_BIN_EXE_couplet")
    );
    let output = std::process::Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .env("TERM", "xterm")
        .current_dir(folder)
        .output()
        .expect("util-linux has script");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

/// A terminal has a curve and a bar, which are gone at the end; others have plain lines. Colors are the user's to refuse.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_has_a_curve() {
    let folder = people();
    let folder = folder.path();
    let seen = in_terminal(folder, "", TRAIN);
    let is_braille = |letter: char| ('\u{2801}'..='\u{28ff}').contains(&letter);
    assert!(seen.contains(is_braille), "{seen}");
    for part in ["/120 steps", "steps/s", "held out", " left", "final NLL"] {
        assert!(seen.contains(part), "no {part} in {seen}");
    }
    let end = &seen[seen.find("final NLL").unwrap()..];
    assert!(
        !end.contains(is_braille) && !end.contains("steps/s"),
        "{end}"
    );

    let plain = stderr(&well(folder, TRAIN));
    assert!(
        !plain.contains(is_braille) && !plain.contains('\u{1b}'),
        "{plain}"
    );
    let quiet = in_terminal(folder, "", &format!("{TRAIN} -q"));
    assert_eq!(quiet, "");

    assert!(in_terminal(folder, "", "train -h").contains("\u{1b}["));
    assert!(!in_terminal(folder, "NO_COLOR=1", "train -h").contains('\u{1b}'));
}

#[test]
fn more_is_said_on_request() {
    let folder = people();
    let folder = folder.path();
    let usual = stderr(&well(folder, TRAIN));
    let more = stderr(&well(
        folder,
        &format!("{TRAIN} -v --checkpoint kept --checkpoint-every 1ms"),
    ));
    for part in [
        "batch_size = ",
        "columns height, weight",
        "memory ",
        "checkpoint of step ",
    ] {
        assert!(
            more.contains(part) && !usual.contains(part),
            "{part}: {more}"
        );
    }
    let score = stderr(&well(
        folder,
        "score people.safetensors people.csv --out s.csv -v",
    ));
    assert!(
        score.contains("300 rows in ") && score.contains("rows a second"),
        "{score}"
    );
    assert_eq!(couplet(folder, "devices -v -q").status.code(), Some(2));
}

/// A model says how it was trained, and continues so: the same rows are held out, and it is not worse afterwards.
#[test]
fn a_model_is_trained_on_with_its_own_settings() {
    let folder = people();
    let folder = folder.path();
    let nll = |args: &str| -> f64 {
        let output = well(folder, args);
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        summary["validation_nll"].as_f64().unwrap()
    };
    let settings = "--steps 150 --batch-size 64 --seed 9 --validation 0.3 --layers 4 --json";
    let first = nll(&format!("train people.csv --device cpu {settings}"));
    let info = stdout(&well(folder, "info people.safetensors"));
    assert!(
        info.contains("at most 150 steps, 64 rows each") && info.contains("seed 9"),
        "{info}"
    );

    let on = "train people.csv --device cpu --continue people.safetensors";
    let dry = stdout(&well(folder, &format!("{on} --dry-run --steps 70")));
    for line in [
        "steps = 70",
        "batch_size = 64",
        "seed = 9",
        "validation = 0.3",
        "layers = 4",
    ] {
        assert!(dry.lines().any(|it| it == line), "no {line} in {dry}");
    }
    let before = fs::read(folder.join("people.safetensors")).unwrap();
    let second = nll(&format!("{on} --json"));
    assert!(second <= first, "{first}, then {second}");
    assert_ne!(before, fs::read(folder.join("people.safetensors")).unwrap());

    // Elsewhere, where that is asked for.
    let now = fs::read(folder.join("people.safetensors")).unwrap();
    well(folder, &format!("{on} --out other.safetensors --steps 5"));
    assert_eq!(now, fs::read(folder.join("people.safetensors")).unwrap());
    refused(
        folder,
        &format!("{on} --init people.safetensors"),
        2,
        &["--init"],
    );
    refused(
        folder,
        "train people.csv --continue none.safetensors",
        3,
        &["none.safetensors"],
    );
    refused(
        folder,
        "train people.csv --continue people.csv",
        3,
        &["people.csv"],
    );
}

/// The summary judges the fit, and says what may help where something may.
#[test]
fn the_summary_says_what_may_help() {
    let folder = people();
    let folder = folder.path();
    let said = |args: &str| {
        stderr(&well(
            folder,
            &format!("train people.csv --device cpu {args}"),
        ))
    };
    let good = said("--steps 300");
    assert!(
        good.contains("the flow is better by ") && good.contains("times as likely as under"),
        "{good}"
    );
    let unjudged = said("--steps 20 --validation 0");
    assert!(
        !unjudged.contains("for comparison") && !unjudged.contains("likely"),
        "{unjudged}"
    );
    assert!(unjudged.contains("--validation 0.1"), "{unjudged}");
    let short = said("--steps 20");
    assert!(short.contains("try more steps (--steps 40)"), "{short}");
    table(folder, "few.csv", 60, |_, _| {});
    let few = "train few.csv --device cpu --validation 0.3 --steps 400 --patience 0";
    let by_heart = stderr(&well(folder, few));
    assert!(by_heart.contains("it overfits after step"), "{by_heart}");

    // What is normal already has nothing to learn.
    let text: String = (0..400)
        .map(|row| {
            let z = |j| couplet::random::normal_at(3, couplet::random::Purpose::TargetRows, row, j);
            format!("{},{}\n", z(0), z(1))
        })
        .collect();
    fs::write(folder.join("normal.csv"), text).unwrap();
    let nothing = stderr(&well(folder, "train normal.csv --device cpu --steps 200"));
    assert!(
        nothing.contains("no better") || nothing.contains("worse by"),
        "{nothing}"
    );
    assert!(
        nothing.contains("the validation loss never improved")
            || nothing.contains("the validation loss did not improve after step"),
        "{nothing}"
    );
}

/// Short help fits a screen, and ends with examples that are commands.
#[test]
fn short_help_fits_a_screen() {
    let folder = tempfile::tempdir().unwrap();
    for command in [
        "", "train", "score", "sample", "plot", "info", "devices", "bench",
    ] {
        let help = stdout(&well(folder.path(), &format!("{command} -h")));
        assert!(
            help.lines().count() <= 50,
            "{command}: {} lines",
            help.lines().count()
        );
        if !["info", "devices", "bench"].contains(&command) {
            assert!(help.contains("\nExamples:\n  couplet "), "{help}");
        }
    }
    let long = stdout(&well(folder.path(), "train --help"));
    assert!(
        long.contains("--learning-rate") && long.contains("--cpu-reference"),
        "{long}"
    );
}
