//! Training: the loop over any executor, ground truths to compare with, and the comparison of two executors step by step.

pub mod braille;
mod compare;
mod ground_truth;
mod loss_curve;
mod offsets;
mod snapshot;
mod training_loop;

use serde::Serialize;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::executor::{Executor, Fault, TrainingState};
use crate::matrix::Matrix;

pub use compare::{Agreement, Comparison, ComparisonSettings, Finding, compare, sync_interval};
pub use ground_truth::{GroundTruth, KlEstimate};
pub use loss_curve::LossCurve;
pub use offsets::Offsets;
pub(crate) use snapshot::Best;
pub use snapshot::{Progress, Snapshot};
pub use training_loop::{resume, run};

/// The length of a run and how it is evaluated. What a single step does is the executor's
/// [`Training`](crate::executor::Training).
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Steps to take, at most.
    pub steps: usize,
    /// Whether to take those of the last part.
    pub extension: Option<Extension>,
    /// Steps between two reports.
    pub log_every: usize,
    /// Steps between two evaluations, each of which also saves a state to go back to.
    pub check_every: usize,
    /// Rows held out, as the flow sees them; the parameters that score them best are kept.
    pub validation: Option<Matrix<f64>>,
    /// Some of the rows trained on, as the flow sees them, that checks compare steps by where no rows are held out and
    /// each step's loss is that of other rows. Without it steps are compared by their losses.
    pub monitor_rows: Option<Matrix<f64>>,
    /// The weight of each row of `validation`, or else of `monitor_rows`; none where all count the same.
    pub row_weights: Vec<f64>,
    /// Steps without a better validation NLL after which a run ends; 0 continues to the last step.
    pub patience: usize,
}

/// The last part of a run, which is left out unless it pays.
#[derive(Clone, Debug, PartialEq)]
pub struct Extension {
    /// The step that it begins with.
    pub first: usize,
    /// Some of the rows trained on, as the flow sees them, to compare with those held out.
    pub rows: Matrix<f64>,
    /// Their weights; none where all count the same.
    pub row_weights: Vec<f64>,
}

/// The result of a run.
#[derive(Debug)]
pub struct Outcome {
    /// Why it ended.
    pub ending: Ending,
    /// Steps taken.
    pub steps: usize,
    /// The parameters to keep: the best ones where rows were held out, else those of the last step, or of the best check
    /// where the last step is worse than the first or diverged, or of the latest check where the executor failed.
    pub parameters: Vec<f64>,
    /// The step before which they were reached.
    pub best_step: usize,
    /// Validation NLL of the parameters kept and of the last ones, in nats.
    pub validation: Option<(f64, f64)>,
    /// Whether the last check was worse than the first one, and no rows were held out to judge by.
    pub worsened: bool,
    /// The time spent in the steps alone.
    pub in_steps: std::time::Duration,
}

/// What was made of one flow of several that are trained one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainedFlow {
    /// The parameters that were kept.
    pub parameters: Vec<f64>,
    /// Steps taken.
    pub steps: usize,
    /// The step before which the parameters were reached.
    pub best_step: usize,
    /// NLL of the rows that it held out, of the parameters kept and of the last ones, in nats.
    pub validation: Option<(f64, f64)>,
    /// Whether it ended for its validation loss.
    pub out_of_patience: bool,
    /// The time spent in the steps alone.
    pub in_steps: std::time::Duration,
}

/// Why a run ended.
#[derive(Debug)]
pub enum Ending {
    /// All steps were taken.
    Done,
    /// The validation NLL stopped improving.
    Patience,
    /// [`TrainObserver::should_stop`] said so.
    Interrupted,
    /// Numbers that are not finite, whatever the learning rate.
    Diverged(Divergence),
    /// The executor or the observer failed after at least one check.
    Failed(Error),
}

/// A step that could not be taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Divergence {
    /// The step that had it, from 0.
    pub step: u64,
    /// What it was.
    pub fault: Fault,
    /// How often training had gone back and tried again with a lower learning rate.
    pub retries: usize,
    /// The parameters at the fault; see [`Fault`].
    pub parameters: Vec<f64>,
}

/// What is known at a logged step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct StepReport {
    /// The step, from 0.
    pub step: usize,
    /// The loss on the step's batch before its update, in nats.
    pub nll: f64,
    /// What [`TrainObserver::measure`] and the held-out rows say of this step.
    #[serde(flatten)]
    pub metrics: Metrics,
}

impl StepReport {
    /// The line of a log that records it.
    pub fn log_line(&self) -> Value {
        let mut line = json!({ "event": "step" });
        if let (Value::Object(line), Ok(Value::Object(report))) =
            (&mut line, serde_json::to_value(self))
        {
            line.extend(report);
        }
        line
    }
}

/// Measures that need a target with a known truth, or held-out rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Metrics {
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

/// Training went back, to continue with a lower learning rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    /// The step that could not be taken.
    pub step: u64,
    /// What it was.
    pub fault: Fault,
    /// The step that training continues from.
    pub back_to: u64,
    /// What the schedule's learning rate is multiplied by from now on.
    pub rate_factor: f64,
    /// The number of this retry, from 1 on, and of those allowed.
    pub number: usize,
    /// How many are allowed.
    pub max: usize,
}

/// Observes nothing.
impl TrainObserver for () {}

/// Observes a training run, and can stop it.
pub trait TrainObserver {
    /// Called before the update of each logged step, with the state there: what is known of the model at that step beside its
    /// NLL on held-out rows.
    ///
    /// # Errors
    /// Those of the executor; they end the run.
    fn measure(&mut self, executor: &mut dyn Executor, state: &TrainingState) -> Result<Metrics> {
        let _ = (executor, state);
        Ok(Metrics::default())
    }

    /// A logged step. An error (a log that cannot be written) ends the run.
    ///
    /// # Errors
    /// Whatever should end the run.
    fn step(&mut self, report: &StepReport) -> Result<()> {
        let _ = report;
        Ok(())
    }

    /// Training goes back to an earlier step.
    ///
    /// # Errors
    /// Whatever should end the run.
    fn retry(&mut self, retry: &Retry) -> Result<()> {
        let _ = retry;
        Ok(())
    }

    /// `done` steps have been taken; `losses` are those of the latest ones, since it was last called.
    ///
    /// # Errors
    /// Whatever should end the run.
    fn progress(&mut self, done: usize, losses: &[f64]) -> Result<()> {
        let _ = (done, losses);
        Ok(())
    }

    /// Whether a snapshot is due; asked before steps are taken.
    fn wants_snapshot(&mut self) -> bool {
        false
    }

    /// A snapshot that was due, or that of a run which [`TrainObserver::should_stop`] ends.
    ///
    /// # Errors
    /// Whatever should end the run.
    fn snapshot(&mut self, snapshot: Snapshot) -> Result<()> {
        let _ = snapshot;
        Ok(())
    }

    /// Whether to end here, with the best parameters so far; asked before steps are taken.
    fn should_stop(&mut self) -> bool {
        false
    }
}
