use std::time::Duration;

use crate::executor::TrainingState;

/// The state of the training loop: with the executor's state, the settings and the rows, all that its next steps and its result
/// depend on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// The state at the latest check; its own step is still to come.
    pub(crate) checked: Option<TrainingState>,
    /// The latest state whose own step was taken: where to go back to.
    pub(crate) good: Option<TrainingState>,
    pub(crate) best: Option<Best>,
    /// NLL at the first check and at the last one: of the held-out rows, of the monitor rows, or the loss.
    pub(crate) first: Option<f64>,
    pub(crate) last: Option<f64>,
    /// NLL of the held-out rows and of rows trained on, late in the first part of a run that may have another.
    pub(crate) late: Option<(f64, f64)>,
    pub(crate) retries: usize,
    pub(crate) in_steps: Duration,
}

/// A run between two steps. From here it continues as if nothing had happened: on the same device with the same bits.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Of the executor.
    pub state: TrainingState,
    /// Of the loop around it.
    pub progress: Progress,
    /// What took its latest steps. On another device a run continues, but not bit for bit.
    pub device: String,
}

/// The best parameters of all checks, by validation NLL, or by the loss where no rows are held out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Best {
    pub step: usize,
    pub nll: f64,
    pub parameters: Vec<f64>,
}
