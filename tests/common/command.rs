//! The command line, run as a user runs it.
#![allow(dead_code)]

use std::path::Path;
use std::process::{Command, Output};

/// Runs the command in a folder.
pub fn couplet(folder: &Path, args: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_couplet"))
        .args(args.split_whitespace())
        .current_dir(folder)
        .env_remove("WGPU_ADAPTER_NAME")
        .env_remove("WGPU_BACKEND")
        .output()
        .unwrap()
}

/// Runs a script of bash in a folder, with `couplet` for the command.
pub fn shell(folder: &Path, script: &str) -> Output {
    Command::new("bash")
        .args([
            "-c",
            &script.replace("couplet", env!("CARGO_BIN_EXE_couplet")),
        ])
        .current_dir(folder)
        .output()
        .unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Runs a command that must do well.
#[track_caller]
pub fn well(folder: &Path, args: &str) -> Output {
    let output = couplet(folder, args);
    assert!(output.status.success(), "{args}: {}", stderr(&output));
    output
}

/// Runs a command that must end with `code` and one line on standard error that holds each of `parts`.
#[track_caller]
pub fn refused(folder: &Path, args: &str, code: i32, parts: &[&str]) {
    let output = couplet(folder, args);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{args}: {text}");
    let errors: Vec<&str> = text.lines().filter(|l| l.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{args}: {text}");
    assert!(!text.contains("panicked"), "{args}: {text}");
    for part in parts {
        assert!(errors[0].contains(part), "{args}: no {part:?} in {text}");
    }
}

/// A table of two columns that depend on each other, with a header.
pub fn table(folder: &Path, name: &str, rows: usize, change: impl Fn(usize, &mut Vec<String>)) {
    let mut text = "height,weight\n".to_string();
    for row in 1..=rows {
        let angle = row as f64 * 0.7;
        let (x, y) = (
            angle.sin() + 0.1 * (row % 7) as f64,
            angle.cos() * 20.0 + 100.0,
        );
        let mut fields = vec![x.to_string(), y.to_string()];
        change(row, &mut fields);
        text += &(fields.join(",") + "\n");
    }
    std::fs::write(folder.join(name), text).unwrap();
}
