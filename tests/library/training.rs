//! The training loop: what it keeps, when it stops, and how it comes back from numbers that are not finite.

use crate::common::{assert_close, flows, guarded_training, rows, take_in_parts, training_rows};
use couplet::config::{ConditionerName, Config};
use couplet::cpu::CpuExecutor;
use couplet::data::{Target, TargetName};
use couplet::executor::{Batches, Executor, Fault};
use couplet::flow::{Plan, initial_parameters};
use couplet::train::{
    self, Ending, Extension, Outcome, Retry, Settings, Snapshot, StepReport, TrainObserver,
};
use couplet::{Error, Matrix, Result};

/// Remembers what it was told.
#[derive(Default)]
struct Notes {
    steps: Vec<StepReport>,
    retries: Vec<Retry>,
}

impl TrainObserver for Notes {
    fn step(&mut self, report: &StepReport) -> Result<()> {
        self.steps.push(*report);
        Ok(())
    }
    fn retry(&mut self, retry: &Retry) -> Result<()> {
        self.retries.push(*retry);
        Ok(())
    }
}

fn settings(steps: usize, validation: Option<Matrix<f64>>) -> Settings {
    Settings {
        steps,
        log_every: 10,
        check_every: 10,
        validation,
        monitor_rows: None,
        extension: None,
        row_weights: Vec::new(),
        patience: 0,
    }
}

fn start(config: &Config, data: &Matrix<f32>) -> CpuExecutor<f32> {
    let plan = Plan::new(&config.model.spec(data.columns()).unwrap()).unwrap();
    let parameters = initial_parameters(&plan.layout, 1);
    let mut executor = CpuExecutor::new(plan, &parameters);
    executor.start(data, &config.training()).unwrap();
    executor
}

fn nll(executor: &mut dyn Executor, rows: &Matrix<f64>) -> f64 {
    let log_prob = executor.log_prob(rows).unwrap();
    -log_prob.iter().sum::<f64>() / log_prob.len() as f64
}

/// A flow overfits few noisy rows: the run ends early, with parameters that are better on held-out rows than the last
/// ones, and these are what the executor is left with.
#[test]
fn a_run_ends_when_held_out_rows_get_worse() {
    let data = rows(100, 6, 1).map(|x| x as f32);
    let held_out = rows(100, 6, 2);
    for average in [0.0, 0.9] {
        let mut config = Config::safe(ConditionerName::Mlp);
        config.train.average = average;
        let mut executor = start(&config, &data);
        let mut notes = Notes::default();
        let settings = Settings {
            patience: 150,
            ..settings(2000, Some(held_out.clone()))
        };
        let outcome = train::run(&mut executor, &settings, &mut notes).unwrap();
        assert!(matches!(outcome.ending, Ending::Patience));
        assert_eq!(outcome.steps, outcome.best_step + 150);
        assert!(outcome.steps < 2000, "{}", outcome.steps);
        let (best, last) = outcome.validation.unwrap();
        assert!(best < last - 0.5, "{best} {last}");
        assert_eq!(nll(&mut executor, &held_out), best);
        let logged: Vec<f64> = notes
            .steps
            .iter()
            .map(|report| report.metrics.validation_nll.unwrap())
            .collect();
        assert_eq!(logged.iter().copied().fold(f64::INFINITY, f64::min), best);
        assert_eq!(notes.steps.last().unwrap().step, outcome.steps);
    }
}

/// A run goes on past its first part where what it learns holds for held-out rows, and only there. It may be taken up from anywhere
/// in between.
#[test]
fn a_run_is_extended_where_that_pays() {
    // Columns that follow a parabola: 200 steps do not learn it to its end.
    let curved = |count: usize, seed: u64| {
        let z = rows(count, 3, seed);
        let square = |row: usize| z.get(row, 0).powi(2);
        Matrix::from_fn(count, 3, |row, column| match column {
            0 => z.get(row, 0),
            _ => 0.3 * z.get(row, column) + square(row),
        })
    };
    let (many, few) = (curved(4000, 1), curved(30, 1));
    for (data, pays) in [(&many, true), (&few, false)] {
        let mut config = Config::safe(ConditionerName::Mlp);
        config.train.steps = 80;
        config.train.extension = 120;
        config.train.learning_rate = 1e-3;
        config.train.average = 0.0;
        let data = data.map(|x| x as f32);
        let settings = Settings {
            extension: Some(Extension {
                first: 80,
                rows: data.map(f64::from),
                row_weights: Vec::new(),
            }),
            ..settings(200, Some(curved(500, 2)))
        };
        let mut executor = start(&config, &data);
        let outcome = train::run(&mut executor, &settings, &mut ()).unwrap();
        assert!(matches!(outcome.ending, Ending::Done));
        assert_eq!(outcome.steps, if pays { 200 } else { 80 });
        for stop_at in [60, 70, 80, 150] {
            let mut stopping = StopAt {
                step: stop_at,
                snapshot: None,
            };
            let mut executor = start(&config, &data);
            let stopped = train::run(&mut executor, &settings, &mut stopping).unwrap();
            let Some(snapshot) = stopping.snapshot else {
                assert_eq!(stopped.parameters, outcome.parameters);
                continue;
            };
            let mut executor = start(&config, &data);
            let resumed = train::resume(&mut executor, &settings, &snapshot, &mut ()).unwrap();
            assert_eq!(resumed.steps, outcome.steps);
            assert_eq!(resumed.parameters, outcome.parameters, "{stop_at}");
        }
    }
}

/// Stops a run from a step on.
struct StopAt {
    step: usize,
    snapshot: Option<Snapshot>,
}

impl TrainObserver for StopAt {
    fn progress(&mut self, done: usize, _: &[f64]) -> Result<()> {
        if done >= self.step {
            self.step = 0;
        }
        Ok(())
    }
    fn snapshot(&mut self, snapshot: Snapshot) -> Result<()> {
        self.snapshot = Some(snapshot);
        Ok(())
    }
    fn should_stop(&mut self) -> bool {
        self.step == 0
    }
}

/// Without rows held out, and none of its checks in the way, a run ends with the parameters of plain steps.
#[test]
fn checks_change_nothing() {
    let data = rows(300, 4, 1).map(|x| x as f32);
    let config = Config {
        train: couplet::config::TrainConfig {
            batch_size: 100,
            ..Config::default().train
        },
        ..Config::default()
    };
    let mut plain = start(&config, &data);
    crate::common::take(&mut plain, 95);
    let mut executor = start(&config, &data);
    let outcome = train::run(&mut executor, &settings(95, None), &mut Notes::default()).unwrap();
    assert!(matches!(outcome.ending, Ending::Done));
    assert_eq!((outcome.steps, outcome.best_step), (95, 95));
    assert_eq!(outcome.parameters, plain.parameters().unwrap());
    assert_eq!(outcome.validation, None);
}

/// A step whose gradient is put together from parts of its batch is the step that is taken at once; and a gradient that is
/// handed back as it came makes the same bits.
#[test]
fn gradients_of_parts_make_the_step_of_the_whole() {
    for (name, spec) in flows() {
        let plan = Plan::new(&spec).unwrap();
        let parameters = crate::common::parameters(&plan);
        let data = training_rows(300, spec.width(), 5);
        let training = guarded_training(90);
        let start = || {
            let mut executor = CpuExecutor::<f64>::new(plan.clone(), &parameters);
            executor.start(&data, &training).unwrap();
            executor
        };
        let batches = Batches::new(300, training.batch_size, training.seed);
        let mut whole = start();
        let losses = whole.train(5).unwrap().losses;
        let expected = whole.state().unwrap();
        let mut parts = start();
        let of_parts = take_in_parts(&mut parts, &batches, 5);
        assert_close(name, &of_parts, &losses, 1e-12, 1e-12);
        let state = parts.state().unwrap();
        assert_eq!(state.step, 5);
        assert_close(name, &state.parameters, &expected.parameters, 1e-9, 1e-9);
        assert_close(name, &state.average, &expected.average, 1e-9, 1e-9);
        let mut again = start();
        for _ in 0..5 {
            let (_, gradient) = again.loss_and_gradient().unwrap();
            again.apply(&gradient).unwrap();
        }
        assert!(again.state().unwrap() == expected, "{name}");
        let too_many = Batches::new(300, 0, 1).batch(0);
        assert!(matches!(again.gradient(&too_many), Err(Error::Spec(_))));
        assert!(matches!(again.apply(&[1.0]), Err(Error::Spec(_))));
        let mut wrong = again.loss_and_gradient().unwrap().1;
        wrong[0] = f64::NAN;
        assert_eq!(again.apply(&wrong).unwrap(), Some(Fault::Gradient));
    }
}

/// A learning rate that is far too large is lowered until training continues, and the model gets better.
#[test]
fn a_rate_that_is_too_large_is_lowered() {
    let target = Target::new(TargetName::Banana, None, None, 1).unwrap();
    let data = target.training_rows(1000);
    let mut config = Config::default();
    config.train.learning_rate = 15.0;
    config.train.weight_decay = 0.0;
    config.model.layers = 4;
    let mut executor = start(&config, &data);
    let mut notes = Notes::default();
    let outcome = train::run(&mut executor, &settings(300, None), &mut notes).unwrap();
    assert!(!notes.retries.is_empty());
    for (k, retry) in notes.retries.iter().enumerate() {
        assert_eq!((retry.number, retry.max), (k + 1, 5));
        assert!(retry.back_to <= retry.step);
        assert!((retry.rate_factor - 0.3f64.powi(k as i32 + 1)).abs() < 1e-12);
    }
    assert!(outcome.parameters.iter().all(|p| p.is_finite()));
    let rows = data.map(f64::from);
    let after = nll(&mut executor, &rows);
    let before = nll(&mut start(&config, &data), &rows);
    assert!(after < before - 0.1, "{before} before, {after} after");
}

/// Row 17 overflows whatever the parameters: five retries, then the best parameters and the step that fails.
#[test]
fn a_row_that_always_overflows_ends_the_run() {
    let mut data = rows(200, 4, 1).map(|x| x as f32);
    data.column_mut(2)[17] = 1e30;
    let mut config = Config::default();
    config.train.batch_size = 20;
    let mut executor = start(&config, &data);
    let batches = couplet::executor::Batches::new(200, 20, config.train.seed);
    let step = (0..).find(|&step| {
        let batch = batches.batch(step);
        (0..batch.rows).any(|index| batch.row(index) == 17)
    });
    let mut notes = Notes::default();
    let outcome: Outcome = train::run(&mut executor, &settings(100, None), &mut notes).unwrap();
    let Ending::Diverged(divergence) = &outcome.ending else {
        panic!("{:?}", outcome.ending);
    };
    assert_eq!(Some(divergence.step), step);
    assert_eq!(divergence.fault, Fault::Loss);
    assert_ne!(step, Some(0), "a step before it is needed for retries");
    assert_eq!((divergence.retries, notes.retries.len()), (5, 5));
    let batch = batches.batch(divergence.step);
    let plan = executor.plan().clone();
    let parameters: Vec<f32> = divergence.parameters.iter().map(|&p| p as f32).collect();
    let found = couplet::cpu::diagnose(&plan, &parameters, &data, &batch);
    assert_eq!(found.row, 17);
    assert_eq!(executor.parameters().unwrap(), outcome.parameters);
    assert!(outcome.parameters.iter().all(|p| p.is_finite()));
}

/// The update alone overflows, at the first step: a lower rate is tried, as it may help.
#[test]
fn an_update_that_overflows_is_tried_with_a_lower_rate() {
    let data = rows(50, 4, 1).map(|x| x as f32);
    let mut config = Config::default();
    config.train.learning_rate = 1e38;
    config.train.weight_decay = 1e3;
    let mut executor = start(&config, &data);
    let mut notes = Notes::default();
    let outcome = train::run(&mut executor, &settings(20, None), &mut notes).unwrap();
    assert_eq!(notes.retries[0].fault, Fault::Parameters);
    assert_eq!((notes.retries[0].step, notes.retries[0].back_to), (0, 0));
    assert!(matches!(outcome.ending, Ending::Diverged(_)));
    assert_eq!(outcome.best_step, 0);
    assert!(outcome.parameters.iter().all(|p| p.is_finite()));
}

/// With minibatches, steps are compared on the same rows: a run that ends on a batch of rows far out has not become worse
/// than its first batch of near ones, and one that has become worse keeps what was better on all rows, not on a batch.
#[test]
fn minibatches_are_compared_like_with_like() {
    // Near rows, and far ones in every second place.
    let data = Matrix::from_fn(64, 2, |row, column| {
        let near = (0.1 * (row * (column + 2)) as f32).sin();
        if row % 2 == 0 { near } else { 1.5 + near }
    });
    let far = |config: &Config, step: usize| {
        let batch = Batches::new(64, 1, config.train.seed).batch(step as u64);
        batch.row(0) % 2 == 1
    };
    let mut config = Config::default();
    config.train.batch_size = 1;
    config.train.learning_rate = 1e-4;
    while far(&config, 0) || !far(&config, 200) {
        config.train.seed += 1;
    }
    let monitor_rows = data.map(f64::from);
    let run = |config: &Config, parameters: Option<&[f64]>| {
        let mut executor = start(config, &data);
        if let Some(parameters) = parameters {
            executor.set_parameters(parameters).unwrap();
        }
        let settings = Settings {
            monitor_rows: Some(monitor_rows.clone()),
            ..settings(200, None)
        };
        let before = nll(&mut executor, &monitor_rows);
        let outcome = train::run(&mut executor, &settings, &mut Notes::default()).unwrap();
        (outcome, before, nll(&mut executor, &monitor_rows))
    };
    let (outcome, before, after) = run(&config, None);
    assert!(after < before, "{before} {after}");
    assert!(!outcome.worsened);
    assert_eq!(outcome.best_step, 200);

    // A rate that makes a trained flow worse.
    config.train.batch_size = 0;
    config.train.learning_rate = 1e-2;
    let (trained, ..) = run(&config, None);
    config.train.batch_size = 1;
    config.train.learning_rate = 10.0;
    let (outcome, before, after) = run(&config, Some(&trained.parameters));
    assert!(outcome.worsened);
    assert!(after <= before, "{before} {after}");
}

/// Keeps a snapshot wherever it may.
#[derive(Default)]
struct Album {
    notes: Notes,
    snapshots: Vec<Snapshot>,
}

impl TrainObserver for Album {
    fn step(&mut self, report: &StepReport) -> Result<()> {
        self.notes.step(report)
    }
    fn retry(&mut self, retry: &Retry) -> Result<()> {
        self.notes.retry(retry)
    }
    fn wants_snapshot(&mut self) -> bool {
        true
    }
    fn snapshot(&mut self, snapshot: Snapshot) -> Result<()> {
        self.snapshots.push(snapshot);
        Ok(())
    }
}

/// From wherever a run is taken up again, it ends as it would have: held-out rows or none, patience, an average, minibatches,
/// and a learning rate that has to be lowered on the way.
#[test]
fn a_run_taken_up_again_ends_as_it_would_have() {
    let data = rows(100, 6, 1).map(|x| x as f32);
    let held_out = rows(100, 6, 2);
    let mut plain = Config::safe(ConditionerName::Mlp);
    plain.train.batch_size = 30;
    let mut averaged = plain.clone();
    averaged.train.average = 0.9;
    let banana = Target::new(TargetName::Banana, None, None, 1).unwrap();
    let banana = banana.training_rows(1000);
    let mut wild = Config::default();
    wild.train.learning_rate = 40.0;
    wild.train.weight_decay = 0.0;
    wild.model.layers = 4;
    let monitor_rows = Settings {
        monitor_rows: Some(held_out.clone()),
        ..settings(120, None)
    };
    let patient = Settings {
        patience: 60,
        ..settings(400, Some(held_out))
    };
    for (what, config, settings, data) in [
        ("held-out rows", &plain, &patient, &data),
        ("an average", &averaged, &patient, &data),
        ("a monitor_rows", &averaged, &monitor_rows, &data),
        ("losses", &plain, &settings(120, None), &data),
        ("retries", &wild, &settings(100, None), &banana),
    ] {
        let mut executor = start(config, data);
        let mut whole = Album::default();
        let expected = train::run(&mut executor, settings, &mut whole).unwrap();
        assert!(whole.snapshots.len() > 5, "{what}");
        assert_eq!(whole.notes.retries.is_empty(), what != "retries", "{what}");
        for snapshot in whole.snapshots.iter().step_by(7) {
            let mut executor = start(config, data);
            let mut notes = Notes::default();
            let outcome = train::resume(&mut executor, settings, snapshot, &mut notes).unwrap();
            let what = format!("{what}, from step {}", snapshot.state.step);
            assert_eq!(outcome.parameters, expected.parameters, "{what}");
            assert_eq!(outcome.steps, expected.steps, "{what}");
            assert_eq!(outcome.best_step, expected.best_step, "{what}");
            assert_eq!(outcome.validation, expected.validation, "{what}");
            assert_eq!(outcome.worsened, expected.worsened, "{what}");
            let last = whole.notes.steps.len() - notes.steps.len();
            assert_eq!(notes.steps, whole.notes.steps[last..], "{what}");
            assert!(whole.notes.retries.ends_with(&notes.retries), "{what}");
        }
    }
}

#[test]
fn a_snapshot_beyond_the_last_step_is_refused() {
    let data = rows(50, 3, 1).map(|x| x as f32);
    let config = Config::default();
    let mut album = Album::default();
    train::run(&mut start(&config, &data), &settings(20, None), &mut album).unwrap();
    let last = album.snapshots.last().unwrap();
    assert!(last.state.step > 5);
    let mut executor = start(&config, &data);
    let refused = train::resume(
        &mut executor,
        &settings(5, None),
        last,
        &mut Notes::default(),
    );
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("beyond the 5 steps"), "{message}");
}
