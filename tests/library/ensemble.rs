//! Several flows, each with other rows held out, that are averaged.

use couplet::checkpoint::{CheckpointOptions, Checkpoints};
use couplet::config::Overrides;
use couplet::fit::{DeviceChoice, DeviceName, Event, StopSignal};
use couplet::random::{Purpose, normal_at};
use couplet::{Error, Fit, Flow, Matrix, Message, Table};

fn normal(row: usize, column: usize) -> f64 {
    f64::from(normal_at(5, Purpose::TargetRows, row as u64, column))
}

/// A bent line.
fn table(rows: usize) -> Table {
    let values = Matrix::from_fn(rows, 2, |row, column| {
        let x = normal(row, 0);
        if column == 0 {
            x
        } else {
            x * x + 0.3 * normal(row, 1)
        }
    });
    Table::new(["x", "y"], values).unwrap()
}

fn settings() -> Overrides {
    let mut settings = Overrides::default();
    settings.train.steps = Some(120);
    settings.train.ensemble = Some(3);
    settings.model.layers = Some(3);
    settings.model.hidden = Some(vec![16]);
    settings
}

fn fit(table: &Table) -> Fit<'_> {
    let device = DeviceChoice {
        device: DeviceName::Cpu,
        ..DeviceChoice::default()
    };
    Fit::new(table)
        .settings(settings())
        .device(device)
        .log_every(30)
}

/// Stopped at every logged step in turn, it ends with the bytes that it would have ended with.
#[test]
fn ensemble_continues_from_a_checkpoint_of_any_flow() {
    let table = table(800);
    let whole = fit(&table).run().unwrap().flow.model().to_bytes().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut stops = 0;
    let mut resumed_in = Vec::new();
    let last = loop {
        let options = CheckpointOptions {
            dir: Some(folder.path().join("kept")),
            resume: Some(folder.path().join("kept")),
            ..CheckpointOptions::default()
        };
        let stop = StopSignal::default();
        let (signal, mut flow, mut seen) = (stop.clone(), 0, 0);
        let resumed_in = &mut resumed_in;
        let mut session = fit(&table)
            .checkpoints(Checkpoints::look(options).unwrap())
            .stop_signal(stop)
            .on_event(move |event| {
                match event {
                    Event::Flow { number, .. } => flow = *number,
                    Event::Resumed { .. } => resumed_in.push(flow),
                    Event::Step(_) => {
                        seen += 1;
                        // A resumed run begins at a step that was logged.
                        if seen == 2 {
                            signal.request();
                        }
                    }
                    _ => {}
                }
                Ok(())
            })
            .open()
            .unwrap();
        let outcome = session.train().unwrap();
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        if !outcome.stopped {
            break session.into_flow().unwrap().0;
        }
        assert!(outcome.judged.is_none());
        stops += 1;
        assert!(stops < 20);
    };
    assert!(stops > 5, "{stops}");
    assert!(
        [1, 2, 3].iter().all(|flow| resumed_in.contains(flow)),
        "{resumed_in:?}"
    );
    assert!(last.model().to_bytes().unwrap() == whole);
}

/// What was trained before an error stays: the flows that ended, and the one at hand from its best step.
#[test]
fn ensemble_that_ends_early_keeps_the_flows_so_far() {
    let table = table(800);
    let mut flow = 0;
    let mut session = fit(&table)
        .on_event(move |event| match event {
            Event::Flow { number, .. } => {
                flow = *number;
                Ok(())
            }
            Event::Step(report) if flow == 2 && report.step == 60 => {
                Err(Error::Data(Message::new("the log is full")))
            }
            _ => Ok(()),
        })
        .open()
        .unwrap();
    let outcome = session.train().unwrap();
    assert!(
        outcome
            .error
            .unwrap()
            .to_string()
            .contains("the log is full")
    );
    let model = session.into_flow().unwrap().0.model().clone();
    assert!(model.flows.len() == 2 && model.mixture.is_none());
    assert!(model.flows.iter().all(|flow| flow.weight == 0.5));
    Flow::new(model).unwrap().log_prob(&table.values).unwrap();
}

/// Where a mixture is all that is needed, one flow is enough to tell.
#[test]
fn ensemble_of_no_use_is_not_trained() {
    // Three lumps, far apart.
    let rows = Matrix::from_fn(600, 2, |row, column| {
        let centers = [[-4.0, 0.0], [3.0, 5.0], [4.0, -4.0]];
        centers[row % 3][column] + 0.2 * normal(row, column)
    });
    let table = Table::new(["x", "y"], rows).unwrap();
    let mut settings = settings();
    settings.model.mixture = Some(true);
    let fitted = fit(&table).settings(settings).run().unwrap();
    let model = fitted.flow.model();
    assert!(model.flows.is_empty() && model.mixture.is_some());
    assert_eq!(fitted.report.steps, 120);
    let validation = fitted.report.validation.unwrap();
    assert!(validation.by_folds && validation.rows == 600);
}

/// The average of flows is better than one of them on rows that none has seen, and so is what it says of itself.
#[test]
fn ensemble_is_better_than_a_flow() {
    let (table, new) = (table(600), table(20_000));
    let new = Matrix::from_fn(19_000, 2, |row, j| new.values.get(row + 1000, j));
    let nll = |count: usize| {
        let mut settings = settings();
        settings.train.ensemble = Some(count);
        settings.train.validation = Some(0.2);
        let fitted = fit(&table).settings(settings).run().unwrap();
        let log_prob = fitted.flow.log_prob(&new).unwrap();
        let mean = -log_prob.iter().sum::<f64>() / 19_000.0;
        (mean, fitted.report.validation_nll().unwrap())
    };
    let [(one, _), (five, judged)] = [nll(1), nll(5)];
    assert!(five < one - 0.01, "{five} {one}");
    assert!((judged - five).abs() < 0.1, "{judged} {five}");
}
