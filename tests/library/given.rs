//! Densities of some columns given others, against what is known of them.

use couplet::config::{BaseName, Overrides};
use couplet::fit::{DeviceChoice, DeviceName, kolmogorov_distance};
use couplet::random::{Purpose, normal_at};
use couplet::{Fit, Flow, Matrix, Table};

fn cpu() -> DeviceChoice {
    DeviceChoice {
        device: DeviceName::Cpu,
        ..DeviceChoice::default()
    }
}

fn normal(row: usize, column: usize) -> f64 {
    f64::from(normal_at(5, Purpose::TargetRows, row as u64, column))
}

/// y is 3 x^2 and noise that grows with |x|; x is standard normal.
fn growing(rows: usize) -> Table {
    let values = Matrix::from_fn(rows, 2, |row, column| {
        let x = normal(row, 0);
        match column {
            0 => x,
            _ => 100.0 + 3.0 * x * x + (0.3 + 0.5 * x.abs()) * normal(row, 1),
        }
    });
    Table::new(["x", "y"], values).unwrap()
}

fn fitted(base: BaseName) -> Flow {
    let table = growing(3000);
    let mut settings = Overrides::default();
    settings.train.steps = Some(300);
    settings.model.layers = Some(3);
    settings.model.base = Some(base);
    let fit = Fit::new(&table)
        .given(["x"])
        .settings(settings)
        .device(cpu());
    fit.run().unwrap().flow
}

fn at(x: f64) -> Matrix<f64> {
    Matrix::from_values(1, 1, vec![x])
}

/// The integral over y is 1 for any x, the distribution function is the integral up to y, and quantiles invert it.
#[test]
fn a_conditional_density_integrates_to_its_distribution_function() {
    for base in [BaseName::Normal, BaseName::TrainableLogistic] {
        let flow = fitted(base);
        for x in [-2.5, -1.0, -0.3, 0.0, 0.1, 0.5, 1.0, 1.7, 2.2, 3.0] {
            // Fine where the density is high, and where it falls.
            let even: Vec<f64> = (0..2000).map(|k| (f64::from(k) + 0.5) / 2000.0).collect();
            let coarse = flow.quantiles(&at(x), &even).unwrap();
            let coarse = coarse.values();
            let points = 16 * (coarse.len() - 1) + 1;
            let y = Matrix::from_fn(points, 1, |k, _| {
                let (from, to) = (coarse[k / 16], coarse[(k / 16 + 1).min(coarse.len() - 1)]);
                from + (to - from) * (k % 16) as f64 / 16.0
            });
            let density = flow.log_prob_given(&y, &at(x)).unwrap();
            let rows = y.concat_columns(&Matrix::from_fn(points, 1, |_, _| x));
            let cdf = flow.cdf(&rows).unwrap();
            let mut sum = cdf[0];
            for k in 1..points {
                let step = y.get(k, 0) - y.get(k - 1, 0);
                sum += 0.5 * step * (density[k - 1].exp() + density[k].exp());
                assert!(
                    (sum - cdf[k]).abs() < 1e-3,
                    "{base:?} {x}: {sum} {}",
                    cdf[k]
                );
            }
            // Beyond the first and the last quantile.
            sum += even[0];
            assert!((sum - 1.0).abs() < 1e-3, "{base:?} {x}: {sum}");
            let probabilities = [0.03, 0.4, 0.5, 0.97];
            let quantiles = flow.quantiles(&at(x), &probabilities).unwrap();
            let rows = Matrix::from_fn(4, 2, |k, j| if j == 0 { quantiles.get(0, k) } else { x });
            for (p, back) in probabilities.iter().zip(flow.cdf(&rows).unwrap()) {
                assert!((p - back).abs() < 1e-4, "{base:?} {x}: {p} {back}");
            }
        }
    }
}

/// Samples are distributed as the distribution function says, and each depends on its own context alone.
#[test]
fn conditional_samples_follow_their_density() {
    let flow = fitted(BaseName::Normal);
    let context = Matrix::from_fn(5000, 1, |row, _| normal(row, 3));
    let y = flow.sample_given(&context, 0..5000, 9).unwrap();
    let cdf = flow.cdf(&y.concat_columns(&context)).unwrap();
    let distance = kolmogorov_distance(&cdf, &[]);
    assert!(distance < 1.63 / 5000f64.sqrt(), "{distance}");
    let some = Matrix::from_fn(10, 1, |row, _| context.get(row + 100, 0));
    let again = flow.sample_given(&some, 100..110, 9).unwrap();
    assert_eq!(again.column(0), &y.column(0)[100..110]);
    // There and back, with the context on both sides.
    let rows = y.concat_columns(&context);
    let (z, _) = flow.forward(&rows).unwrap();
    let back = flow.inverse_given(&z, &context).unwrap();
    for (a, b) in back.column(0).iter().zip(y.column(0)) {
        assert!((a - b).abs() < 1e-3, "{a} {b}");
    }
}

/// A regression that is linear and Gaussian is found without a step: preprocessing takes it out.
#[test]
fn a_linear_gaussian_regression_needs_no_steps() {
    let values = Matrix::from_fn(4000, 3, |row, column| match column {
        2 => 7.0 + 4.0 * normal(row, 0) - normal(row, 1) + 0.5 * normal(row, 2),
        column => normal(row, column),
    });
    let table = Table::new(["a", "b", "y"], values).unwrap();
    let fit = Fit::new(&table).given(["a", "b"]).steps(0).device(cpu());
    let report = fit.run().unwrap().report;
    let entropy = 0.5 * (std::f64::consts::TAU * std::f64::consts::E).ln() + 0.5f64.ln();
    assert!(
        (report.nll - entropy).abs() < 0.02,
        "{} {entropy}",
        report.nll
    );
}

/// More columns of context than rows to learn them from, most of them noise.
#[test]
fn a_wide_context_of_noise_does_no_harm() {
    let values = Matrix::from_fn(400, 201, |row, column| match column {
        200 => 2.0 * normal(row, 0) + normal(row, 300),
        column => normal(row, column),
    });
    let names = (0..201).map(|j| if j < 200 { format!("c{j}") } else { "y".into() });
    let table = Table::new(names, values).unwrap();
    let fit = Fit::new(&table).given(["c0..c199"]).device(cpu());
    let report = fit.run().unwrap().report;
    let best = report.validation_nll().unwrap();
    // The marginal density's entropy is 2.22.
    assert!(best < 2.2, "{best}");
}
