use std::ops::Range;
use std::sync::Arc;
use web_time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::flow::Plan;
use crate::matrix::Matrix;

use super::{
    Batch, Batches, Executor, Fault, KernelTime, StepsOutcome, Training, TrainingState,
    WeightedRows,
};

/// How old the state on the host may become while steps are taken.
const SYNC_INTERVAL: Duration = Duration::from_secs(60);

/// A device that failed under an executor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceFailure {
    /// Why it failed, and once that is decided, what is done about it.
    pub message: String,
    /// The number of failures, this one included, since training last got ahead, or a call went well where nothing is
    /// trained.
    pub number: usize,
    /// The step training was at, and the one of the state that it will be taken up from.
    pub steps: Option<(u64, u64)>,
}

type Reopen<'a> = dyn FnMut(&DeviceFailure) -> Option<Result<Box<dyn Executor>>> + Send + 'a;

/// An executor that outlives its device. Where that fails ([`Error::Gpu`]), another is opened and taken to where the first
/// one was, from the latest state that the host has, which is never older than a minute; then the call is repeated. On the same
/// device the numbers are the same, to the bit.
///
/// Steps after a failure are asked for in smaller parts, until there is a newer state.
pub struct Recovering<'a> {
    executor: Option<Box<dyn Executor>>,
    reopen: Box<Reopen<'a>>,
    plan: Plan,
    /// Failures since there was a newer state.
    failures: usize,
    position: Position,
    /// The rows that training goes on with.
    replaced: Option<(WeightedRows, Batches)>,
}

/// What is known of the state of an executor.
enum Position {
    /// Nothing is trained: only the parameters, if they were replaced.
    Idle(Option<Vec<f64>>),
    /// The latest state on the host, and how old it is.
    Training {
        kept: TrainingState,
        since: Instant,
        /// Steps taken in all.
        step: u64,
        /// Whether the next step was tried, and had a fault.
        stuck: bool,
    },
    /// It was started with rows that were not kept: it cannot be opened again.
    Unknown,
}

impl<'a> Recovering<'a> {
    /// Wraps an executor, which may have been started. `reopen` opens another one, with the same plan, and
    /// started with the same rows if this one was; or gives up.
    ///
    /// # Errors
    /// Those of [`Executor::state`], except that training was not started.
    pub fn new(
        mut executor: Box<dyn Executor>,
        reopen: impl FnMut(&DeviceFailure) -> Option<Result<Box<dyn Executor>>> + Send + 'a,
    ) -> Result<Self> {
        let position = match executor.state() {
            Ok(kept) => Position::training(kept),
            Err(Error::Spec(_)) => Position::Idle(None),
            Err(error) => return Err(error),
        };
        Ok(Recovering {
            plan: executor.plan().clone(),
            executor: Some(executor),
            reopen: Box::new(reopen),
            failures: 0,
            position,
            replaced: None,
        })
    }

    /// Makes a call until it goes well, or its device is given up.
    fn call<T>(&mut self, mut call: impl FnMut(&mut dyn Executor) -> Result<T>) -> Result<T> {
        loop {
            match call(self.executor()?) {
                Err(error @ Error::Gpu(_)) => self.recover(error)?,
                Ok(value) => {
                    if matches!(self.position, Position::Idle(_)) {
                        self.failures = 0;
                    }
                    return Ok(value);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn executor(&mut self) -> Result<&mut dyn Executor> {
        match &mut self.executor {
            Some(executor) => Ok(executor.as_mut()),
            None => Err(Error::gpu("the device had failed, and was given up")),
        }
    }

    /// Opens an executor that is where the failed one was.
    fn recover(&mut self, mut error: Error) -> Result<()> {
        // Two at a time might not fit the device.
        self.executor = None;
        loop {
            self.failures += 1;
            let steps = match &self.position {
                Position::Training { kept, step, .. } => Some((*step, kept.step)),
                Position::Idle(_) => None,
                Position::Unknown => return Err(error),
            };
            let failure = DeviceFailure {
                message: error.text(),
                number: self.failures,
                steps,
            };
            let Some(opened) = (self.reopen)(&failure) else {
                return Err(match (self.failures, error) {
                    (many @ 2.., Error::Gpu(message)) => {
                        Error::Gpu(message.followed_by(format_args!(" (failure {many} in a row)")))
                    }
                    (_, error) => error,
                });
            };
            let failures = self.failures;
            let before = self.position.kept();
            let ready = opened.and_then(|mut executor| {
                if let Some(((rows, weights), batches)) = &self.replaced {
                    executor.replace_rows(rows.clone(), weights.clone(), batches)?;
                }
                self.position.reach(executor.as_mut(), failures)?;
                Ok(executor)
            });
            if self.position.kept() > before {
                self.failures = 0;
            }
            match ready {
                Ok(executor) => {
                    self.executor = Some(executor);
                    return Ok(());
                }
                Err(again @ (Error::Gpu(_) | Error::GpuLimit(_) | Error::NoGpu(_))) => {
                    error = again;
                }
                Err(other) => return Err(other),
            }
        }
    }

    /// Takes the state to the host.
    fn keep(&mut self) -> Result<TrainingState> {
        let state = self.call(|executor| executor.state())?;
        if let Position::Training {
            kept, since, step, ..
        } = &mut self.position
        {
            if state.step > kept.step {
                self.failures = 0;
            }
            *step = state.step;
            *since = Instant::now();
            kept.clone_from(&state);
        }
        Ok(state)
    }

    /// How many of `steps` to take in one call, and whether to save the state before.
    fn portion(&self, steps: usize) -> (usize, bool) {
        let Position::Training {
            kept, since, step, ..
        } = &self.position
        else {
            return (steps, false);
        };
        let is_due = since.elapsed() >= SYNC_INTERVAL || self.failures > 0;
        (part(steps, self.failures), is_due && *step > kept.step)
    }
}

/// How many of `steps` to take in one call after this number of failures.
fn part(steps: usize, failures: usize) -> usize {
    let shift = (2 * failures as u32).min(usize::BITS - 1);
    (steps >> shift).max(1)
}

impl Position {
    fn training(kept: TrainingState) -> Self {
        Position::Training {
            step: kept.step,
            since: Instant::now(),
            stuck: false,
            kept,
        }
    }

    /// The step of the latest state on the host.
    fn kept(&self) -> Option<u64> {
        match self {
            Position::Training { kept, .. } => Some(kept.step),
            Position::Idle(_) | Position::Unknown => None,
        }
    }

    /// Brings a newly opened executor to this state, after this number of failures.
    fn reach(&mut self, executor: &mut dyn Executor, failures: usize) -> Result<()> {
        match self {
            Position::Idle(None) | Position::Unknown => Ok(()),
            Position::Idle(Some(parameters)) => executor.set_parameters(parameters),
            Position::Training {
                kept,
                since,
                step,
                stuck,
            } => {
                executor.set_state(kept)?;
                while kept.step < *step {
                    let ahead = (*step - kept.step) as usize;
                    let taken = executor.train(part(ahead, failures - 1))?;
                    *kept = executor.state()?;
                    *since = Instant::now();
                    if taken.fault.is_some() {
                        // The fault did not occur with another device's rounding.
                        *step = kept.step;
                        *stuck = true;
                        return Ok(());
                    }
                }
                if *stuck {
                    executor.train(1)?;
                }
                Ok(())
            }
        }
    }
}

impl Executor for Recovering<'_> {
    fn describe(&self) -> String {
        match &self.executor {
            Some(executor) => executor.describe(),
            None => "a device that failed".into(),
        }
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn parameters(&mut self) -> Result<Vec<f64>> {
        self.call(|executor| executor.parameters())
    }

    fn set_parameters(&mut self, parameters: &[f64]) -> Result<()> {
        // Steps before this are not to be taken again from here.
        if let Position::Training { kept, step, .. } = &self.position
            && *step > kept.step
        {
            self.keep()?;
        }
        self.call(|executor| executor.set_parameters(parameters))?;
        match &mut self.position {
            Position::Idle(replaced) => *replaced = Some(parameters.to_vec()),
            Position::Training { kept, stuck, .. } => {
                kept.parameters = parameters.to_vec();
                *stuck = false;
            }
            Position::Unknown => {}
        }
        Ok(())
    }

    /// Rows that are passed here, rather than by `reopen`, are not kept: a device that fails afterwards is not recovered.
    fn start_weighted(
        &mut self,
        rows: Arc<Matrix<f32>>,
        weights: Arc<Vec<f32>>,
        training: &Training,
    ) -> Result<()> {
        self.position = Position::Unknown;
        self.replaced = None;
        self.executor()?.start_weighted(rows, weights, training)
    }

    fn replace_rows(
        &mut self,
        rows: Arc<Matrix<f32>>,
        weights: Arc<Vec<f32>>,
        batches: &Batches,
    ) -> Result<()> {
        // Steps before this are not to be taken again on these rows.
        self.keep()?;
        let batches = batches.clone();
        self.replaced = Some(((rows.clone(), weights.clone()), batches.clone()));
        self.call(|executor| executor.replace_rows(rows.clone(), weights.clone(), &batches))
    }

    fn train(&mut self, steps: usize) -> Result<StepsOutcome> {
        let mut all = StepsOutcome {
            losses: Vec::with_capacity(steps),
            fault: None,
        };
        while all.losses.len() < steps && all.fault.is_none() {
            if self.portion(steps).1 {
                self.keep()?;
            }
            let (some, _) = self.portion(steps - all.losses.len());
            match self.executor()?.train(some) {
                Err(error @ Error::Gpu(_)) => self.recover(error)?,
                Err(error) => return Err(error),
                Ok(taken) => {
                    if let Position::Training { step, stuck, .. } = &mut self.position {
                        *stuck = taken.fault.is_some();
                        *step += (taken.losses.len() - usize::from(*stuck)) as u64;
                    }
                    all.losses.extend(taken.losses);
                    all.fault = taken.fault;
                }
            }
        }
        Ok(all)
    }

    fn loss_and_gradient(&mut self) -> Result<(f64, Vec<f64>)> {
        self.call(|executor| executor.loss_and_gradient())
    }

    fn gradient(&mut self, batch: &Batch) -> Result<(f64, Vec<f64>)> {
        self.call(|executor| executor.gradient(batch))
    }

    /// The state comes to the host after each step: nothing else could take it again.
    fn apply(&mut self, gradient: &[f64]) -> Result<Option<Fault>> {
        if let Position::Training { kept, step, .. } = &self.position
            && *step > kept.step
        {
            self.keep()?;
        }
        let fault = self.call(|executor| executor.apply(gradient))?;
        match (&mut self.position, fault) {
            (Position::Training { stuck, .. }, Some(_)) => *stuck = true,
            _ => drop(self.keep()?),
        }
        Ok(fault)
    }

    fn state(&mut self) -> Result<TrainingState> {
        self.keep()
    }

    fn set_state(&mut self, state: &TrainingState) -> Result<()> {
        self.call(|executor| executor.set_state(state))?;
        if let Position::Training { .. } = self.position {
            self.position = Position::training(state.clone());
        }
        Ok(())
    }

    fn forward(&mut self, x: &Matrix<f64>) -> Result<(Matrix<f64>, Vec<f64>)> {
        self.call(|executor| executor.forward(x))
    }

    fn inverse(&mut self, z: &Matrix<f64>) -> Result<Matrix<f64>> {
        self.call(|executor| executor.inverse(z))
    }

    fn log_prob(&mut self, x: &Matrix<f64>) -> Result<Vec<f64>> {
        self.call(|executor| executor.log_prob(x))
    }

    fn timed_step(&mut self) -> Result<Vec<KernelTime>> {
        let times = self.call(|executor| executor.timed_step())?;
        self.keep()?;
        Ok(times)
    }

    fn sample_given(
        &mut self,
        seed: u64,
        rows: Range<u64>,
        context: &Matrix<f64>,
    ) -> Result<Matrix<f64>> {
        self.call(|executor| executor.sample_given(seed, rows.clone(), context))
    }
}
