//! Every example runs, and prints what it is there to show.

use std::path::Path;
use std::process::Command;

/// What an example prints; it was built with the tests.
fn run(name: &str) -> String {
    let folder = Path::new(env!("CARGO_BIN_EXE_couplet")).parent().unwrap();
    let program = folder.join("examples").join(name);
    let output = Command::new(&program).output().unwrap();
    assert!(output.status.success(), "{name}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The number that follows some words.
fn number_after(text: &str, words: &str) -> f64 {
    let (_, rest) = text
        .split_once(words)
        .unwrap_or_else(|| panic!("no {words:?} in {text}"));
    let end = rest
        .find(|c: char| !matches!(c, '0'..='9' | '.' | '-'))
        .unwrap_or(rest.len());
    rest[..end].parse().unwrap()
}

#[test]
fn density() {
    let text = run("density");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 25, "{text}");
    // Two moons: the middle of the upper one is dense, the corners are empty.
    assert!(lines[2].contains("@@@@"), "{text}");
    assert!(
        lines[0].starts_with("     ") && lines[23].ends_with(' '),
        "{text}"
    );
    assert!(lines[24].contains(" nats on 2000 rows"), "{text}");
}

#[test]
fn anomalies() {
    let text = run("anomalies");
    // Of a row of the table and one far out, the latter.
    assert!(
        text.starts_with("9.0,-9.0\t-") && text.lines().count() == 1,
        "{text}"
    );
}

#[test]
fn conditional() {
    let text = run("conditional");
    // At x = 4 there is a branch on either side of an empty middle.
    let row = text.lines().find(|line| line.starts_with(" 4.0")).unwrap();
    let (left, right) = row[6..].split_at(30);
    assert!(left.contains('@') && right.contains('@'), "{text}");
    assert!(left.ends_with("          "), "{text}");
    assert!((number_after(&text, "below ") + 2.0).abs() < 0.3, "{text}");
    assert!((number_after(&text, "above ") - 2.0).abs() < 0.3, "{text}");
    assert!(number_after(&text, "worth ") > 0.3, "{text}");
}

#[test]
fn importance() {
    let text = run("importance");
    let constant = number_after(&text, "constant ");
    let error = number_after(&text, "+- ");
    assert!(error < 0.05, "{text}");
    assert!(
        (constant - std::f64::consts::TAU).abs() < 5.0 * error,
        "{text}"
    );
}

#[test]
fn own_loop() {
    let text = run("own_loop");
    let (_, last) = text.split_once("round 5: ").unwrap();
    let nll = number_after(last, "NLL on held-out rows ");
    let least = number_after(&text, "can have is ");
    assert!(nll > least - 0.05 && nll < least + 0.3, "{text}");
}

#[test]
fn custom_target() {
    let text = run("custom_target");
    let kl = number_after(&text, "KL divergence ");
    assert!(kl > 0.0 && kl < 0.3, "{text}");
}
