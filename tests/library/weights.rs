//! Rows with weights, against what is known of them.

use couplet::config::Overrides;
use couplet::data::effective_sample_size;
use couplet::fit::{DeviceChoice, DeviceName, Fitted};
use couplet::random::{Purpose, normal_at};
use couplet::{Fit, Matrix, Table};

fn cpu() -> DeviceChoice {
    DeviceChoice {
        device: DeviceName::Cpu,
        ..DeviceChoice::default()
    }
}

fn normal(row: usize, column: usize) -> f64 {
    f64::from(normal_at(6, Purpose::TargetRows, row as u64, column))
}

fn table(names: &[&str], rows: usize, number: impl Fn(usize, usize) -> f64) -> Table {
    let values = Matrix::from_fn(rows, names.len(), number);
    Table::new(names.iter().copied(), values).unwrap()
}

fn fitted(table: &Table, weights: &str, steps: usize) -> Fitted {
    let mut settings = Overrides::default();
    settings.train.steps = Some(steps);
    settings.model.layers = Some(3);
    settings.model.hidden = Some(vec![16]);
    let mut fit = Fit::new(table).settings(settings).device(cpu());
    if !weights.is_empty() {
        fit = fit.weights(weights);
    }
    fit.run().unwrap()
}

/// Rows of a wide Gaussian with the weights that make them rows of another: its mean and covariance are found.
#[test]
fn importance_weights_turn_one_gaussian_into_another() {
    let rows = 40_000;
    // Of standard deviation 1.5; what is wanted has the means 1 and -0.5, the deviations 0.8 and 0.6, and correlation 0.5.
    let x = |row, j| 1.5 * normal(row, j);
    let (mean, deviation, correlation) = ([1.0, -0.5], [0.8, 0.6], 0.5);
    let weight = |row: usize| {
        let z = [0, 1].map(|j| (x(row, j) - mean[j]) / deviation[j]);
        let wanted = (z[0] * z[0] + z[1] * z[1] - 2.0 * correlation * z[0] * z[1])
            / (1.0 - correlation * correlation);
        let drawn = [0, 1].map(|j| normal(row, j).powi(2)).iter().sum::<f64>();
        (0.5 * (drawn - wanted)).exp()
    };
    let table = table(&["a", "w", "b"], rows, |row, j| match j {
        1 => 7.0 * weight(row),
        0 => x(row, 0),
        _ => x(row, 1),
    });
    let Fitted { flow, report, .. } = fitted(&table, "w", 300);
    let weights: Vec<f64> = (0..rows).map(weight).collect();
    let size = report.effective_sample_size.unwrap();
    assert!((size / effective_sample_size(&weights) - 1.0).abs() < 1e-3);
    assert_eq!(flow.columns(), ["a", "b"]);

    let count = 200_000;
    let sample = flow.sample(0..count, 3).unwrap();
    let mean_of = |column: &dyn Fn(usize) -> f64| -> f64 {
        (0..count as usize).map(column).sum::<f64>() / count as f64
    };
    for j in 0..2 {
        let found = mean_of(&|row| sample.get(row, j));
        let error = deviation[j] / size.sqrt();
        assert!((found - mean[j]).abs() < 3.0 * error, "mean {j}: {found}");
    }
    for (i, j) in [(0, 0), (0, 1), (1, 1)] {
        let found = mean_of(&|row| (sample.get(row, i) - mean[i]) * (sample.get(row, j) - mean[j]));
        let r = if i == j { 1.0 } else { correlation };
        let scale = deviation[i] * deviation[j];
        // Of a covariance of two normal columns.
        let error = scale * ((1.0 + r * r) / size).sqrt();
        let expected = r * scale;
        assert!(
            (found - expected).abs() < 3.0 * error,
            "{i} {j}: {found} {expected}"
        );
    }
    // The entropy of what is wanted is the best that the weighted rows can be.
    let entropy =
        (std::f64::consts::TAU * std::f64::consts::E).ln() + (0.48 * (1.0f64 - 0.25).sqrt()).ln();
    let best = report.validation_nll().unwrap();
    assert!((best - entropy).abs() < 0.05, "{best} {entropy}");
    let gaussian = report.baselines.unwrap().gaussian.unwrap();
    assert!((gaussian - entropy).abs() < 0.05, "{gaussian} {entropy}");
}

/// Rows of weight 0 are as if they were not there: the same parameters, to the bit.
#[test]
fn rows_of_weight_zero_change_nothing() {
    let rows = 600;
    let weight = |row: usize| {
        if row.is_multiple_of(4) {
            0.0
        } else {
            0.5 + (row % 3) as f64
        }
    };
    // What does not count lies far out.
    let x = |row: usize, j: usize| match weight(row) {
        0.0 => 1e6 * (row + j) as f64,
        _ => normal(row, j),
    };
    let all = table(&["a", "b", "w"], rows, |row, j| match j {
        2 => weight(row),
        _ => x(row, j),
    });
    let kept: Vec<usize> = (0..rows).filter(|&row| weight(row) > 0.0).collect();
    let fewer = table(&["a", "b", "w"], kept.len(), |row, j| match j {
        2 => weight(kept[row]),
        _ => x(kept[row], j),
    });
    let [all, fewer] = [all, fewer].map(|table| fitted(&table, "w", 40));
    assert_eq!(all.flow.model(), fewer.flow.model());
    assert_eq!(all.report.nll, fewer.report.nll);
    assert_eq!(all.report.validation, fewer.report.validation);
    assert_eq!(all.report.baselines, fewer.report.baselines);
}

/// Weights that are all the same are none, whatever they are.
#[test]
fn equal_weights_are_none() {
    let rows = 500;
    let with = table(&["a", "b", "w"], rows, |row, j| match j {
        2 => 3.0,
        _ => normal(row, j),
    });
    let without = table(&["a", "b"], rows, normal);
    let [with, without] = [fitted(&with, "w", 40), fitted(&without, "", 40)];
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-4, "{a} {b}");
    close(with.report.nll, without.report.nll);
    let parameters = |fitted: &Fitted| fitted.flow.model().single_flow().unwrap().to_vec();
    for (a, b) in parameters(&with).into_iter().zip(parameters(&without)) {
        close(a.into(), b.into());
    }
}

/// A density given context, whose rows have weights: the regression follows those that count.
#[test]
fn weights_and_context_go_together() {
    let rows = 4000;
    let table = table(&["x", "y", "w"], rows, |row, j| {
        let x = normal(row, 0);
        let is_first = normal(row, 2) > 0.0;
        match j {
            0 => x,
            1 => (if is_first { 2.0 } else { -2.0 }) * x + 0.3 * normal(row, 1),
            _ => f64::from(u8::from(is_first)) + 1e-3,
        }
    });
    let fit = Fit::new(&table)
        .given(["x"])
        .weights("w")
        .steps(0)
        .device(cpu());
    let flow = fit.run().unwrap().flow;
    let at = |x: f64| Matrix::from_values(1, 1, vec![x]);
    let median = flow.quantiles(&at(1.0), &[0.5]).unwrap();
    assert!((median.get(0, 0) - 2.0).abs() < 0.1, "{}", median.get(0, 0));
}
