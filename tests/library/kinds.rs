//! Columns that are not any real number, against densities that are known.

use couplet::config::Overrides;
use couplet::fit::{DeviceChoice, DeviceName};
use couplet::random::{Purpose, normal_at, uniform, words};
use couplet::{Error, Fit, Flow, Matrix, Table};

/// A number that is uniform between 0 and 1.
fn even(row: usize, column: u32) -> f64 {
    uniform(words(11, Purpose::TargetRows, row as u64, column)[0]) + 1e-10
}

fn normal(row: usize, column: usize) -> f64 {
    f64::from(normal_at(12, Purpose::TargetRows, row as u64, column))
}

/// A fit on the CPU, with these columns of these kinds.
pub fn fit(table: &Table, steps: Option<usize>, kinds: &[&str]) -> Result<Flow, Error> {
    let mut settings = Overrides::default();
    settings.train.steps = steps;
    settings.data.columns = Some(kinds.iter().map(|kind| kind.parse().unwrap()).collect());
    let device = DeviceChoice {
        device: DeviceName::Cpu,
        ..DeviceChoice::default()
    };
    Ok(Fit::new(table)
        .settings(settings)
        .device(device)
        .run()?
        .flow)
}

fn fitted(names: &[&str], kinds: &[&str], rows: &Matrix<f64>, steps: Option<usize>) -> Flow {
    let table = Table::new(names.iter().copied(), rows.clone()).unwrap();
    fit(&table, steps, kinds).unwrap()
}

/// Rows to fit to and others to score, of one column.
fn two_tables(number: impl Fn(usize) -> f64) -> [Matrix<f64>; 2] {
    [0, 1].map(|part| Matrix::from_fn(4000, 1, |row, _| number(row + 4000 * part)))
}

/// The divergence of the fit to known rows from their density, as the mean over other rows.
fn divergence(flow: &Flow, rows: &Matrix<f64>, truth: impl Fn(&[f64]) -> f64) -> f64 {
    let scores = flow.log_prob(rows).unwrap();
    let of_rows = scores.iter().enumerate().map(|(row, score)| {
        let values: Vec<f64> = rows.row(row).collect();
        truth(&values) - score
    });
    of_rows.sum::<f64>() / rows.rows() as f64
}

/// No row of a sample lies where the density is zero.
fn stays_inside(flow: &Flow) -> Matrix<f64> {
    let sample = flow.sample(0..200_000, 1).unwrap();
    let scores = flow
        .log_prob(&Matrix::from_fn(20_000, sample.columns(), |row, j| {
            sample.get(row, j)
        }))
        .unwrap();
    assert!(scores.iter().all(|score| score.is_finite()));
    sample
}

#[test]
fn an_exponential_column_is_positive() {
    let [rows, others] = two_tables(|row| -2.0 * even(row, 0).ln());
    let flow = fitted(&["x"], &["x=positive"], &rows, None);
    let nats = divergence(&flow, &others, |x| -0.5 * x[0] - 2f64.ln());
    assert!(nats < 0.02, "{nats}");
    let sample = stays_inside(&flow);
    assert!(sample.values().iter().all(|x| *x > 0.0));
    let outside = Matrix::from_values(3, 1, vec![0.0, -1.0, 1.0]);
    let scores = flow.log_prob(&outside).unwrap();
    assert_eq!(scores[..2], [f64::NEG_INFINITY; 2]);
    assert!(scores[2].is_finite());
    assert_eq!(flow.cdf(&outside).unwrap()[..2], [0.0, 0.0]);
    assert!(flow.forward(&outside).is_err());
    let median = flow.quantiles(&Matrix::zeros(1, 0), &[0.5]).unwrap();
    assert!((median.get(0, 0) - 2.0 * 2f64.ln()).abs() < 0.1);
}

/// Numbers to two digits, of which some are 0 or 1.
#[test]
fn a_bounded_column_has_its_bounds() {
    let [rows, others] = two_tables(|row| (even(row, 1).sqrt() * 100.0).round() / 100.0);
    let flow = fitted(&["x"], &["x=bounded(0,1)"], &rows, None);
    let nats = divergence(&flow, &others, |x| (2.0 * x[0]).max(1e-3).ln());
    assert!(nats < 0.03, "{nats}");
    let sample = stays_inside(&flow);
    assert!(sample.values().iter().all(|x| (0.0..=1.0).contains(x)));
    let points = 2001;
    let line = Matrix::from_fn(points, 1, |k, _| (k as f64 + 0.5) / points as f64);
    let mass: f64 = flow.log_prob(&line).unwrap().iter().map(|p| p.exp()).sum();
    assert!((mass / points as f64 - 1.0).abs() < 2e-3, "{mass}");
    let ends = flow.cdf(&Matrix::from_values(4, 1, vec![-1.0, 0.5, 1.0, 2.0]));
    let ends = ends.unwrap();
    assert_eq!((ends[0], ends[2], ends[3]), (0.0, 1.0, 1.0));
    assert!((ends[1] - 0.25).abs() < 0.03, "{ends:?}");
}

/// The number of events of rate 1 before a time that is the mean.
fn poisson(row: usize, column: u32, mean: f64) -> f64 {
    let mut time = 0.0;
    let events = (0..).take_while(|event| {
        time -= even(row, column + 1000 * (event + 1)).ln();
        time < mean
    });
    events.count() as f64
}

fn log_poisson(count: f64, mean: f64) -> f64 {
    let factorial: f64 = (1..=count as u64).map(|k| (k as f64).ln()).sum();
    count * mean.ln() - mean - factorial
}

#[test]
fn a_count_has_probabilities() {
    for mean in [0.4, 6.0] {
        let [rows, others] = two_tables(|row| poisson(row, 2, mean));
        let flow = fitted(&["x"], &["x=integer(0,)"], &rows, None);
        let nats = divergence(&flow, &others, |x| log_poisson(x[0], mean));
        assert!(nats < 0.02, "{mean}: {nats}");
        let counts = Matrix::from_fn(200, 1, |k, _| k as f64);
        let log_prob = flow.log_prob(&counts).unwrap();
        let sum: f64 = log_prob.iter().map(|p| p.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-3, "{mean}: {sum}");
        // As the distribution function has it.
        let cdf = flow.cdf(&counts).unwrap();
        for k in 1..10 {
            let p = cdf[k] - cdf[k - 1];
            assert!((p - log_prob[k].exp()).abs() < 1e-6, "{mean} {k}");
        }
        let sample = stays_inside(&flow);
        let is_count = |x: &f64| x.fract() == 0.0 && *x >= 0.0;
        assert!(sample.values().iter().all(is_count));
        let zeros = sample.values().iter().filter(|x| **x == 0.0).count();
        let part = zeros as f64 / 200_000.0;
        assert!((part - cdf[0]).abs() < 0.005, "{mean}: {part} {}", cdf[0]);
        let none = flow.log_prob(&Matrix::from_values(2, 1, vec![0.5, -1.0]));
        assert_eq!(none.unwrap(), [f64::NEG_INFINITY; 2]);
        let quantile = flow.quantiles(&Matrix::zeros(1, 0), &[0.5]).unwrap();
        let is_median = |k: f64| {
            let at = k as usize;
            cdf[at] >= 0.5 && (at == 0 || cdf[at - 1] < 0.5)
        };
        assert!(is_median(quantile.get(0, 0)), "{mean}: {quantile:?}");
    }
}

/// A count whose mean follows from a real number.
#[test]
fn a_count_beside_a_real_column() {
    let mean = |z: f64| (0.5 * z + 0.5).exp();
    let rows = |first: usize| {
        Matrix::from_fn(3000, 2, |row, j| match j {
            0 => normal(first + row, 0),
            _ => poisson(first + row, 3, mean(normal(first + row, 0))),
        })
    };
    let flow = fitted(&["z", "x"], &["x=integer(0,)"], &rows(0), Some(800));
    let truth = |x: &[f64]| -0.5 * x[0] * x[0] - 0.9189 + log_poisson(x[1], mean(x[0]));
    let nats = divergence(&flow, &rows(10_000), truth);
    assert!(nats < 0.05, "{nats}");
    // Over all counts, the density of the real column is left.
    let grid = Matrix::from_fn(60 * 80, 2, |point, j| match j {
        0 => (point / 60) as f64 * 0.1 - 4.0,
        _ => (point % 60) as f64,
    });
    let mass: f64 = flow.log_prob(&grid).unwrap().iter().map(|p| p.exp()).sum();
    assert!((mass * 0.1 - 1.0).abs() < 5e-3, "{mass}");
    stays_inside(&flow);
}

/// Two clusters of angles, one of them about the cut between 360 and 0, and a column that follows the sine.
#[test]
fn an_angle_has_no_seam() {
    let kappa = 0.6;
    let angle = |row: usize| {
        let center = if even(row, 5) < 0.6 { 350.0 } else { 120.0 };
        center + kappa * 40.0 * normal(row, 1)
    };
    let rows = |first: usize| {
        Matrix::from_fn(3000, 2, |row, j| match j {
            0 => angle(first + row).rem_euclid(360.0),
            _ => angle(first + row).to_radians().sin() + 0.3 * normal(first + row, 2),
        })
    };
    let flow = fitted(&["t", "y"], &["t=circular(360)"], &rows(0), Some(800));
    let normal_density = |off: f64, width: f64| {
        let z = off / width;
        (-0.5 * z * z).exp() / (width * (2.0 * std::f64::consts::PI).sqrt())
    };
    let truth = |x: &[f64]| {
        let of = |center: f64| {
            let turns = [-360.0, 0.0, 360.0].map(|turn| normal_density(x[0] + turn - center, 24.0));
            turns.iter().sum::<f64>()
        };
        let of_angle = 0.6 * of(350.0) + 0.4 * of(120.0);
        (of_angle * normal_density(x[1] - x[0].to_radians().sin(), 0.3)).ln()
    };
    let nats = divergence(&flow, &rows(10_000), truth);
    assert!(nats < 0.05, "{nats}");
    // Both sides of the seam, and of the cut.
    let cut = flow.model().preprocessing.kinds[0].cut;
    for at in [0.0, cut] {
        let near = Matrix::from_fn(3, 2, |k, j| match j {
            0 => at + [0.0, 360.0, -1e-9][k],
            _ => 0.1,
        });
        let p = flow.log_prob(&near).unwrap();
        assert!(
            (p[0] - p[1]).abs() < 1e-6 && (p[0] - p[2]).abs() < 1e-3,
            "{at}: {p:?}"
        );
    }
    let sample = stays_inside(&flow);
    assert!(sample.column(0).iter().all(|t| (0.0..360.0).contains(t)));
}

/// Given an angle the density is the same on both sides of its seam.
#[test]
fn a_given_angle_has_no_seam() {
    let rows = Matrix::from_fn(1500, 2, |row, j| match j {
        0 => 24.0 * even(row, 9),
        _ => (even(row, 9) * std::f64::consts::TAU).cos() + 0.2 * normal(row, 5),
    });
    let table = Table::new(["hour", "y"], rows).unwrap();
    let mut settings = Overrides::default();
    settings.train.steps = Some(300);
    settings.data.columns = Some(vec!["hour=circular(24)".parse().unwrap()]);
    let fit = Fit::new(&table).settings(settings).given(["hour"]);
    let flow = fit.run().unwrap().flow;
    let y = Matrix::from_values(3, 1, vec![1.0; 3]);
    let hours = Matrix::from_values(3, 1, vec![0.0, 24.0, 12.0]);
    let p = flow.log_prob_given(&y, &hours).unwrap();
    assert!((p[0] - p[1]).abs() < 1e-5 && p[0] > p[2] + 5.0, "{p:?}");
    let bytes = flow.model().to_bytes().unwrap();
    let model = couplet::model::Model::from_bytes(bytes).unwrap();
    assert_eq!(model.given()[0].period, Some(24.0));
}

/// The same numbers give the same model, whatever stands beside it.
#[test]
fn reruns_are_the_same_to_the_byte() {
    let rows = Matrix::from_fn(600, 3, |row, j| match j {
        0 => poisson(row, 7, 2.0),
        1 => 360.0 * even(row, 8),
        _ => normal(row, 4).exp(),
    });
    let kinds = ["a=integer(0,)", "b=circular(360)", "c=positive"];
    let model = || {
        let flow = fitted(&["a", "b", "c"], &kinds, &rows, Some(60));
        flow.model().to_bytes().unwrap()
    };
    let bytes = model();
    assert_eq!(bytes, model());
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains(r#"\"format_version\":2"#));
    let read = couplet::model::Model::from_bytes(bytes).unwrap();
    assert_eq!(read.preprocessing.kinds.len(), 3);
}
