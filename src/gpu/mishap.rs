use std::cell::Cell;
use std::time::Duration;

use super::device::Gpu;

/// What can befall a device. A test has it happen at the n-th call of its thread that it could happen in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// The device is gone: before any call to it.
    Lost,
    /// A call is refused as not valid: any.
    Invalid,
    /// There is no memory for a buffer.
    OutOfMemory,
    /// A submission does not come back in time.
    Silent,
}

thread_local! {
    static PLANNED: Cell<Option<(Mishap, usize)>> = const { Cell::new(None) };
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static STEADY: Cell<bool> = const { Cell::new(false) };
}

impl Mishap {
    pub const ALL: [Mishap; 4] = [
        Mishap::Lost,
        Mishap::Invalid,
        Mishap::OutOfMemory,
        Mishap::Silent,
    ];

    /// Has this happen once, at call `call` from now, counted from 0, of those that it can happen in.
    pub fn plan(self, call: usize) {
        PLANNED.set(Some((self, call)));
        CALLS.set(0);
        STEADY.set(true);
    }

    /// How long a submission counts to have taken, for a thread that has planned something: then every run makes the same
    /// calls.
    pub fn steady_time() -> Option<Duration> {
        STEADY.get().then_some(Duration::from_millis(1))
    }

    /// How many of those calls there were since, and whether it happened.
    pub fn outcome() -> (usize, bool) {
        (CALLS.get(), PLANNED.take().is_none())
    }

    /// Whether it happens in this call.
    pub fn strikes(self) -> bool {
        match PLANNED.get() {
            Some((mishap, call)) if mishap == self => {
                let now = CALLS.replace(CALLS.get() + 1) == call;
                if now {
                    PLANNED.set(None);
                }
                now
            }
            // It has happened, or something else is to.
            _ => false,
        }
    }

    /// Before a call to the device.
    pub fn before_call(gpu: &Gpu) {
        if Mishap::Lost.strikes() {
            gpu.loss()();
        }
        if Mishap::Invalid.strikes() {
            gpu.refuse();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::error::{Error, Result};
    use crate::executor::{Executor, Recovering};
    use crate::flow::{Plan, initial_parameters};
    use crate::gpu::{GpuExecutor, GpuPath, adapters};
    use crate::matrix::Matrix;
    use crate::train::{self, Outcome, Settings};

    /// A short run with held-out rows on a device that may fail, and how often it was opened.
    fn run(path: GpuPath) -> (Result<Outcome>, usize) {
        let adapter = adapters().into_iter().next();
        let adapter =
            adapter.expect("the kernel tests need a GPU adapter; scripts/test installs one");
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
            yardstick: None,
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
    fn a_mishap_at_any_call_changes_nothing() {
        let wanted = std::env::var("COUPLET_CALLS").ok().map(|range| {
            let (first, end) = range.split_once("..").unwrap();
            first.parse::<usize>().unwrap()..end.parse::<usize>().unwrap()
        });
        for path in [GpuPath::Fused, GpuPath::Staged] {
            let (expected, _) = run(path);
            let expected = expected.unwrap();
            for mishap in Mishap::ALL {
                mishap.plan(usize::MAX);
                run(path).0.unwrap();
                let (calls, _) = Mishap::outcome();
                let (mut tried, mut recovered) = (0, 0);
                let (range, each) = match &wanted {
                    None => (0..calls, calls.div_ceil(7)),
                    Some(range) => (range.start..range.end.min(calls), 1),
                };
                for call in range.step_by(each) {
                    tried += 1;
                    mishap.plan(call);
                    let (outcome, opened) = run(path);
                    let (_, happened) = Mishap::outcome();
                    let what = format!("{path:?}, {mishap:?} at call {call} of {calls}");
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
                println!(
                    "{path:?}, {mishap:?}: {calls} calls, {tried} tried, {recovered} recovered"
                );
                assert!(recovered > 0 || wanted.is_some(), "{path:?} {mishap:?}");
            }
        }
    }
}
