//! An executor with a fault of the test's choosing.
#![allow(dead_code)]

use std::ops::Range;
use std::sync::Arc;

use couplet::executor::{self, Batch, Batches, Executor, StepsOutcome, Training, TrainingState};
use couplet::flow::Plan;
use couplet::{Matrix, Result};

/// Where a fault may strike; without one the call passes through.
pub trait Fault: Send {
    /// Before steps are taken.
    fn train(&mut self, _steps: usize) -> Result<()> {
        Ok(())
    }

    /// Before rows are scored.
    fn log_prob(&mut self) -> Result<()> {
        Ok(())
    }

    /// On the gradient that was computed.
    fn gradient(&mut self, _gradient: &mut [f64]) {}
}

pub struct Faulty<F> {
    pub inner: Box<dyn Executor>,
    pub fault: F,
}

impl<F: Fault> Executor for Faulty<F> {
    fn describe(&self) -> String {
        self.inner.describe()
    }
    fn plan(&self) -> &Plan {
        self.inner.plan()
    }
    fn parameters(&mut self) -> Result<Vec<f64>> {
        self.inner.parameters()
    }
    fn set_parameters(&mut self, parameters: &[f64]) -> Result<()> {
        self.inner.set_parameters(parameters)
    }
    fn start_weighted(
        &mut self,
        rows: Arc<Matrix<f32>>,
        weights: Arc<Vec<f32>>,
        training: &Training,
    ) -> Result<()> {
        self.inner.start_weighted(rows, weights, training)
    }
    fn replace_rows(
        &mut self,
        rows: Arc<Matrix<f32>>,
        weights: Arc<Vec<f32>>,
        batches: &Batches,
    ) -> Result<()> {
        self.inner.replace_rows(rows, weights, batches)
    }
    fn train(&mut self, steps: usize) -> Result<StepsOutcome> {
        self.fault.train(steps)?;
        self.inner.train(steps)
    }
    fn loss_and_gradient(&mut self) -> Result<(f64, Vec<f64>)> {
        let (loss, mut gradient) = self.inner.loss_and_gradient()?;
        self.fault.gradient(&mut gradient);
        Ok((loss, gradient))
    }
    fn gradient(&mut self, batch: &Batch) -> Result<(f64, Vec<f64>)> {
        self.inner.gradient(batch)
    }
    fn apply(&mut self, gradient: &[f64]) -> Result<Option<executor::Fault>> {
        self.inner.apply(gradient)
    }
    fn state(&mut self) -> Result<TrainingState> {
        self.inner.state()
    }
    fn set_state(&mut self, state: &TrainingState) -> Result<()> {
        self.inner.set_state(state)
    }
    fn forward(&mut self, x: &Matrix<f64>) -> Result<(Matrix<f64>, Vec<f64>)> {
        self.inner.forward(x)
    }
    fn inverse(&mut self, z: &Matrix<f64>) -> Result<Matrix<f64>> {
        self.inner.inverse(z)
    }
    fn log_prob(&mut self, x: &Matrix<f64>) -> Result<Vec<f64>> {
        self.fault.log_prob()?;
        self.inner.log_prob(x)
    }
    fn sample_given(
        &mut self,
        seed: u64,
        rows: Range<u64>,
        context: &Matrix<f64>,
    ) -> Result<Matrix<f64>> {
        self.inner.sample_given(seed, rows, context)
    }
}
