//! A run on a device that fails at any of its calls.

use couplet::config::Config;
use couplet::executor::{Executor, Recovering};
use couplet::flow::{Plan, initial_parameters};
use couplet::gpu::{GpuExecutor, GpuPath};
use couplet::testing::FaultInjection;
use couplet::train::{self, Outcome, Settings};
use couplet::{Error, Matrix, Result};

use crate::adapter;

/// A short run with held-out rows on a device that may fail, and how often it was opened.
fn run(path: GpuPath) -> (Result<Outcome>, usize) {
    let adapter = adapter();
    let mut config = Config::default();
    config.model.hidden = vec![8];
    config.train.batch_size = 20;
    config.train.average = 0.9;
    let plan = Plan::new(&config.model.spec(3).unwrap()).unwrap();
    let parameters = initial_parameters(&plan.layout, 1);
    let rows = Matrix::from_fn(60, 3, |row, column| {
        (0.7 * (row * (column + 1)) as f32).sin()
    });
    let settings = Settings {
        steps: 8,
        log_every: 4,
        check_every: 3,
        validation: Some(rows.map(f64::from)),
        monitor_rows: None,
        extension: None,
        row_weights: Vec::new(),
        patience: 0,
    };
    let mut opened = 0;
    let mut open = || {
        opened += 1;
        let mut executor = GpuExecutor::new(&adapter, plan.clone(), &parameters)?;
        executor.set_path(path);
        executor.start(&rows, &config.training())?;
        Ok::<_, Error>(Box::new(executor) as Box<dyn Executor>)
    };
    let outcome = open().and_then(|first| {
        let mut executor = Recovering::new(first, |_| Some(open()))?;
        train::run(&mut executor, &settings, &mut ())
    });
    (outcome, opened)
}

/// Whatever befalls the device, and at whatever call: either it cannot be opened, and the run says so, or it ends as if nothing
/// had happened. Every call takes minutes, so that a few are tried. `COUPLET_CALLS=0..200` tries each of these: all at once, and llvmpipe
/// has lost more devices than it has memory maps for.
#[test]
fn a_device_failure_at_any_call_changes_nothing() {
    let requested = std::env::var("COUPLET_CALLS").ok().map(|range| {
        let (first, end) = range.split_once("..").unwrap();
        first.parse::<usize>().unwrap()..end.parse::<usize>().unwrap()
    });
    for path in [GpuPath::Fused, GpuPath::Staged] {
        let (expected, _) = run(path);
        let expected = expected.unwrap();
        for fault in FaultInjection::ALL {
            fault.plan(usize::MAX);
            run(path).0.unwrap();
            let (calls, _) = FaultInjection::outcome();
            let (mut tried, mut recovered) = (0, 0);
            let (range, each) = match &requested {
                None => (0..calls, calls.div_ceil(7)),
                Some(range) => (range.start..range.end.min(calls), 1),
            };
            for call in range.step_by(each) {
                tried += 1;
                fault.plan(call);
                let (outcome, opened) = run(path);
                let (_, happened) = FaultInjection::outcome();
                let what = format!("{path:?}, {fault:?} at call {call} of {calls}");
                assert!(happened, "{what}");
                match outcome {
                    Err(Error::Gpu(_)) => assert_eq!(opened, 1, "{what}"),
                    Err(other) => panic!("{what}: {other}"),
                    Ok(outcome) => {
                        assert_eq!(outcome.parameters, expected.parameters, "{what}");
                        assert_eq!(outcome.validation, expected.validation, "{what}");
                        // At the very end nobody may notice.
                        assert!(opened == 2 || call + 4 > calls, "{what}: {opened}");
                        recovered += opened - 1;
                    }
                }
            }
            println!("{path:?}, {fault:?}: {calls} calls, {tried} tried, {recovered} recovered");
            assert!(recovered > 0 || requested.is_some(), "{path:?} {fault:?}");
        }
    }
}
