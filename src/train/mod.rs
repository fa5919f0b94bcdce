//! Training: the loop over any executor, the reference experiment that it can be watched on, and the comparison of two
//! executors step by step.

mod compare;
mod experiment;

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::executor::Executor;

pub use compare::{Comparison, Finding, Verdict, compare};
pub use experiment::{Experiment, KlEstimate};

/// What is known at a logged step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct StepReport {
    pub step: usize,
    /// The loss on the step's batch before its update, in nats.
    pub nll: f64,
    /// What [`Watch::measure`] knows at this step.
    #[serde(flatten)]
    pub known: Known,
}

/// Measures that need a target with a known truth, or held-out rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Known {
    /// Relative error of the mean of 1,000 samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_error: Option<f64>,
    /// Relative error of the covariance of 1,000 samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cov_error: Option<f64>,
    /// NLL minus the target's entropy, in nats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kl: Option<f64>,
    /// NLL of held-out rows, in nats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_nll: Option<f64>,
}

/// Who watches a training run.
pub trait Watch {
    /// Called before the update of each logged step: what is known of the parameters at that step (`kl` follows from
    /// the loss and [`Watch::entropy`]).
    ///
    /// # Errors
    /// Those of the executor; they end the run.
    fn measure(&mut self, executor: &mut dyn Executor) -> Result<Known> {
        let _ = executor;
        Ok(Known::default())
    }

    /// The entropy of the data, where it is known, in nats: what the NLL would fall to.
    fn entropy(&self) -> Option<f64> {
        None
    }

    /// A logged step. An error (a log that cannot be written) ends the run.
    ///
    /// # Errors
    /// Whatever should end the run.
    fn step(&mut self, report: &StepReport) -> Result<()>;

    /// `done` steps have been taken; `nll` is the loss of the last one.
    fn progress(&mut self, done: usize, nll: f64) {
        let _ = (done, nll);
    }
}

/// Takes `steps` steps on an executor that was started, and reports step 0, each `log_every`-th one, and the state after
/// the last. Returns the time spent in the steps alone.
///
/// # Errors
/// [`Error::Diverged`] names the first step whose loss is not finite; otherwise those of the executor and the watch.
pub fn run(
    executor: &mut dyn Executor,
    steps: usize,
    log_every: usize,
    watch: &mut dyn Watch,
) -> Result<Duration> {
    let mut done = 0;
    let mut in_steps = Duration::ZERO;
    // Steps between two signs of life: about a quarter of a second's worth.
    let mut burst = 1;
    while done < steps {
        let logged = done.is_multiple_of(log_every);
        let known = if logged {
            Some(watch.measure(executor)?)
        } else {
            None
        };
        let until_log = log_every - done % log_every;
        let count = burst.min(until_log).min(steps - done);
        let begin = Instant::now();
        let losses = executor.train(count)?;
        let pace = begin.elapsed().max(Duration::from_micros(1));
        in_steps += pace;
        check_losses(done, &losses)?;
        if let Some(known) = known {
            report(watch, done, losses[0], known)?;
        }
        done += count;
        watch.progress(done, losses[count - 1]);
        let fitting = Duration::from_millis(250).as_secs_f64() / pace.as_secs_f64();
        burst = ((count as f64 * fitting) as usize).clamp(1, 4 * burst);
    }
    let known = watch.measure(executor)?;
    let (nll, _) = executor.loss_and_gradient()?;
    check_losses(steps, &[nll])?;
    report(watch, steps, nll, known)?;
    Ok(in_steps)
}

fn report(watch: &mut dyn Watch, step: usize, nll: f64, known: Known) -> Result<()> {
    let kl = watch.entropy().map(|entropy| nll - entropy);
    let known = Known { kl, ..known };
    watch.step(&StepReport { step, nll, known })
}

/// Refuses losses that are not finite; `first` is the step of the first of them.
fn check_losses(first: usize, losses: &[f64]) -> Result<()> {
    match losses.iter().position(|loss| !loss.is_finite()) {
        None => Ok(()),
        Some(place) => Err(Error::Diverged(format!(
            "the loss at step {} is {}: training diverged; lower learning_rate, set scale_bound (3 is a good start) or \
             standardize = true",
            first + place,
            losses[place]
        ))),
    }
}
