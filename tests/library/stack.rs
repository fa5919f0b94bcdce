//! Models of several members: flows with weights, and a Gaussian mixture beside them.

use std::fs;

use couplet::config::Overrides;
use couplet::fit::{DeviceChoice, DeviceName};
use couplet::mixture::{GaussianMixture, Shape};
use couplet::model::{Model, WeightedFlow, WeightedMixture};
use couplet::random::{Purpose, normal_at};
use couplet::{Fit, Flow, Matrix, Table};

fn normal(row: usize, column: usize) -> f64 {
    f64::from(normal_at(8, Purpose::TargetRows, row as u64, column))
}

/// Two lumps, in one column or two.
fn table(columns: usize) -> Table {
    let values = Matrix::from_fn(1500, columns, |row, column| {
        let center = if row % 3 == 0 { -2.0 } else { 2.0 };
        10.0 + 5.0 * (center * (1.0 - column as f64 / 2.0) + normal(row, column))
    });
    Table::new((0..columns).map(|j| format!("c{j}")), values).unwrap()
}

/// A flow over the table, another that is not trained as well, and a mixture.
fn stack(table: &Table) -> Model {
    let mut settings = Overrides::default();
    settings.train.steps = Some(200);
    settings.model.layers = Some(3);
    settings.model.hidden = Some(vec![8]);
    let device = DeviceChoice {
        device: DeviceName::Cpu,
        ..DeviceChoice::default()
    };
    let fit = Fit::new(table).settings(settings).device(device);
    let model = fit.run().unwrap().flow.model().clone();
    let parameters = model.single_flow().unwrap();
    let other = parameters.iter().map(|p| 0.8 * p).collect();
    let seen = model.preprocessing.apply(&table.values);
    let mixture = GaussianMixture::fit(&seen, &[], Shape::Full, 3, 1, 0).rounded();
    Model {
        flows: vec![
            WeightedFlow {
                weight: 0.5,
                parameters: parameters.to_vec(),
            },
            WeightedFlow {
                weight: 0.2,
                parameters: other,
            },
        ],
        mixture: Some(WeightedMixture {
            weight: 0.3,
            mixture,
        }),
        ..model
    }
}

#[test]
fn stack_scores_are_those_of_its_members() {
    let table = table(2);
    let model = stack(&table);
    let all = Flow::new(model.clone()).unwrap();
    let mut density = vec![0.0; table.values.rows()];
    for flow in &model.flows {
        let alone = Model {
            flows: WeightedFlow::alone(flow.parameters.clone()),
            mixture: None,
            ..model.clone()
        };
        let scores = Flow::new(alone).unwrap().log_prob(&table.values).unwrap();
        for (sum, score) in density.iter_mut().zip(scores) {
            *sum += flow.weight * score.exp();
        }
    }
    let it = model.mixture.as_ref().unwrap();
    let seen = model.preprocessing.apply(&table.values);
    let log_det = model.preprocessing.log_det(&seen);
    for ((sum, score), log_det) in density
        .iter_mut()
        .zip(it.mixture.log_prob(&seen))
        .zip(log_det)
    {
        *sum += it.weight * (score + log_det).exp();
    }
    for in_f64 in [false, true] {
        let flow = Flow::new(model.clone()).unwrap();
        let flow = if in_f64 { flow.in_f64().unwrap() } else { flow };
        for (score, density) in flow.log_prob(&table.values).unwrap().iter().zip(&density) {
            assert!(
                (score - density.ln()).abs() < 1e-4,
                "{score} {}",
                density.ln()
            );
        }
    }
    let message = all.forward(&table.values).unwrap_err().to_string();
    assert!(message.contains("mixture = false"), "{message}");
}

#[test]
fn stack_file_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    for dims in [1, 2] {
        let model = stack(&table(dims));
        model.save(&path).unwrap();
        assert_eq!(Model::load(&path).unwrap(), model);
        let alone = Model {
            flows: Vec::new(),
            mixture: model
                .mixture
                .clone()
                .map(|it| WeightedMixture { weight: 1.0, ..it }),
            ..model
        };
        alone.save(&path).unwrap();
        assert_eq!(Model::load(&path).unwrap(), alone);
        assert!(
            alone
                .to_text()
                .unwrap()
                .contains("a mixture of 3 Gaussians of weight 1.000")
        );
    }
    // What is not the file of a stack.
    let model = stack(&table(2));
    let wrong = Model {
        flows: model.flows[..1].to_vec(),
        ..model.clone()
    };
    let message = wrong.save(&path).unwrap_err().to_string();
    assert!(message.contains("add up to 1"), "{message}");
    let bytes = model.to_bytes().unwrap();
    for (from, to, part) in [
        (r#"\"mixture\":0.3"#, r#"\"mixture\":0.9"#, "add up to 1"),
        (
            r#"\"members\":[0.5,0.2]"#,
            r#"\"members\":[0.7,0.0]"#,
            "add up to 1",
        ),
        ("members.1.layers.0", "members.7.layers.0", "no position"),
        ("mixture.cholesky", "mixture.choleskx", "no position"),
    ] {
        let header = String::from_utf8_lossy(&bytes).into_owned();
        let at = header
            .find(from)
            .unwrap_or_else(|| panic!("{from} in {}", &header[..2000]));
        let mut damaged = bytes.clone();
        damaged[at..at + to.len()].copy_from_slice(to.as_bytes());
        let message = Model::from_bytes(damaged).unwrap_err().to_string();
        assert!(message.contains(part), "{from}: {message}");
    }
    assert!(fs::read(&path).is_ok());
}

/// Row i depends on its number alone, and rows are distributed as the density says.
#[test]
fn stack_samples_follow_its_density() {
    let table = table(2);
    let flow = Flow::new(stack(&table)).unwrap();
    let sample = flow.sample(0..40_000, 4).unwrap();
    let part = flow.sample(700..710, 4).unwrap();
    for row in 0..10 {
        for j in 0..2 {
            assert!((part.get(row, j) - sample.get(700 + row, j)).abs() < 1e-4);
        }
    }
    // The mean of -log p of samples is the entropy, by another way: a sum over a grid.
    let entropy = -flow.log_prob(&sample).unwrap().iter().sum::<f64>() / 40_000.0;
    let step = 0.5;
    let grid = Matrix::from_fn(240 * 240, 2, |point, j| {
        let index = if j == 0 { point / 240 } else { point % 240 };
        10.0 + step * (index as f64 - 119.5)
    });
    let log_prob = flow.log_prob(&grid).unwrap();
    let mass: f64 = log_prob.iter().map(|p| p.exp() * step * step).sum();
    assert!((mass - 1.0).abs() < 0.01, "{mass}");
    let exact: f64 = log_prob.iter().map(|p| -p * p.exp() * step * step).sum();
    assert!((entropy - exact).abs() < 0.02, "{entropy} {exact}");
}

#[test]
fn stack_of_one_column_has_quantiles_and_a_mean() {
    let flow = Flow::new(stack(&table(1))).unwrap();
    let nothing = Matrix::zeros(1, 0);
    let even: Vec<f64> = (0..2000).map(|k| (f64::from(k) + 0.5) / 2000.0).collect();
    let quantiles = flow.quantiles(&nothing, &even).unwrap();
    let x = Matrix::from_fn(2000, 1, |k, _| quantiles.get(0, k));
    for (found, expected) in flow.cdf(&x).unwrap().iter().zip(&even) {
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }
    let average = x.column(0).iter().sum::<f64>() / 2000.0;
    let mean = flow.mean(&nothing).unwrap()[0];
    assert!((mean - average).abs() < 0.02, "{mean} {average}");
    let sample = flow.sample(0..100_000, 1).unwrap();
    let of_sample = sample.column(0).iter().sum::<f64>() / 1e5;
    assert!((mean - of_sample).abs() < 0.1, "{mean} {of_sample}");
}
