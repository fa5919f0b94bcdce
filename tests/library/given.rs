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

/// The mean is that of the quantiles, which is the integral of them.
#[test]
fn conditional_mean_is_the_integral_of_the_quantiles() {
    let flow = fitted(BaseName::Normal);
    // Fine in the tails, too, which the flow stretches.
    let edge = |k: u32| 1.0 / (1.0 + (14.0 - f64::from(k) / 50.0).exp());
    let middles: Vec<f64> = (0..1400).map(|k| 0.5 * (edge(k) + edge(k + 1))).collect();
    let contexts = Matrix::from_values(3, 1, vec![-1.0, 0.2, 2.0]);
    let quantiles = flow.quantiles(&contexts, &middles).unwrap();
    for (row, mean) in flow.mean(&contexts).unwrap().into_iter().enumerate() {
        let terms = quantiles.row(row).zip(0..);
        let expected: f64 = terms.map(|(y, k)| y * (edge(k + 1) - edge(k))).sum();
        assert!((mean - expected).abs() < 2e-3, "{mean} {expected}");
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

fn density(z: f64, deviation: f64) -> f64 {
    (-0.5 * (z / deviation).powi(2)).exp() / (deviation * std::f64::consts::TAU.sqrt())
}

/// Fits the density of the first column given the others with the defaults, and returns the nats by which it is above the truth on
/// rows that training never saw. `draw` makes a row and its true density from the row's number.
fn above_the_truth(draw: impl Fn(usize) -> (Vec<f64>, f64)) -> f64 {
    let rows = 20_000;
    let context = draw(0).0.len() - 1;
    let table_of = |first: usize| {
        let drawn: Vec<Vec<f64>> = (first..first + rows).map(|row| draw(row).0).collect();
        Matrix::from_fn(rows, 1 + context, |row, j| drawn[row][j])
    };
    let names = (0..=context).map(|j| format!("c{j}"));
    let table = Table::new(names, table_of(0)).unwrap();
    let fit = Fit::new(&table)
        .given([format!("c1..c{context}")])
        .device(cpu());
    let flow = fit.run().unwrap().flow;
    let log_prob = flow.log_prob(&table_of(rows)).unwrap();
    let truth = (rows..2 * rows).map(|row| draw(row).1.ln());
    let excess: f64 = truth.zip(log_prob).map(|(truth, ours)| truth - ours).sum();
    excess / rows as f64
}

#[test]
fn a_heteroscedastic_regression_is_found() {
    let excess = above_the_truth(|row| {
        let (x, k) = (normal(row, 0), normal(row, 1));
        let deviation = 0.1 + 0.3 * x.abs();
        let noise = deviation * normal(row, 2);
        (
            vec![x * x + 0.5 * k + noise, x, k],
            density(noise, deviation),
        )
    });
    assert!(excess < 0.03, "{excess}");
}

#[test]
fn a_regression_of_two_branches_is_found() {
    let excess = above_the_truth(|row| {
        let x = normal(row, 0).abs();
        let branch = x.sqrt() * normal(row, 1).signum();
        let y = branch + 0.1 * normal(row, 2);
        let both = density(y - x.sqrt(), 0.1) + density(y + x.sqrt(), 0.1);
        (vec![y, x], 0.5 * both)
    });
    assert!(excess < 0.03, "{excess}");
}

/// The direction of a point that is seen with noise: its density ends in mid-air at -pi and pi (the projected normal distribution,
/// Mardia and Jupp 2000, "Directional statistics", eq. 3.5.48).
#[test]
fn a_density_of_angles_is_found() {
    let excess = above_the_truth(|row| {
        let point = [normal(row, 0), normal(row, 1)];
        let seen = [2, 3].map(|j| point[j - 2] + 0.5 * normal(row, j));
        let y = seen[1].atan2(seen[0]);
        let along = (point[0] * y.cos() + point[1] * y.sin()) / 0.5;
        let far = (point[0].powi(2) + point[1].powi(2)) / 0.25;
        let cdf = couplet::flow::Density::Normal.cdf(along);
        let density =
            (-0.5 * far).exp() / std::f64::consts::TAU * (1.0 + along * cdf / density(along, 1.0));
        (vec![y, point[0], point[1]], density)
    });
    assert!(excess < 0.03, "{excess}");
}

/// A program gives its categories as text.
#[test]
fn a_table_of_a_program_has_categories() {
    let kinds = ["b", "a", "c"];
    let rows = 1200;
    let y = Matrix::from_fn(rows, 1, |row, _| {
        5.0 * (row % 3) as f64 + 0.2 * normal(row, 0)
    });
    let texts: Vec<&str> = (0..rows).map(|row| kinds[row % 3]).collect();
    let table = Table::new(["y"], y).unwrap();
    let table = table.with_categories("kind", &texts).unwrap();
    assert_eq!(table.levels[1], ["a", "b", "c"]);
    let fit = Fit::new(&table).given(["kind"]).steps(100).device(cpu());
    let flow = fit.run().unwrap().flow;
    for (level, middle) in [(0.0, 5.0), (1.0, 0.0), (2.0, 10.0)] {
        let median = flow.quantiles(&at(level), &[0.5]).unwrap().get(0, 0);
        assert!((median - middle).abs() < 0.3, "{level}: {median}");
    }
    let error = flow.quantiles(&at(1.5), &[0.5]).unwrap_err().to_string();
    assert!(error.contains("1.5 is no index of its 3 levels"), "{error}");
}
