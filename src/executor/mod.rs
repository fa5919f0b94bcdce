//! The trait [`Executor`], which runs a plan, and what its implementations ([`crate::cpu`] and [`crate::gpu`]) share: batches, and the numbers of the optimizer. The implementations do not depend on each other.

mod adamw;
mod batches;
mod blocks;
mod distributed;
mod recovering;
mod schedule;
mod streamed;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::flow::Plan;
use crate::matrix::Matrix;
use crate::memory;

pub use adamw::{AdamW, AdamWStep, BETA1, BETA2, EPSILON};
pub use batches::{Batch, Batches};
pub use blocks::{Blocks, Visit};
pub use distributed::{Distributed, Share, Stop};
pub use recovering::{DeviceFailure, Recovering};
pub use schedule::Schedule;
pub use streamed::{RowBlocks, Streamed, WeightedRows};

/// How training goes, as far as an executor needs to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    /// Rows in each step; 0 takes all of them.
    pub batch_size: usize,
    /// Seeds the order of the rows.
    pub seed: u64,
    /// The optimizer and its schedule.
    pub optimizer: AdamW,
}

/// The state of training: all that the next step depends on, except the rows.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingState {
    /// Steps taken.
    pub step: u64,
    /// As the optimizer has them, layer by layer.
    pub parameters: Vec<f64>,
    /// The moving average of the gradients, as long.
    pub first_moment: Vec<f64>,
    /// The moving average of their squares, as long.
    pub second_moment: Vec<f64>,
    /// The moving average of the parameters; empty where none is kept.
    pub average: Vec<f64>,
    /// What the schedule's learning rate is multiplied by: 1 until a retry lowers it.
    pub rate_factor: f64,
}

impl TrainingState {
    /// The parameters to use: their average where one is kept (after the first step), else as they are.
    pub fn result(&self) -> &[f64] {
        if self.average.is_empty() || self.step == 0 {
            &self.parameters
        } else {
            &self.average
        }
    }
}

/// The result of a number of steps.
#[derive(Clone, Debug, PartialEq)]
pub struct StepsOutcome {
    /// Each step's loss (nats, mean over the step's batch) before its update. Where there is a fault, the last one is that
    /// of the step that had it.
    pub losses: Vec<f64>,
    /// Why the steps ended early.
    pub fault: Option<Fault>,
}

/// The time of a kernel in a step.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelTime {
    /// The kernel's name, that of its file.
    pub kernel: &'static str,
    /// How often it ran.
    pub dispatches: usize,
    /// By the device's own clock, all dispatches together.
    pub seconds: f64,
    /// What they were given to read and to write, each buffer of a dispatch once.
    pub bytes: f64,
}

/// What was not finite in a step. The step does not count as taken. [`Executor::set_state`] goes back to where all was
/// well; until then training goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The loss. The parameters are those that gave it.
    Loss,
    /// The gradient, or the square of its norm. The parameters are those that gave it.
    Gradient,
    /// The parameters that the update made; they can be inspected.
    Parameters,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Loss => "the loss is not finite",
            Fault::Gradient => "the gradient, or its square, is not finite",
            Fault::Parameters => "the update makes parameters that are not finite",
        })
    }
}

/// Runs a [`Plan`]: scores, samples and trains.
///
/// Parameters and gradients are flat, in the order of the plan's layout. Whatever the executor computes in, what comes
/// out is f64, and training rows are f32, so that every executor trains on the same numbers.
pub trait Executor: Send {
    /// The device and the number type, for people.
    fn describe(&self) -> String;

    /// The plan that it runs.
    fn plan(&self) -> &Plan;

    /// The current parameters.
    fn parameters(&mut self) -> Result<Vec<f64>>;

    /// Replaces the parameters. The optimizer's moments stay as they are; [`Executor::start`] clears them.
    ///
    /// # Errors
    /// [`Error::Spec`] if their number is not that of the layout.
    fn set_parameters(&mut self, parameters: &[f64]) -> Result<()>;

    /// Takes the training rows, clears the optimizer's moments and goes to step 0.
    ///
    /// # Errors
    /// [`Error::Data`] if there are no rows, more than 2^32 - 1, or rows of another width.
    fn start(&mut self, rows: &Matrix<f32>, training: &Training) -> Result<()> {
        self.start_weighted(Arc::new(rows.clone()), Arc::default(), training)
    }

    /// As [`Executor::start`], for rows with weights: the loss of a batch is the mean of -w log_prob over its rows. Weights whose
    /// mean over all rows is 1 leave the size of the loss as it is. None is a weight of 1 for each row.
    ///
    /// # Errors
    /// As [`Executor::start`]; [`Error::Data`] for another number of weights, or one that is not a number above 0.
    fn start_weighted(
        &mut self,
        rows: Arc<Matrix<f32>>,
        weights: Arc<Vec<f32>>,
        training: &Training,
    ) -> Result<()>;

    /// Goes on with other rows, no more of them than training was started with, and with weights if that was; `batches` says which of
    /// them each step takes. All else stays as it is.
    ///
    /// # Errors
    /// As [`Executor::start_weighted`]; [`Error::Spec`] if training was not started, or with fewer rows or smaller batches.
    fn replace_rows(
        &mut self,
        rows: Arc<Matrix<f32>>,
        weights: Arc<Vec<f32>>,
        batches: &Batches,
    ) -> Result<()>;

    /// Takes `steps` optimizer steps, or fewer where one has a fault.
    ///
    /// # Errors
    /// [`Error::Spec`] if training was not started.
    fn train(&mut self, steps: usize) -> Result<StepsOutcome>;

    /// The loss on the batch of the step that comes next, and its gradient with respect to every parameter. Changes
    /// nothing.
    ///
    /// # Errors
    /// [`Error::Spec`] if training was not started.
    fn loss_and_gradient(&mut self) -> Result<(f64, Vec<f64>)>;

    /// The loss on a batch of the training rows, the mean over its rows, and its gradient with respect to every parameter.
    /// Changes nothing that the next step depends on.
    ///
    /// # Errors
    /// [`Error::Spec`] if training was not started, or the batch has no rows, or more than those of training.
    fn gradient(&mut self, batch: &Batch) -> Result<(f64, Vec<f64>)>;

    /// As [`Executor::gradient`], with the gradient times `factor` put into `scaled` in single precision.
    ///
    /// # Errors
    /// As [`Executor::gradient`].
    fn scaled_gradient(&mut self, batch: &Batch, factor: f64, scaled: &mut [f32]) -> Result<f64> {
        let (loss, gradient) = self.gradient(batch)?;
        for (scaled, x) in scaled.iter_mut().zip(&gradient) {
            *scaled = (factor * x) as f32;
        }
        Ok(loss)
    }

    /// Takes the next step with this gradient instead of its own: clipping, the optimizer's update, the moving average.
    /// With [`Executor::gradient`] it makes a step whose gradient is put together from several machines.
    ///
    /// # Errors
    /// [`Error::Spec`] if training was not started, or the gradient is of another layout.
    fn apply(&mut self, gradient: &[f64]) -> Result<Option<Fault>>;

    /// The state of training. Setting it, on this executor or on another, continues from there.
    ///
    /// # Errors
    /// [`Error::Spec`] if training was not started.
    fn state(&mut self) -> Result<TrainingState>;

    /// Goes to where a training run stood.
    ///
    /// # Errors
    /// [`Error::Spec`] if training was not started, or the state is that of another layout.
    fn set_state(&mut self, state: &TrainingState) -> Result<()>;

    /// Data to latent: z, and the log-determinant of each row in nats. A row of `x` is the modelled columns, then the context.
    fn forward(&mut self, x: &Matrix<f64>) -> Result<(Matrix<f64>, Vec<f64>)>;

    /// Latent to data: the modelled columns. A row of `z` is the latent, then the context.
    fn inverse(&mut self, z: &Matrix<f64>) -> Result<Matrix<f64>>;

    /// The log-density of each row's modelled columns given its context, which follows them, in nats. Never NaN: where the executor's numbers cannot hold a row, or what the flow
    /// makes of it, the density there is 0 in them, and its logarithm minus infinity.
    fn log_prob(&mut self, x: &Matrix<f64>) -> Result<Vec<f64>>;

    /// Takes a step, and returns the time of each kernel in it; nothing where the device has no timestamps. As
    /// [`Executor::train`] otherwise.
    ///
    /// # Errors
    /// [`Error::Spec`] if training was not started.
    fn timed_step(&mut self) -> Result<Vec<KernelTime>> {
        self.train(1)?;
        Ok(Vec::new())
    }

    /// Rows `rows` of the endless sample of `seed`, each given the same row of `context`. A row's numbers do not depend on which
    /// others are asked for.
    ///
    /// # Errors
    /// [`Error::Spec`] for a range that ends before it begins, or that memory cannot hold; [`Error::Data`] for another number of
    /// rows or columns of context.
    fn sample_given(
        &mut self,
        seed: u64,
        rows: Range<u64>,
        context: &Matrix<f64>,
    ) -> Result<Matrix<f64>>;

    /// As [`Executor::sample_given`], of a flow without context.
    ///
    /// # Errors
    /// As [`Executor::sample_given`].
    fn sample(&mut self, seed: u64, rows: Range<u64>) -> Result<Matrix<f64>> {
        let count = sample_count(self.plan(), &rows)?;
        self.sample_given(seed, rows, &Matrix::zeros(count, 0))
    }
}

/// Refuses rows that nothing can be trained on.
pub(crate) fn check_training_rows(plan: &Plan, rows: &Matrix<f32>, weights: &[f32]) -> Result<()> {
    check_width(plan, rows.columns())?;
    if !weights.is_empty() && weights.len() != rows.rows() {
        return Err(Error::data(format!(
            "{} weights for {} rows",
            weights.len(),
            rows.rows()
        )));
    }
    let is_weight = |w: &f32| w.is_finite() && *w > 0.0;
    if let Some(row) = weights.iter().position(|w| !is_weight(w)) {
        return Err(Error::data(format!(
            "row {}: a weight of {}, where a number above 0 is needed",
            row + 1,
            weights[row]
        )));
    }
    match rows.rows() {
        0 => Err(Error::data("there are no rows to train on")),
        many if u32::try_from(many).is_err() => Err(Error::data(format!(
            "{many} rows are more than the {} that can be trained on",
            u32::MAX
        ))),
        _ => Ok(()),
    }
}

/// Refuses rows that an executor has no room for which was started with so many, in such batches.
pub(crate) fn check_replacement(
    (room, batch_size): (usize, usize),
    rows: &Matrix<f32>,
    batches: &Batches,
) -> Result<()> {
    let (count, size) = (rows.rows(), batches.size());
    if count <= room && size <= batch_size && batches.rows() == count {
        return Ok(());
    }
    Err(Error::spec(format!(
        "{count} rows in batches of {size}, where training was started with {room} in batches of {batch_size}"
    )))
}

/// Refuses a batch that an executor which was started for such batches has no room for.
pub(crate) fn check_batch(batches: &Batches, batch: &Batch) -> Result<()> {
    match batch.rows as usize {
        rows if (1..=batches.size()).contains(&rows) => Ok(()),
        rows => Err(Error::spec(format!(
            "a batch of {rows} rows, where training was started with batches of {}",
            batches.size()
        ))),
    }
}

/// Refuses parameters or moments that are not the layout's.
pub(crate) fn check_count(plan: &Plan, count: usize) -> Result<()> {
    if count == plan.layout.len() {
        return Ok(());
    }
    Err(Error::spec(format!(
        "{count} numbers for a layout of {}",
        plan.layout.len()
    )))
}

/// The number of rows to sample.
pub(crate) fn sample_count(plan: &Plan, rows: &Range<u64>) -> Result<usize> {
    let Some(count) = rows.end.checked_sub(rows.start) else {
        return Err(Error::spec(format!(
            "rows {} to {} of a sample: the range ends before it begins",
            rows.start, rows.end
        )));
    };
    // Small requests are not checked.
    const LITTLE: u64 = 1 << 28;
    let bytes = count.saturating_mul(8 * plan.width() as u64);
    if bytes > LITTLE
        && let Some(shortfall) = memory::shortfall(bytes)
    {
        return Err(Error::spec(format!(
            "a sample of {count} rows {shortfall}; draw fewer at a time"
        )));
    }
    Ok(count as usize)
}

/// The error of a training call before [`Executor::start`].
pub(crate) fn not_started() -> Error {
    Error::spec("training was not started: call Executor::start first")
}

/// Log-densities as [`Executor::log_prob`] promises them.
pub(crate) fn nan_to_neg_infinity(mut log_prob: Vec<f64>) -> Vec<f64> {
    for value in &mut log_prob {
        if !value.is_finite() {
            *value = f64::NEG_INFINITY;
        }
    }
    log_prob
}

/// Refuses a table that does not have the flow's columns, modelled ones and context.
pub(crate) fn check_width(plan: &Plan, columns: usize) -> Result<()> {
    if columns == plan.width() {
        return Ok(());
    }
    Err(Error::data(format!(
        "the model has {} columns, this table has {columns}",
        plan.width()
    )))
}

/// Refuses context that does not fit `count` rows to sample.
pub(crate) fn check_context(plan: &Plan, count: usize, context: &Matrix<f64>) -> Result<()> {
    let (rows, columns) = (context.rows(), context.columns());
    if columns != plan.spec.context {
        return Err(Error::data(format!(
            "the model is given {} columns of context, and here are {columns}",
            plan.spec.context
        )));
    }
    if columns > 0 && rows != count {
        return Err(Error::data(format!(
            "{rows} rows of context for a sample of {count} rows"
        )));
    }
    Ok(())
}
