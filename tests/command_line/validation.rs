//! What is said of a fit is what unseen rows bear out.

use std::fs;
use std::path::Path;

use couplet::Flow;
use couplet::data::read_table;
use couplet::random::{Purpose, normal_at};

use crate::command::{stderr, stdout, well};

fn z(seed: u64, row: usize, j: usize) -> f64 {
    f64::from(normal_at(seed, Purpose::TargetRows, row as u64, j))
}

fn write(folder: &Path, name: &str, rows: usize, row: impl Fn(usize) -> [f64; 2]) {
    let lines = (0..rows).map(|number| format!("{},{}\n", row(number)[0], row(number)[1]));
    let text = "a,b\n".to_string() + &lines.collect::<String>();
    fs::write(folder.join(name), text).unwrap();
}

struct Fit {
    said: String,
    summary: serde_json::Value,
}

fn train(folder: &Path, name: &str, flags: &str) -> Fit {
    let args = format!("train {name} --device cpu --json --out m.safetensors {flags}");
    let output = well(folder, &args);
    Fit {
        said: stderr(&output),
        summary: serde_json::from_str(&stdout(&output)).unwrap(),
    }
}

/// The mean of -log p of 2,000 unseen rows.
fn fresh_nll(folder: &Path, row: impl Fn(usize) -> [f64; 2]) -> f64 {
    write(folder, "fresh.csv", 2000, row);
    let fresh = read_table(&folder.join("fresh.csv"), &Default::default()).unwrap();
    let flow = Flow::load(folder.join("m.safetensors")).unwrap();
    -flow.log_prob(&fresh.values).unwrap().iter().sum::<f64>() / 2000.0
}

/// The mean of -log p of rows under the Gaussian with the mean and covariance of others.
fn gaussian_nll(
    of: usize,
    row: impl Fn(usize) -> [f64; 2],
    fresh: impl Fn(usize) -> [f64; 2],
) -> f64 {
    let n = of as f64;
    let rows: Vec<[f64; 2]> = (0..of).map(row).collect();
    let mean = [0, 1].map(|j| rows.iter().map(|row| row[j]).sum::<f64>() / n);
    let product = |i: usize, j: usize| {
        let off = rows
            .iter()
            .map(|row| (row[i] - mean[i]) * (row[j] - mean[j]));
        off.sum::<f64>() / n
    };
    let [a, b, c] = [product(0, 0), product(0, 1), product(1, 1)];
    let determinant = a * c - b * b;
    let of_row = |row: [f64; 2]| {
        let [x, y] = [row[0] - mean[0], row[1] - mean[1]];
        let square = (c * x * x - 2.0 * b * x * y + a * y * y) / determinant;
        0.5 * (square + determinant.ln()) + std::f64::consts::TAU.ln()
    };
    (0..2000).map(|number| of_row(fresh(number))).sum::<f64>() / 2000.0
}

/// Every row twenty times: the entropy of what they are drawn from is 2.838.
#[test]
fn rows_that_repeat_do_not_flatter_the_validation() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let row = |number: usize| [z(7, number * 37 % 200, 0), z(7, number * 37 % 200, 1)];
    write(folder, "repeated.csv", 4000, row);
    let fit = train(folder, "repeated.csv", "");
    let validation = fit.summary["validation_nll"].as_f64().unwrap();
    let fresh = fresh_nll(folder, |number| [z(77, number, 0), z(77, number, 1)]);
    assert!(validation > 2.6 && fresh < 2.95, "{validation} {fresh}");
    assert!(
        fit.said.contains("3800 of 4000 rows equal an earlier row"),
        "{}",
        fit.said
    );
    assert!(!fit.said.contains("more steps"), "{}", fit.said);
    // The columns vary: it is the rows that repeat.
    assert!(!fit.said.contains("different numbers"), "{}", fit.said);
}

#[test]
fn rows_that_stand_there_twice_are_judged_by_others() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "twice.csv", 2000, |number| {
        [z(9, number % 1000, 0), z(9, number % 1000, 1)]
    });
    let fit = train(folder, "twice.csv", "--validation 0.5");
    let validation = fit.summary["validation_nll"].as_f64().unwrap();
    let fresh = fresh_nll(folder, |number| [z(77, number, 0), z(77, number, 1)]);
    // Five hundred rows tell to within 0.045.
    assert!((validation - fresh).abs() < 0.1, "{validation} {fresh}");
    assert!(fit.said.contains("1000 of 2000 rows equal"), "{}", fit.said);
}

/// With nothing held out nothing is said of other rows; and the density is no worse on them than a Gaussian.
#[test]
fn few_rows_make_no_claim_and_no_worse_a_density_than_a_gaussian() {
    for (rows, seed) in [(8, 27), (10, 29), (15, 3), (19, 4)] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let row = |number: usize| [z(seed, number, 0), z(seed, number, 1)];
        write(folder, "tiny.csv", rows, row);
        let fit = train(folder, "tiny.csv", "");
        let fresh = |number: usize| [z(77, number, 0), z(77, number, 1)];
        let gaussian = gaussian_nll(rows, row, fresh);
        let ours = fresh_nll(folder, fresh);
        assert!(ours <= gaussian, "{rows}: {ours} {gaussian}");
        assert!(
            !fit.said.contains("likely") && !fit.said.contains("for comparison"),
            "{}",
            fit.said
        );
        assert!(
            fit.said
                .contains(&format!("{rows} different rows are too few")),
            "{}",
            fit.said
        );
        assert!(
            fit.summary.get("baselines").is_none() && fit.summary.get("validation_nll").is_none()
        );
    }
    // Two rows have a density, too.
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "two.csv", 2, |number| {
        [z(21, number, 0), z(21, number, 1)]
    });
    train(folder.path(), "two.csv", "");
    assert!(fresh_nll(folder.path(), |number| [z(77, number, 0), z(77, number, 1)]) < 20.0);
}

/// Where a table was warned of, neither praise nor more steps.
#[test]
fn what_has_no_density_is_doubted_not_praised() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let uniform = |number: usize| (number as f64 * 0.618_033_988_749_894_9).fract();
    type Case<'a> = (&'a str, &'a str, &'a dyn Fn(usize) -> [f64; 2]);
    let cases: [Case<'_>; 6] = [
        ("counts", "different numbers, 1 apart", &|n| {
            [
                (20.0 + 4.0 * z(81, n, 0)).round().clamp(7.0, 34.0),
                z(81, n, 1),
            ]
        }),
        ("hours", "24 different numbers, 1 apart", &|n| {
            [(24.0 * uniform(n)).floor(), z(82, n, 1)]
        }),
        ("halves", "0.5 apart", &|n| {
            [(8.0 * z(83, n, 0)).round() / 2.0, z(83, n, 1)]
        }),
        ("zeros", "is 0 in 20% of the rows", &|n| {
            [if n % 5 == 0 { 0.0 } else { z(84, n, 0) }, z(84, n, 1)]
        }),
        ("many_zeros", "is 0 in 85% of the rows", &|n| {
            [if n % 20 < 17 { 0.0 } else { z(85, n, 0) }, z(85, n, 1)]
        }),
        ("parabola", "a curve or a surface", &|n| {
            [z(86, n, 0), z(86, n, 0).powi(2)]
        }),
    ];
    for (name, warning, row) in cases {
        write(folder, "t.csv", 2000, row);
        let fit = train(
            folder,
            "t.csv",
            "--column 1=real --steps 300 --hidden 16 --layers 4",
        );
        let said = &fit.said;
        assert!(
            said.contains("warning: ") && said.contains(warning),
            "{name}: {said}"
        );
        assert!(
            !said.contains("more steps (")
                && !said.contains("likely")
                && !said.contains("lower by -"),
            "{name}: {said}"
        );
        assert!(
            said.contains("until the warnings are dealt with"),
            "{name}: {said}"
        );
    }
    // What falls, and is still worse than a simple model, is said to be worse.
    let said = train(folder, "t.csv", "--steps 20 --hidden 4 --layers 1").said;
    assert!(
        said.contains("worse by") && !said.contains("lower by"),
        "{said}"
    );
}

/// A table of which nothing is warned is praised as before.
#[test]
fn a_table_with_a_density_is_not_doubted() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "ring.csv", 1500, |n| {
        let (angle, r) = (std::f64::consts::TAU * z(90, n, 0), 2.0 + 0.2 * z(90, n, 1));
        [r * angle.cos(), r * angle.sin()]
    });
    let fit = train(folder, "ring.csv", "--steps 300");
    assert!(!fit.said.contains("warning"), "{}", fit.said);
    assert!(
        fit.said.contains("times as likely as under single columns"),
        "{}",
        fit.said
    );
}
