//! Gaussian mixtures in the place of a flow, and beside one.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::command::{refused, stderr, stdout, well};

/// Three lumps in two columns, and weights.
fn lumps(folder: &Path, rows: usize) {
    let mut text = "a,b,w\n".to_string();
    // Numbers that fill the unit interval evenly, and sums of them that are nearly normal.
    let even = |row: usize, step: f64| (row as f64 * step).fract();
    let normal = |row: usize, first: usize| {
        let steps = [
            2f64, 3.0, 5.0, 7.0, 11.0, 13.0, 17.0, 19.0, 23.0, 29.0, 31.0, 37.0,
        ];
        let some = steps[6 * first..].iter().take(6);
        some.map(|step| even(row, step.sqrt())).sum::<f64>() * 2f64.sqrt() - 18f64.sqrt()
    };
    for row in 1..=rows {
        let [x, y] = [[0.0, 0.0], [9.0, 1.0], [3.0, 8.0]][row % 3];
        let (a, b) = (x + normal(row, 0), y + 0.5 * normal(row, 1));
        text += &format!("{a:.6},{b:.6},{}\n", 1 + row % 2);
    }
    fs::write(folder.join("d.csv"), text).unwrap();
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Without a setting a small table gets a mixture, which is better than a flow and than the Gaussian.
#[test]
fn few_rows_get_a_mixture() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    lumps(folder, 300);
    let train = "train d.csv --exclude w --device cpu --json --log l.jsonl";
    let output = well(
        folder,
        &format!("{train} --out m.safetensors --report r.html --plot p"),
    );
    let said = stderr(&output);
    for part in [
        "2 columns, a stack of Gaussian mixtures, fitted to 300 rows on the CPU",
        "model           a mixture of ",
        "on 300 rows, each judged by what was not fitted to it",
        "the model is better by ",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    let summary = json(&stdout(&output));
    let nll = summary["validation_nll"].as_f64().unwrap();
    assert!(nll < summary["baselines"]["gaussian"].as_f64().unwrap() - 0.5);
    // Of the truth: log 3 for the lump, and the entropy of two normal numbers.
    assert!(nll < 3f64.ln() + 2.838 - 2f64.ln() + 0.15, "{nll}");
    let flow = well(
        folder,
        "train d.csv --exclude w --device cpu --json --mixture false --out f.safetensors",
    );
    let of_flow = json(&stdout(&flow))["validation_nll"].as_f64().unwrap();
    assert!(nll < of_flow, "{nll} {of_flow}");
    // The same bytes again, whatever the threads.
    well(folder, &format!("{train} --out again.safetensors --force"));
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    assert_eq!(read("m.safetensors"), read("again.safetensors"));
    for picture in ["corner", "density", "latent", "scores"] {
        assert!(
            folder.join(format!("p/{picture}.svg")).exists(),
            "{picture}"
        );
    }
    assert!(
        fs::read_to_string(folder.join("r.html"))
            .unwrap()
            .contains("The model is better")
    );
    let info = stdout(&well(folder, "info m.safetensors"));
    assert!(
        info.contains("members     a mixture of") && info.contains("mixture.cholesky"),
        "{info}"
    );
    let scores = stdout(&well(folder, "score m.safetensors d.csv --summary --json"));
    let mean = json(&scores)["mean"].as_f64().unwrap();
    assert!((-mean - nll).abs() < 0.1, "{mean} {nll}");
    let sample = stdout(&well(folder, "sample m.safetensors -n 2000 --seed 3"));
    fs::write(folder.join("s.csv"), &sample).unwrap();
    let scores = stdout(&well(folder, "score m.safetensors s.csv --summary --json"));
    let of_sample = json(&scores)["mean"].as_f64().unwrap();
    assert!((of_sample - mean).abs() < 0.1, "{of_sample} {mean}");
    refused(
        folder,
        "train d.csv --exclude w --continue m.safetensors --device cpu",
        3,
        &["it has 0 flows, where training continues with 1"],
    );
}

/// Weights count, and one column has quantiles.
#[test]
fn mixtures_of_weighted_rows_and_of_one_column_are_fitted() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    lumps(folder, 300);
    let said = stderr(&well(
        folder,
        "train d.csv --weights w --device cpu --out w.safetensors",
    ));
    assert!(
        said.contains("a mixture of ") && said.contains("row weights"),
        "{said}"
    );
    well(
        folder,
        "train d.csv --columns a --device cpu --out one.safetensors",
    );
    let below = stdout(&well(folder, "score one.safetensors d.csv --cdf"));
    let last = |line: &str| line.rsplit(',').next().unwrap().parse::<f64>().unwrap();
    let below: Vec<f64> = below.lines().skip(1).map(last).collect();
    let mean = below.iter().sum::<f64>() / below.len() as f64;
    assert!((mean - 0.5).abs() < 0.02 && below.iter().all(|p| (0.0..=1.0).contains(p)));
}

/// Given other columns, numbers and categories, few rows get flows and a mixture of both, which are better than a flow alone and than
/// the regression; so is the mixture alone.
#[test]
fn few_rows_given_others_get_flows_and_a_mixture() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    lumps(folder, 300);
    let train = "train d.csv --columns b --given a --device cpu --json";
    let output = well(folder, &format!("{train} --out both.safetensors"));
    assert!(
        stderr(&output).contains("3 flows of 1 column given 1, "),
        "{}",
        stderr(&output)
    );
    let of_both = json(&stdout(&output));
    // One of a thousand calibrated models is as far from uniform on 300 rows: 1.95 over the root of 300.
    assert!(
        of_both["calibration"].as_f64().unwrap() < 0.113,
        "{of_both}"
    );
    let output = well(
        folder,
        &format!("{train} --mixture true --steps 0 --out m.safetensors --report r.html --plot p"),
    );
    let said = stderr(&output);
    for part in [
        "a stack of Gaussian mixtures",
        "model           a mixture of ",
        "on 300 rows, each judged by what was not fitted to it",
        "calibration     0.0",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    let summary = json(&stdout(&output));
    let nll = summary["validation_nll"].as_f64().unwrap();
    let regression = summary["baselines"]["regression"].as_f64().unwrap();
    // Near the entropy of the noise of a lump, which a says nearly always.
    assert!(nll < regression - 1.0 && nll < 0.95, "{nll} {regression}");
    let of_both = of_both["validation_nll"].as_f64().unwrap();
    assert!(of_both < nll + 0.02, "{of_both} {nll}");
    let flow = well(
        folder,
        &format!("{train} --mixture false --out f.safetensors"),
    );
    let of_flow = json(&stdout(&flow))["validation_nll"].as_f64().unwrap();
    assert!(nll < of_flow, "{nll} {of_flow}");
    assert!(folder.join("p/calibration.svg").exists());
    // The mean of -log_prob of a sample is near that of the rows, and the probabilities below it are uniform.
    let sample = "sample m.safetensors --given-file d.csv --seed 3 --out s.csv";
    well(folder, sample);
    let scores = stdout(&well(folder, "score m.safetensors s.csv --summary --json"));
    let mean = json(&scores)["mean"].as_f64().unwrap();
    assert!((-mean - nll).abs() < 0.15, "{mean} {nll}");
    let below = stdout(&well(folder, "score m.safetensors s.csv --cdf"));
    let last = |line: &str| line.rsplit(',').next().unwrap().parse::<f64>().unwrap();
    let below: Vec<f64> = below.lines().skip(1).map(last).collect();
    assert!((below.iter().sum::<f64>() / below.len() as f64 - 0.5).abs() < 0.05);
    // Of a lump's context, its rows.
    let lump = stdout(&well(
        folder,
        "sample m.safetensors --given a=3 -n 500 --seed 1",
    ));
    let field = |line: &str, k: usize| line.split(',').nth(k).unwrap().parse::<f64>().unwrap();
    let of_lump: Vec<f64> = lump.lines().skip(1).map(|line| field(line, 0)).collect();
    let mean = of_lump.iter().sum::<f64>() / of_lump.len() as f64;
    assert!((mean - 8.0).abs() < 0.3, "{mean}");
    // The same in words, with two columns modelled.
    let text = fs::read_to_string(folder.join("d.csv")).unwrap();
    let named = text.lines().enumerate().map(|(row, line)| match row {
        0 => format!("{line},lump\n"),
        _ => format!("{line},{}\n", ["low", "right", "high"][row % 3]),
    });
    fs::write(folder.join("named.csv"), named.collect::<String>()).unwrap();
    let named = "train named.csv --columns a,b --given lump --mixture true --steps 0 --device cpu --json --out n.safetensors";
    let named = json(&stdout(&well(folder, named)));
    let nll = named["validation_nll"].as_f64().unwrap();
    // That of the lumps, but for the name, which was log 3.
    assert!(nll < 2.838 - 2f64.ln() + 0.15, "{nll}");
    let high = stdout(&well(
        folder,
        "sample n.safetensors --given lump=high -n 500 --seed 1",
    ));
    let high = high.lines().skip(1).map(|line| field(line, 1));
    assert!(
        high.clone().all(|b| b > 5.0),
        "{:?}",
        high.collect::<Vec<_>>()
    );
}

/// Where it is asked for, a mixture stands beside a flow, with the weight that held-out rows give it.
#[test]
fn mixture_beside_a_flow_is_weighed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    lumps(folder, 900);
    let train = "train d.csv --exclude w --device cpu --json --steps 100 --layers 2 --hidden 8";
    let both = well(
        folder,
        &format!("{train} --mixture true --out m.safetensors"),
    );
    assert!(
        stderr(&both).contains("Gaussian mixtures beside it"),
        "{}",
        stderr(&both)
    );
    let alone = well(folder, &format!("{train} --out f.safetensors"));
    let nll = |output| json(&stdout(&output))["validation_nll"].as_f64().unwrap();
    assert!(nll(both) < nll(alone) - 0.05);
    well(folder, "score m.safetensors d.csv --summary --json");
    refused(
        folder,
        "train d.csv --mixture true --steps 10 --validation 0 --device cpu --out g.safetensors",
        2,
        &["--mixture true", "--validation 0.1"],
    );
}
