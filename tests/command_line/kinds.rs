//! Columns that are said to be of a kind.

use std::fs;
use std::path::Path;

use crate::command::{refused, stderr, stdout, well};

/// 600 rows of a positive number, a count and an angle.
fn table(folder: &Path) {
    let even = |row: usize, step: f64| (row as f64 * step).fract();
    let mut text = "size,count,angle\n".to_string();
    for row in 1..=600 {
        let size = -(1.0 - even(row, 0.754_877_666)).ln();
        let count = (-(1.0 - even(row, 0.569_840_291)).ln() * 3.0).floor();
        let angle = (360.0 * even(row, 0.618_033_989) * even(row, 0.324_717_957)).round();
        text += &format!("{size:.6},{count},{angle}\n");
    }
    fs::write(folder.join("d.csv"), text).unwrap();
}

const TRAIN: &str = "train d.csv --column size=positive --column count=integer(0,) --column angle=circular(360) --device cpu \
                     --steps 40 --out m.safetensors";

#[test]
fn kinds_are_said_kept_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder);
    // The configuration says the same as the flags.
    let dry = stdout(&well(folder, &format!("{TRAIN} --dry-run")));
    assert!(
        dry.contains("[data.columns]\nsize = \"positive\"\n"),
        "{dry}"
    );
    fs::write(folder.join("c.toml"), &dry).unwrap();
    well(folder, TRAIN);
    let by_flags = fs::read(folder.join("m.safetensors")).unwrap();
    well(
        folder,
        "train d.csv --config c.toml --device cpu --out m.safetensors",
    );
    assert!(by_flags == fs::read(folder.join("m.safetensors")).unwrap());

    let info = stdout(&well(folder, "info m.safetensors"));
    for part in [
        "size: positive",
        "count: integer(0,)",
        "angle: circular(360)",
    ] {
        assert!(info.contains(part), "{info}");
    }
    let sample = stdout(&well(folder, "sample m.safetensors -n 500"));
    for line in sample.lines().skip(1) {
        let row: Vec<f64> = line.split(',').map(|x| x.parse().unwrap()).collect();
        let is_count = row[1] >= 0.0 && row[1].fract() == 0.0;
        assert!(
            row[0] > 0.0 && is_count && (0.0..360.0).contains(&row[2]),
            "{line}"
        );
    }
    fs::write(
        folder.join("e.csv"),
        "size,count,angle\n1,2,0\n1,2,360\n-1,2,10\n1,2.5,10\n",
    )
    .unwrap();
    let scored = stdout(&well(folder, "score m.safetensors e.csv"));
    let scores: Vec<&str> = scored.lines().skip(1).collect();
    assert_eq!(scores[0], scores[1]);
    assert_eq!(scores[2..], ["-inf", "-inf"]);
    // Training goes on with the model's kinds.
    let more = "train d.csv --continue m.safetensors --device cpu --steps 5 --out n.safetensors";
    well(folder, more);
    assert!(stdout(&well(folder, "info n.safetensors")).contains("count: integer(0,)"));
}

#[test]
fn kinds_that_cannot_be_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder);
    fs::write(folder.join("z.csv"), "x\n1\n0\n3\n").unwrap();
    for (arguments, code, parts) in [
        ("d.csv --column size", 2, &["NAME=KIND"][..]),
        ("d.csv --column size=reel", 2, &["a kind is real, positive"]),
        (
            "d.csv --column sizes=positive",
            2,
            &["did you mean \"size\""],
        ),
        (
            "d.csv --column size=positive --column 1=real",
            2,
            &["twice"],
        ),
        (
            "d.csv --given size --column size=positive",
            2,
            &["what is given is categorical"],
        ),
        (
            "d.csv --column size=integer",
            3,
            &["row 1", "is not a whole number", "--column size=real"],
        ),
        (
            "z.csv --column x=positive",
            3,
            &[
                "row 2",
                "0 is not a positive number",
                "--column x=bounded(0,)",
            ],
        ),
    ] {
        refused(
            folder,
            &format!("train {arguments} --device cpu"),
            code,
            parts,
        );
    }
    fs::write(folder.join("c.toml"), "[data.columns]\nsize = \"big\"\n").unwrap();
    refused(folder, "train d.csv --config c.toml", 2, &["line 2", "big"]);
}

#[test]
fn constant_whole_numbers_are_left_out_and_others_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let row = |row: u32| (f64::from(row) * 0.37).sin();
    let lines = |constant: &str| {
        let rows =
            (0..200).map(|k| format!("{constant},{:.4},{}\n", row(k), ["a", "b"][k as usize % 2]));
        "year,x,side\n".to_string() + &rows.collect::<String>()
    };
    fs::write(folder.join("c.csv"), lines("2013")).unwrap();
    fs::write(folder.join("r.csv"), lines("20.5")).unwrap();
    let train = "train c.csv --device cpu --steps 20 --out m.safetensors";
    let said = stderr(&well(folder, train));
    assert!(
        said.contains("note: \"year\" is 2013 in every row, and is left out"),
        "{said}"
    );
    let scored = stdout(&well(folder, "score m.safetensors c.csv"));
    assert_eq!(scored.lines().count(), 201);
    let sample = stdout(&well(folder, "sample m.safetensors -n 1"));
    assert!(sample.starts_with("x,side\n"), "{sample}");
    // The columns to draw, numbers and categories, are those of the table.
    let plot = "plot m.safetensors --data c.csv --columns side --out p";
    let said = stderr(&well(folder, plot));
    assert!(said.contains("spread at random around it"), "{said}");
    let corner = fs::read_to_string(folder.join("p/corner.svg")).unwrap();
    assert!(corner.contains(">a</text>") && corner.contains(">b</text>"));
    refused(
        folder,
        &train.replace("c.csv", "r.csv"),
        3,
        &["year", "20.5 in every row", "--exclude year"],
    );
}
