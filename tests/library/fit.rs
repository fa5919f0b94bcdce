//! Fit and Flow, as a program outside uses them.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use couplet::config::Overrides;
use couplet::fit::{DeviceChoice, DeviceName, Event, StopSignal};
use couplet::{Error, Fit, Flow, Matrix, Table};
use rayon::prelude::*;

fn ring(rows: usize) -> Table {
    let values = Matrix::from_fn(rows, 2, |row, column| {
        let angle = 0.1 * row as f64;
        let radius = 3.0 + 0.1 * (1.7 * row as f64).sin();
        radius
            * if column == 0 {
                angle.sin()
            } else {
                angle.cos()
            }
            + 5.0
    });
    Table::new(["x", "y"], values).unwrap()
}

fn small() -> Overrides {
    let mut settings = Overrides::default();
    settings.model.layers = Some(3);
    settings.model.hidden = Some(vec![8]);
    settings.train.steps = Some(60);
    settings
}

fn cpu() -> DeviceChoice {
    DeviceChoice {
        device: DeviceName::Cpu,
        ..DeviceChoice::default()
    }
}

/// What the command line makes of a table is what a program makes of it, to the byte.
#[test]
fn a_program_and_the_command_line_fit_the_same_flow() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    crate::command::table(folder, "d.csv", 300, |_, _| {});
    let args = "train d.csv --device cpu --steps 60 --layers 3 --hidden 8 --out theirs.safetensors";
    crate::command::well(folder, args);
    let table = Table::read(folder.join("d.csv")).unwrap();
    let fit = Fit::new(&table).settings(small()).device(cpu());
    let fitted = fit.run().unwrap();
    fitted.flow.save(folder.join("ours.safetensors")).unwrap();
    let read = |name| std::fs::read(folder.join(name)).unwrap();
    assert!(read("ours.safetensors") == read("theirs.safetensors"));
    assert_eq!(fitted.report.steps, 60);
    assert_eq!(fitted.flow.columns(), table.columns);
    let flow = Flow::load(folder.join("theirs.safetensors")).unwrap();
    let scores = flow.log_prob(&table.values).unwrap();
    assert_eq!(scores, fitted.flow.log_prob(&table.values).unwrap());
    let mean = scores.iter().sum::<f64>() / scores.len() as f64;
    // Most of these rows were trained on.
    assert!(
        (mean + fitted.report.nll).abs() < 0.5,
        "{mean} {:?}",
        fitted.report
    );
}

/// A flow is shared between threads, one of which trains another; each gets what it would get alone.
#[test]
fn threads_share_a_flow() {
    let table = ring(400);
    let fit = || Fit::new(&table).settings(small()).device(cpu());
    let flow = fit().run().unwrap().flow;
    let alone = (
        flow.log_prob(&table.values).unwrap(),
        flow.sample(3..40, 9).unwrap(),
    );
    thread::scope(|scope| {
        let score = scope.spawn(|| {
            for _ in 0..20 {
                assert_eq!(flow.log_prob(&table.values).unwrap(), alone.0);
            }
        });
        let sample = scope.spawn(|| {
            for _ in 0..20 {
                assert_eq!(flow.sample(3..40, 9).unwrap(), alone.1);
            }
        });
        let train = scope.spawn(|| fit().seed(3).run().unwrap().flow);
        score.join().unwrap();
        sample.join().unwrap();
        // And goes from one to the other.
        let other = train.join().unwrap();
        assert_ne!(other.log_prob(&table.values).unwrap(), alone.0);
    });
}

/// A pool's thread that waits within one call takes up another: neither waits for the other.
#[test]
fn threads_of_a_rayon_pool_share_a_flow() {
    let table = ring(3000);
    let flow = Fit::new(&table).settings(small()).device(cpu()).run();
    let flow = Arc::new(flow.unwrap().flow);
    let (done, ended) = channel();
    let shared = flow.clone();
    thread::spawn(move || {
        let calls = (0..64).into_par_iter();
        let scores = calls.map(|_| shared.log_prob(&table.values).unwrap());
        let all: Vec<Vec<f64>> = scores.collect();
        done.send(all.windows(2).all(|two| two[0] == two[1]))
    });
    assert_eq!(ended.recv_timeout(Duration::from_secs(60)), Ok(true));
}

/// There and back; the density of a row is that of its latent, times the volume's change.
#[test]
fn rows_go_there_and_back_in_their_own_units() {
    let table = ring(400);
    for device in [DeviceName::Cpu, DeviceName::Gpu] {
        let choice = DeviceChoice { device, ..cpu() };
        let fit = Fit::new(&table).settings(small()).device(choice);
        let flow = fit.run().unwrap().flow;
        let (z, log_det) = flow.forward(&table.values).unwrap();
        let back = flow.inverse(&z).unwrap();
        for (x, back) in table.values.values().iter().zip(back.values()) {
            assert!((x - back).abs() < 1e-4, "{}: {x} {back}", flow.device());
        }
        let log_prob = flow.log_prob(&table.values).unwrap();
        for row in 0..table.values.rows() {
            // The base of these settings is the standard normal.
            let square: f64 = z.row(row).map(|z| z * z).sum();
            let base = -0.5 * square - (2.0 * std::f64::consts::PI).ln();
            let expected = base + log_det[row];
            assert!((log_prob[row] - expected).abs() < 1e-3, "{}", flow.device());
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let sample = flow.sample(0..4000, 1).unwrap();
        for j in 0..2 {
            let (drawn, given) = (mean(sample.column(j)), mean(table.values.column(j)));
            assert!((drawn - given).abs() < 0.8, "{drawn} {given}");
        }
    }
}

#[test]
fn stop_signal_ends_a_fit_with_the_best_so_far() {
    let table = ring(400);
    let stop = StopSignal::default();
    let mut logged = 0;
    let fit = Fit::new(&table).settings(small()).steps(5000).device(cpu());
    let fit = fit.stop_signal(stop.clone()).on_event(|event| {
        logged += usize::from(matches!(event, Event::Step(_)));
        if logged == 2 {
            stop.request();
        }
        Ok(())
    });
    let fitted = fit.run().unwrap();
    assert!(fitted.report.stopped && fitted.report.steps < 200);
    assert!(fitted.report.validation_nll().unwrap().is_finite());
    // On from there, in its units.
    let model = fitted.flow.model().clone();
    let on = Fit::new(&table).steps(30).device(cpu()).start_from(model);
    let on = on.run().unwrap();
    assert_eq!(on.flow.spec(), fitted.flow.spec());
    assert!(on.report.nll < fitted.report.nll + 0.1);
}

/// Every mistake is an error that says where.
#[test]
fn mistakes_are_errors() {
    let says = |error: Error, parts: &[&str]| {
        let text = error.to_string();
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    };
    let values = |number| Matrix::from_values(2, 2, vec![1.0, 2.0, number, 4.0]);
    says(
        Table::new(["a"], values(3.0)).unwrap_err(),
        &["1 names", "2 columns"],
    );
    says(
        Table::new(["a", "a"], values(3.0)).unwrap_err(),
        &["column 2", "name of another"],
    );
    says(
        Table::new(["a", "b"], values(f64::NAN)).unwrap_err(),
        &["row 1", "column 2", "b", "NaN"],
    );
    let table = ring(200);
    let fit = || Fit::new(&table).settings(small()).device(cpu());
    let flow = fit().run().unwrap().flow;
    says(
        flow.log_prob(&Matrix::zeros(3, 5)).unwrap_err(),
        &["5 columns", "over 2"],
    );
    says(
        flow.inverse(&values(f64::INFINITY)).unwrap_err(),
        &["row 1", "inf"],
    );
    let three = Table::new(
        ["a", "b", "c"],
        Matrix::from_fn(50, 3, |i, j| (i * (j + 1)) as f64),
    );
    let three = three.unwrap();
    let start = Fit::new(&three)
        .device(cpu())
        .start_from(flow.model().clone());
    says(
        start.run().err().unwrap(),
        &["start", "no column \"x\"", "a, b, c"],
    );
    says(
        fit().given(["x", "y"]).run().err().unwrap(),
        &["given = x,y", "none is left"],
    );
    let given = fit().given(["x"]).run().unwrap().flow;
    says(
        given.sample(0..3, 1).unwrap_err(),
        &["density given \"x\"", "given"],
    );
    says(
        given
            .log_prob_given(&values(1.0), &values(1.0))
            .unwrap_err(),
        &["rows of 2 columns", "over 1 given 1"],
    );
    let one = Matrix::zeros(3, 1);
    says(
        given
            .log_prob_given(&one, &Matrix::zeros(2, 1))
            .unwrap_err(),
        &["2 rows of context for 3 rows"],
    );
    says(flow.cdf(&values(1.0)).unwrap_err(), &["over 2 columns"]);
    says(
        given.quantiles(&one, &[1.0]).unwrap_err(),
        &["above 0 and below 1"],
    );
    let mut no_such = cpu();
    no_such.adapter = Some("no such adapter".into());
    no_such.device = DeviceName::Gpu;
    says(
        fit().device(no_such).run().err().unwrap(),
        &["no such adapter"],
    );
}
