//! Densities of some columns given others.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::command::{couplet, refused, stderr, stdout, well};

/// Of 2,000 rows: y is x^2 + k / 2 with noise that grows with |x|.
fn table(folder: &Path) {
    let mut text = "x,y,k\n".to_string();
    // Numbers that fill the unit interval evenly, and sums of them that are nearly normal.
    let even = |row: usize, step: f64| (row as f64 * step).fract();
    let steps = [2f64, 3.0, 5.0, 7.0, 11.0, 13.0].map(f64::sqrt);
    let normal = |row: usize| {
        steps.iter().map(|step| even(row, *step)).sum::<f64>() * 2f64.sqrt() - 18f64.sqrt()
    };
    for row in 1..=2000 {
        let x = 4.0 * even(row, 0.754_877_666) - 2.0;
        let k = 2.0 * even(row, 0.569_840_291) - 1.0;
        let y = x * x + 0.5 * k + (0.1 + 0.2 * x.abs()) * normal(row);
        text += &format!("{x:.6},{y:.6},{k:.6}\n");
    }
    fs::write(folder.join("d.csv"), text).unwrap();
}

const TRAIN: &str = "train d.csv --given x,k --device cpu --steps 400 --out m.safetensors";

fn numbers(line: &str) -> Vec<f64> {
    line.split(',')
        .map(|field| field.parse().unwrap())
        .collect()
}

#[test]
fn a_conditional_density_is_trained_scored_sampled_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder);
    let output = well(folder, &format!("{TRAIN} --json --report r.html --plot p"));
    let said = stderr(&output);
    for part in [
        "1 column given 2",
        "by a linear regression",
        "by a density without the context",
        "the context is worth 1.",
        "calibration     0.",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    let summary: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let nll = |key: &str| summary["baselines"][key].as_f64().unwrap();
    let best = summary["validation_nll"].as_f64().unwrap();
    assert!(best < nll("regression") - 0.5 && best < nll("marginal") - 0.5);
    let page = fs::read_to_string(folder.join("r.html")).unwrap();
    assert!(page.contains("Columns: y, given x, k."));
    for picture in [
        "corner",
        "prediction",
        "calibration",
        "conditional",
        "latent",
        "scores",
    ] {
        assert!(
            folder.join(format!("p/{picture}.svg")).exists(),
            "{picture}"
        );
    }

    let info = stdout(&well(folder, "info m.safetensors"));
    assert!(info.contains("columns     y\ngiven       x, k\n"), "{info}");
    let json: Value =
        serde_json::from_str(&stdout(&well(folder, "info m.safetensors --json"))).unwrap();
    assert_eq!(json["given"], serde_json::json!(["x", "k"]));

    // Samples lie where the context says, and the context stands beside them.
    let sample = "sample m.safetensors --device cpu --seed 3";
    let rows = stdout(&well(folder, &format!("{sample} --given k=0,x=1.5 -n 400")));
    let mut lines = rows.lines();
    assert_eq!(lines.next(), Some("y,x,k"));
    let rows: Vec<Vec<f64>> = lines.map(numbers).collect();
    assert_eq!(rows.len(), 400);
    assert!(rows.iter().all(|row| row[1..] == [1.5, 0.0]));
    let mean = rows.iter().map(|row| row[0]).sum::<f64>() / 400.0;
    assert!((mean - 2.25).abs() < 0.2, "{mean}");

    // A table of context: each of its rows so many times, the same whatever else is in it.
    fs::write(folder.join("c.csv"), "k,id,x\n0.5,a,-1\n-0.5,b,0\n").unwrap();
    let of_file = stdout(&well(folder, &format!("{sample} --given-file c.csv -n 2")));
    let context: Vec<Vec<f64>> = of_file.lines().skip(1).map(numbers).collect();
    let context: Vec<&[f64]> = context.iter().map(|row| &row[1..]).collect();
    assert_eq!(
        context,
        [[-1.0, 0.5], [-1.0, 0.5], [0.0, -0.5], [0.0, -0.5]]
    );
    let once = stdout(&well(folder, &format!("{sample} --given-file c.csv")));
    assert_eq!(once.lines().count(), 3);
    assert_eq!(once.lines().nth(1), of_file.lines().nth(1));

    // What is sampled can be scored, and columns are found by name.
    fs::write(folder.join("s.csv"), &of_file).unwrap();
    let scores = stdout(&well(folder, "score m.safetensors s.csv --device cpu"));
    assert_eq!(scores.lines().count(), 5);
    refused(
        folder,
        "score m.safetensors c.csv --device cpu",
        3,
        &["no column \"y\""],
    );

    // Columns without names are where they were.
    let text = fs::read_to_string(folder.join("d.csv")).unwrap();
    let (_, body) = text.split_once('\n').unwrap();
    fs::write(folder.join("bare.csv"), body).unwrap();
    let bare = TRAIN.replace("d.csv --given x,k", "bare.csv --given 1,3");
    well(folder, &bare.replace("m.safetensors", "b.safetensors"));
    let mean = |table: &str| {
        let score = format!("score b.safetensors {table} --device cpu --summary --json");
        let summary: Value = serde_json::from_str(&stdout(&well(folder, &score))).unwrap();
        summary["mean"].as_f64().unwrap()
    };
    let sample = "sample b.safetensors --device cpu --given-file c.npy --out s.npy";
    well(
        folder,
        "sample b.safetensors --device cpu --given x0=1,x2=0 -n 2",
    );
    fs::write(folder.join("c.csv"), "1,0\n0.5,0.5\n-1,0.2\n-1.5,0\n0,0\n").unwrap();
    well(folder, &sample.replace("c.npy", "c.csv"));
    assert!(mean("bare.csv") > -1.0 && mean("s.npy") > -2.0);

    let plot = "plot m.safetensors --device cpu --out q";
    well(folder, &format!("{plot} --given x=1,k=0 --given x=0,k=0"));
    let svg = fs::read_to_string(folder.join("q/conditional.svg")).unwrap();
    assert!(svg.contains("x = 1, k = 0") && svg.contains("x = 0, k = 0"));
    refused(folder, plot, 2, &["--given x=VALUE,k=VALUE", "--data FILE"]);
}

#[test]
fn context_that_cannot_be_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder);
    let quick = TRAIN.replace("400", "3");
    well(folder, &quick);
    well(
        folder,
        "train d.csv --device cpu --steps 3 --out plain.safetensors",
    );
    let sample = "sample m.safetensors --device cpu";
    let train = |given: &str| quick.replace("--given x,k", given);
    for (args, parts) in [
        (
            sample.to_string(),
            &["--given x=VALUE,k=VALUE", "--given-file"][..],
        ),
        (format!("{sample} --given x=1"), &["nothing is given for k"]),
        (
            format!("{sample} --given x=1,k=0,z=2"),
            &["no column \"z\""],
        ),
        (
            format!("{sample} --given x=1,K=0"),
            &["\"K\"", "did you mean \"k\""],
        ),
        (
            format!("{sample} --given x=1,k=much"),
            &["\"much\" is not a number for \"k\""],
        ),
        (
            format!("{sample} --given x=1,x=2,k=0"),
            &["\"x\" is there twice"],
        ),
        (
            "sample plain.safetensors --device cpu --given x=1".into(),
            &["without context", "--given"],
        ),
        (train("--given x,kk"), &["--given kk", "did you mean \"k\""]),
        (train("--given x..k"), &["none is left to model"]),
        (
            "train --target rings --given 1 --device cpu --steps 3".into(),
            &["its density is known"],
        ),
        (
            format!("{} --continue m.safetensors --force", train("--given x")),
            &["m.safetensors was trained given other columns: x, k"],
        ),
    ] {
        refused(folder, &args, 2, parts);
    }
    // A column that follows from the context has no density.
    let text = fs::read_to_string(folder.join("d.csv")).unwrap();
    let copies = text.lines().enumerate().map(|(row, line)| match row {
        0 => format!("{line},copy\n"),
        _ => {
            let x = numbers(line)[0];
            format!("{line},{}\n", 3.0 * x + 1.0)
        }
    });
    fs::write(folder.join("copy.csv"), copies.collect::<String>()).unwrap();
    refused(
        folder,
        "train copy.csv --given x,k --device cpu --steps 3",
        3,
        &["\"copy\"", "linear function of the context"],
    );
}

/// The same bytes again, after a resumption, and from a model; and by the CPU in f64.
#[test]
fn conditional_runs_are_reproducible_resumable_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder);
    let run = TRAIN.replace("--steps 400", "--steps 200 --layers 3 --hidden 16");
    let with_out = |out: &str| run.replace("m.safetensors", out);
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    well(folder, &run);
    well(folder, &with_out("again.safetensors"));
    assert!(read("m.safetensors") == read("again.safetensors"));

    let kept = "--resume kept --checkpoint-every 1ms";
    well(folder, &format!("{} {kept}", with_out("kept.safetensors")));
    well(folder, &format!("{} {kept}", with_out("kept.safetensors")));
    assert!(read("m.safetensors") == read("kept.safetensors"));

    // Training continues from the model, which knows what is given.
    let on = "train d.csv --continue m.safetensors --device cpu --steps 20 --out on.safetensors";
    well(folder, on);
    let info = stdout(&well(folder, "info on.safetensors"));
    assert!(info.contains("given       x, k"), "{info}");

    let output = couplet(
        folder,
        &format!(
            "{} --cpu-reference --log-every 10",
            run.replace("--steps 200", "--steps 20")
        ),
    );
    assert!(output.status.success(), "{}", stderr(&output));
}

/// One column, without context: a density of one dimension.
#[test]
fn one_column_has_a_density() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Two bumps, which no Gaussian has.
    let rows = (1..=1500).map(|row| {
        let even = |step: f64| (f64::from(row) * step).fract();
        let bump = if even(0.618_033_988) < 0.5 { -3.0 } else { 3.0 };
        format!(
            "{:.6}\n",
            bump + even(2f64.sqrt()) + even(3f64.sqrt()) - 1.0
        )
    });
    fs::write(
        folder.join("one.csv"),
        format!("a\n{}", rows.collect::<String>()),
    )
    .unwrap();
    let output = well(
        folder,
        "train one.csv --device cpu --steps 400 --json --plot p --out one.safetensors",
    );
    let summary: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let nll = summary["validation_nll"].as_f64().unwrap();
    // The entropy of the bumps is ln 2 + 1/2, a Gaussian's is 2.5.
    assert!(nll < 1.35, "{nll}");
    assert!(summary["baselines"]["gaussian"].as_f64().unwrap() > 2.0);
    assert!(stderr(&output).contains("a kernel density estimate"));
    assert!(folder.join("p/corner.svg").exists() && folder.join("p/latent.svg").exists());
    let rows = stdout(&well(folder, "sample one.safetensors --device cpu -n 200"));
    let near = rows.lines().skip(1).filter(|line| {
        let x: f64 = line.parse().unwrap();
        (x.abs() - 3.0).abs() < 1.2
    });
    assert!(near.count() > 180);
}

/// Text is context by its levels, in every format, and what a model does not know is named.
#[test]
fn categories_are_context() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let kinds = [("dwarf", -2.0), ("giant", 3.0), ("white dwarf", 0.5)];
    let rows = (1..=1500usize).map(|row| {
        let even = |step: f64| (row as f64 * step).fract();
        let (kind, middle) = kinds[[0, 0, 1, 1, 2][row % 5]];
        let y = middle + 0.4 * (even(2f64.sqrt()) + even(3f64.sqrt()) - 1.0);
        (kind, y, even(5f64.sqrt()))
    });
    let rows: Vec<_> = rows.collect();
    let csv: String = rows
        .iter()
        .map(|(kind, y, x)| format!("{kind},{y:.6},{x:.6}\n"))
        .collect();
    fs::write(folder.join("t.csv"), format!("kind,y,x\n{csv}")).unwrap();
    let json = rows
        .iter()
        .map(|(kind, y, x)| format!("{{\"kind\":\"{kind}\",\"y\":{y:.6},\"x\":{x:.6}}}\n"));
    fs::write(folder.join("t.jsonl"), json.collect::<String>()).unwrap();
    let train = "--given kind,x --device cpu --steps";
    let output = well(
        folder,
        &format!("train t.csv {train} 300 --out m.safetensors --report r.html"),
    );
    assert!(
        stderr(&output).contains("1 column given 4"),
        "{}",
        stderr(&output)
    );
    well(
        folder,
        &format!("train t.jsonl {train} 300 --out j.safetensors"),
    );
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    assert!(read("m.safetensors") == read("j.safetensors"));
    let info = stdout(&well(folder, "info m.safetensors"));
    assert!(
        info.contains("kind (one of dwarf, giant, white dwarf), x"),
        "{info}"
    );
    let page = fs::read_to_string(folder.join("r.html")).unwrap();
    assert!(page.contains("<td class=\"number\">giant</td>") || page.contains(">giant<"));

    // Samples lie where their level does, and have its name beside them; they are a table that can be scored and trained on.
    for (format, given) in [("csv", "t.csv"), ("parquet", "t.csv"), ("arrow", "t.jsonl")] {
        if cfg!(not(feature = "arrow")) && format != "csv" {
            continue;
        }
        let out = format!("s.{format}");
        well(
            folder,
            &format!("sample m.safetensors --given-file {given} --device cpu --out {out} --force"),
        );
        well(folder, &format!("score m.safetensors {out} --device cpu"));
        well(
            folder,
            &format!("train {out} {train} 3 --out n.safetensors --force"),
        );
        let info = stdout(&well(folder, "info n.safetensors"));
        assert!(
            info.contains("(one of dwarf, giant, white dwarf)"),
            "{info}"
        );
    }
    let sample = "sample m.safetensors --device cpu -n 50";
    let of = Path::new(env!("CARGO_BIN_EXE_couplet"));
    let run = |given: &str| {
        std::process::Command::new(of)
            .args(sample.split(' '))
            .args(["--given", given])
            .current_dir(folder)
            .output()
            .unwrap()
    };
    let lines = stdout(&run("kind=white dwarf,x=0.5"));
    assert_eq!(lines.lines().next(), Some("y,kind,x"));
    for line in lines.lines().skip(1) {
        let (y, context) = line.split_once(',').unwrap();
        assert_eq!(context, "white dwarf,0.5");
        assert!((y.parse::<f64>().unwrap() - 0.5).abs() < 1.0, "{line}");
    }
    assert!(stderr(&run("kind=gaint,x=1")).contains("did you mean \"giant\""));
    let top = stdout(&well(
        folder,
        "score m.safetensors t.csv --top 3 --device cpu",
    ));
    assert!(
        top.lines()
            .skip(1)
            .all(|line| kinds.iter().any(|(kind, _)| line.contains(kind)))
    );

    fs::write(
        folder.join("new.csv"),
        "kind,y,x\ndwarf,-2,0.1\nginat,3,0.2\n",
    )
    .unwrap();
    refused(
        folder,
        "score m.safetensors new.csv --device cpu",
        3,
        &[
            "new.csv: row 2",
            "\"kind\"",
            "\"ginat\"",
            "did you mean \"giant\"",
        ],
    );
    let output = well(
        folder,
        "train t.csv --device cpu --steps 20 --out whole.safetensors",
    );
    let said = stderr(&output);
    assert!(said.contains("\"kind\" holds 3 categories") && said.contains("--given kind"));
    let many: String = (0..600).map(|row| format!("k{row},{row},0.5\n")).collect();
    fs::write(folder.join("many.csv"), format!("kind,y,x\n{many}")).unwrap();
    refused(
        folder,
        "train many.csv --given kind --device cpu",
        3,
        &["\"kind\" has more than 256 different texts"],
    );
    // Numbers among texts are texts, wherever they stand.
    let mixed: String = (0..300)
        .map(|row| format!("{},{},0.5\n", ["7", "x", "12"][row % 3], row * row % 17))
        .collect();
    fs::write(folder.join("mixed.csv"), format!("kind,y,x\n{mixed}")).unwrap();
    well(
        folder,
        "train mixed.csv --given kind --exclude x --device cpu --steps 3 --out x.safetensors",
    );
    let info = stdout(&well(folder, "info x.safetensors"));
    assert!(info.contains("kind (one of 12, 7, x)"), "{info}");
    fs::write(folder.join("seven.csv"), "kind,y\n7,3\n").unwrap();
    well(folder, "score x.safetensors seven.csv --device cpu");
}
