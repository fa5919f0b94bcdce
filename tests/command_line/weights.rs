//! Rows with weights.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::command::{refused, stderr, stdout, table, well};

/// 400 rows, a third of which counts three times.
fn with_weights(folder: &Path) {
    table(folder, "d.csv", 400, |row, fields| {
        fields.insert(1, if row % 3 == 0 { "3" } else { "1" }.to_string());
    });
    let path = folder.join("d.csv");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("height,weight", "height,w,weight", 1)).unwrap();
}

const TRAIN: &str = "train d.csv --weights w --device cpu --steps 60 --out m.safetensors";

#[test]
fn a_column_of_weights_is_not_modelled() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    with_weights(folder);
    let output = well(folder, &format!("{TRAIN} --json --report r.html --plot p"));
    let said = stderr(&output);
    assert!(
        said.contains("2 columns, ") && said.contains("rows of equal weight"),
        "{said}"
    );
    let summary: Value = serde_json::from_str(&stdout(&output)).unwrap();
    // (2 + 3)^2 / (2 + 9) of three rows.
    let size = summary["effective_sample_size"].as_f64().unwrap();
    assert!((size - 400.0 * 25.0 / 33.0).abs() < 3.0, "{size}");
    let page = fs::read_to_string(folder.join("r.html")).unwrap();
    assert!(page.contains("Columns: height, weight.") && page.contains("row weights"));
    let info = stdout(&well(folder, "info m.safetensors"));
    assert!(info.contains("columns     height, weight\n"), "{info}");
    // The same by its number in the file, whatever else is left out, and from a file of settings; the same bytes each time.
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    let first = read("m.safetensors");
    for (with, out) in [
        ("--weights 2", "n.safetensors"),
        ("--config c.toml", "c.safetensors"),
    ] {
        fs::write(folder.join("c.toml"), "[data]\nweights = \"w\"\n").unwrap();
        let again = TRAIN
            .replace("--weights w", with)
            .replace("m.safetensors", out);
        well(folder, &again);
        assert!(read(out) == first, "{with}");
    }
    let text = fs::read_to_string(folder.join("d.csv")).unwrap();
    let with_id: String = text
        .lines()
        .enumerate()
        .map(|(row, line)| match row {
            0 => format!("id,{line}\n"),
            _ => format!("{row},{line}\n"),
        })
        .collect();
    fs::write(folder.join("id.csv"), with_id).unwrap();
    let id = TRAIN
        .replace("d.csv", "id.csv")
        .replace("--weights w", "--weights 3 --exclude id");
    well(folder, &id.replace("m.safetensors", "id.safetensors"));
    assert!(read("id.safetensors") == first);
    // A model is trained on with weights, and scores rows that have none.
    let on = "train d.csv --continue m.safetensors --weights w --device cpu --steps 10 --out on.safetensors";
    well(folder, on);
    fs::write(folder.join("new.csv"), "height,weight\n0.5,100\n").unwrap();
    well(folder, "score on.safetensors new.csv --device cpu");
    // And the CPU in f64 finds the same steps.
    let checked = TRAIN.replace("--steps 60", "--steps 20 --cpu-reference --log-every 10");
    well(folder, &checked);
    // A run continues from its checkpoints with the same weights only.
    let kept = TRAIN.replace("m.safetensors", "k.safetensors") + " --resume kept";
    well(folder, &format!("{kept} --checkpoint-every 1ms"));
    let other = text.replace(",3,", ",2,");
    fs::write(folder.join("d.csv"), other).unwrap();
    refused(folder, &kept, 2, &["kept"]);
}

#[test]
fn weights_that_cannot_be_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    with_weights(folder);
    let text = fs::read_to_string(folder.join("d.csv")).unwrap();
    for (name, text) in [
        ("negative.csv", text.replacen(",1,", ",-1,", 1)),
        ("missing.csv", text.replacen(",3,", ",,", 1)),
        ("zero.csv", text.replace(",1,", ",0,").replace(",3,", ",0,")),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
    let train = |file: &str, flags: &str| {
        let args = TRAIN.replace("d.csv", file);
        args.replace("--weights w", flags)
    };
    for (args, code, parts) in [
        (
            train("negative.csv", "--weights w"),
            3,
            ["row 1", "weight is -1"],
        ),
        (
            train("missing.csv", "--weights w"),
            3,
            ["\"w\"", "the field is empty"],
        ),
        (
            train("zero.csv", "--weights w"),
            3,
            ["every weight is 0", "\"w\""],
        ),
        (
            train("d.csv", "--weights weigth"),
            2,
            ["--weights weigth", "did you mean \"weight\""],
        ),
        (
            train("d.csv", "--weights 1..2"),
            2,
            ["--weights 1..2", "one weight"],
        ),
        (
            train("d.csv", "--weights w --given w"),
            2,
            ["--given w", "both the weight and context"],
        ),
    ] {
        refused(folder, &args, code, &parts);
    }
    well(folder, TRAIN);
    refused(
        folder,
        "train d.csv --continue m.safetensors --weights height --device cpu",
        3,
        &["\"height\""],
    );
}
