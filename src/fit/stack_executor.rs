use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::executor::{Batch, Batches, Executor, Fault, StepsOutcome, Training, TrainingState};
use crate::flow::Plan;
use crate::matrix::Matrix;

use super::Flow;

/// A stack as an executor that scores and samples, for what judges models. It trains nothing: its members were trained.
pub(super) struct StackExecutor<'a> {
    flow: &'a Flow,
    plan: Plan,
}

impl<'a> StackExecutor<'a> {
    /// Of a model of several members.
    ///
    /// # Errors
    /// As [`crate::model::Model::plan`].
    pub fn new(flow: &'a Flow) -> Result<Self> {
        let plan = flow.model().plan()?;
        Ok(StackExecutor { flow, plan })
    }
}

fn is_trained() -> Error {
    Error::spec("a stack of densities is not trained: its members are")
}

impl Executor for StackExecutor<'_> {
    fn describe(&self) -> String {
        self.flow.device()
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn log_prob(&mut self, x: &Matrix<f64>) -> Result<Vec<f64>> {
        self.flow.members().log_prob(self.flow.model(), x)
    }

    fn sample_given(
        &mut self,
        seed: u64,
        rows: Range<u64>,
        context: &Matrix<f64>,
    ) -> Result<Matrix<f64>> {
        let model = self.flow.model();
        self.flow.members().sample(model, seed, rows, context)
    }

    fn forward(&mut self, x: &Matrix<f64>) -> Result<(Matrix<f64>, Vec<f64>)> {
        self.flow.members().forward(self.flow.model(), x)
    }

    fn inverse(&mut self, z: &Matrix<f64>) -> Result<Matrix<f64>> {
        self.flow.members().inverse(self.flow.model(), z)
    }

    fn parameters(&mut self) -> Result<Vec<f64>> {
        Err(is_trained())
    }

    fn set_parameters(&mut self, _: &[f64]) -> Result<()> {
        Err(is_trained())
    }

    fn start_weighted(
        &mut self,
        _: Arc<Matrix<f32>>,
        _: Arc<Vec<f32>>,
        _: &Training,
    ) -> Result<()> {
        Err(is_trained())
    }

    fn replace_rows(&mut self, _: Arc<Matrix<f32>>, _: Arc<Vec<f32>>, _: &Batches) -> Result<()> {
        Err(is_trained())
    }

    fn train(&mut self, _: usize) -> Result<StepsOutcome> {
        Err(is_trained())
    }

    fn loss_and_gradient(&mut self) -> Result<(f64, Vec<f64>)> {
        Err(is_trained())
    }

    fn gradient(&mut self, _: &Batch) -> Result<(f64, Vec<f64>)> {
        Err(is_trained())
    }

    fn apply(&mut self, _: &[f64]) -> Result<Option<Fault>> {
        Err(is_trained())
    }

    fn state(&mut self) -> Result<TrainingState> {
        Err(is_trained())
    }

    fn set_state(&mut self, _: &TrainingState) -> Result<()> {
        Err(is_trained())
    }
}
