//! Several flows, each with other rows held out, that are averaged.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::command::{refused, stderr, stdout, table, well};

const RUN: &str =
    "train d.csv --device cpu --steps 240 --layers 3 --hidden 16 --log-every 40 --ensemble 3";

fn read(folder: &Path, name: &str) -> Vec<u8> {
    fs::read(folder.join(name)).unwrap()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn scores(folder: &Path, args: &str) -> Vec<Vec<f64>> {
    let text = stdout(&well(folder, args));
    let row = |line: &str| line.split(',').map(|x| x.parse().unwrap()).collect();
    text.lines().skip(1).map(row).collect()
}

#[test]
fn ensemble_is_the_average_of_flows_that_hold_out_different_rows() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder, "d.csv", 1200, |_, _| {});
    let run = format!("{RUN} --json --out m.safetensors --log l.jsonl --report r.html --plot p");
    let output = well(folder, &run);
    let said = stderr(&output);
    for part in [
        "3 flows of 2 columns",
        "1200 rows (each flow holds out others, 240 of them)",
        "flow 3 of 3",
        "model           3 flows of weight 1.000",
        "on 720 rows, each judged by what was not fitted to it",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    let summary = json(&stdout(&output));
    assert!(summary["steps"] == 720 && summary["members"] == "3 flows of weight 1.000");
    let log = fs::read_to_string(folder.join("l.jsonl")).unwrap();
    let flows = log.lines().map(json).filter(|line| line["event"] == "flow");
    assert_eq!(
        flows
            .map(|line| line["number"].as_u64())
            .collect::<Vec<_>>(),
        [Some(1), Some(2), Some(3)]
    );
    assert!(folder.join("p/loss.svg").exists() && folder.join("p/spread.svg").exists());
    let info = stdout(&well(folder, "info m.safetensors"));
    assert!(
        info.contains("members     3 flows of weight 1.000") && info.contains("members.2.layers.0"),
        "{info}"
    );
    // Each flow differs, and none is far from the average.
    let all = scores(folder, "score m.safetensors d.csv --spread");
    let mean = |column: usize| all.iter().map(|row| row[column]).sum::<f64>() / all.len() as f64;
    assert!(mean(1) > 0.005 && mean(1) < 0.5, "{}", mean(1));
    let nll = summary["validation_nll"].as_f64().unwrap();
    assert!((mean(0) + nll).abs() < 0.2, "{} {nll}", mean(0));
    // Rows far from those fitted to are known less well.
    fs::write(folder.join("far.csv"), "height,weight\n0,0\n500,500\n").unwrap();
    let far = scores(folder, "score m.safetensors far.csv --spread");
    assert!(far.iter().all(|row| row[1] > 3.0 * mean(1)), "{far:?}");
    // The same bytes again; and from where it ended on, all three.
    well(folder, &format!("{RUN} --out again.safetensors"));
    assert!(read(folder, "m.safetensors") == read(folder, "again.safetensors"));
    let on = well(
        folder,
        "train d.csv --continue m.safetensors --steps 20 --device cpu --out on.safetensors",
    );
    assert!(
        stderr(&on).contains("3 flows of weight 1.000"),
        "{}",
        stderr(&on)
    );
    let start = "train d.csv --continue m.safetensors --steps 20 --device cpu --out on.safetensors";
    refused(
        folder,
        &format!("{start} --ensemble 2 --force"),
        3,
        &["it has 3 flows", "--ensemble 3"],
    );
}

#[test]
fn ensemble_refuses_what_it_cannot_do() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder, "d.csv", 600, |_, _| {});
    for (args, code, parts) in [
        ("--ensemble 0", 2, &["ensemble = 0", "from 1 to 100"][..]),
        ("--effort 0", 2, &["effort = 0", "above 0"]),
        (
            "--ensemble 2 --cpu-reference",
            2,
            &["--ensemble 2", "--ensemble 1"],
        ),
    ] {
        let command = format!("train d.csv --device cpu --steps 5 --out m.safetensors {args}");
        refused(folder, &command, code, parts);
    }
    well(
        folder,
        "train d.csv --device cpu --steps 5 --ensemble 1 --out one.safetensors",
    );
    refused(
        folder,
        "score one.safetensors d.csv --spread",
        2,
        &["one flow", "--ensemble 5"],
    );
    // Without rows held out they differ by their seeds alone.
    let output = well(
        folder,
        "train d.csv --device cpu --steps 30 --ensemble 2 --validation 0 --out all.safetensors",
    );
    let said = stderr(&output);
    assert!(
        said.contains("2 flows of weight 1.000") && !said.contains("validation NLL"),
        "{said}"
    );
}
