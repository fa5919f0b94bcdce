//! What runs a flow. Two executors stand behind one trait: [`crate::cpu`] (f64, the reference; f32, for machines
//! without a GPU) and [`crate::gpu`]. They never see each other; what they must agree on (the batches and the
//! optimiser's numbers) is worked out here.

mod adamw;
mod batches;
mod schedule;

use std::fmt;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::flow::Plan;
use crate::matrix::Matrix;

pub use adamw::{AdamW, AdamWStep, BETA1, BETA2, EPSILON};
pub use batches::{Batch, Batches};
pub use schedule::Schedule;

/// How training goes, as far as an executor needs to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    /// Rows in each step; 0 takes all of them.
    pub batch_size: usize,
    /// Seeds the order of the rows.
    pub seed: u64,
    pub optimizer: AdamW,
}

/// Where training stands: all that the next step depends on, beside the rows.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingState {
    /// Steps taken.
    pub step: u64,
    pub parameters: Vec<f64>,
    pub first_moment: Vec<f64>,
    pub second_moment: Vec<f64>,
    /// The moving average of the parameters; empty where none is kept.
    pub average: Vec<f64>,
    /// What the schedule's learning rate is multiplied by: 1 until training has to be tamed.
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

/// What came of a number of steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// Each step's loss (nats, mean over the step's batch) before its update. Where there is a fault, the last one is that
    /// of the step that had it.
    pub losses: Vec<f64>,
    /// Why the steps ended early.
    pub fault: Option<Fault>,
}

/// What was not finite in a step. The step does not count as taken. [`Executor::set_state`] goes back to where all was
/// well; until then training goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The loss. The parameters are those that gave it.
    Loss,
    /// The gradient, or the square of its norm. The parameters are those that gave it.
    Gradient,
    /// The parameters that the update made; they are there to be looked at.
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
pub trait Executor {
    /// The device and the number type, for people.
    fn describe(&self) -> String;

    fn plan(&self) -> &Plan;

    /// The current parameters.
    fn parameters(&mut self) -> Result<Vec<f64>>;

    /// Replaces the parameters. The optimiser's moments stay as they are; [`Executor::start`] clears them.
    ///
    /// # Panics
    /// If their number is not that of the layout.
    fn set_parameters(&mut self, parameters: &[f64]) -> Result<()>;

    /// Takes the training rows, clears the optimiser's moments and goes to step 0.
    fn start(&mut self, rows: &Matrix<f32>, training: &Training) -> Result<()>;

    /// Takes `steps` optimiser steps, or fewer where one has a fault.
    ///
    /// # Panics
    /// If training was not started.
    fn train(&mut self, steps: usize) -> Result<Taken>;

    /// The loss on the batch of the step that comes next, and its gradient with respect to every parameter. Changes
    /// nothing.
    ///
    /// # Panics
    /// If training was not started.
    fn loss_and_gradient(&mut self) -> Result<(f64, Vec<f64>)>;

    /// Where training stands. Setting it again, on this executor or on another, continues from there.
    ///
    /// # Panics
    /// If training was not started.
    fn state(&mut self) -> Result<TrainingState>;

    /// Goes to where a training run stood.
    ///
    /// # Panics
    /// If training was not started, or the state is that of another layout.
    fn set_state(&mut self, state: &TrainingState) -> Result<()>;

    /// Data to latent: z, and the log-determinant of each row in nats.
    fn forward(&mut self, x: &Matrix<f64>) -> Result<(Matrix<f64>, Vec<f64>)>;

    /// Latent to data.
    fn inverse(&mut self, z: &Matrix<f64>) -> Result<Matrix<f64>>;

    /// The log-density of each row, in nats.
    fn log_prob(&mut self, x: &Matrix<f64>) -> Result<Vec<f64>>;

    /// Rows `rows` of the endless sample of `seed`. A row's numbers do not depend on which others are asked for.
    fn sample(&mut self, seed: u64, rows: Range<u64>) -> Result<Matrix<f64>>;
}

/// Refuses a table that does not have the flow's width.
pub(crate) fn check_width(plan: &Plan, columns: usize) -> Result<()> {
    if columns == plan.dims() {
        return Ok(());
    }
    Err(Error::Data(format!(
        "the model has {} columns, this table has {columns}",
        plan.dims()
    )))
}
