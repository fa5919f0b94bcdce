use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::flow::Plan;
use crate::matrix::Matrix;

use super::blocks::Visit;
use super::{
    Batch, Batches, Blocks, Executor, Fault, KernelTime, StepsOutcome, Training, TrainingState,
};

/// Rows as the flow sees them, and their weights; no weights where all count the same.
pub type WeightedRows = (Arc<Matrix<f32>>, Arc<Vec<f32>>);

/// Where the rows of blocks are read from.
pub trait RowBlocks: Send {
    /// The rows of a block.
    ///
    /// # Errors
    /// Those of reading.
    fn load(&mut self, block: usize) -> Result<WeightedRows>;
}

/// An executor that trains on rows that are read block by block.
pub struct Streamed {
    inner: Box<dyn Executor>,
    blocks: Blocks,
    source: Box<dyn RowBlocks>,
    step: u64,
    visit: Option<Visit>,
}

impl Streamed {
    /// Around an executor that was started with the rows of the largest block.
    pub fn new(inner: Box<dyn Executor>, blocks: Blocks, source: Box<dyn RowBlocks>) -> Self {
        Streamed {
            inner,
            blocks,
            source,
            step: 0,
            visit: None,
        }
    }

    /// Has the executor hold the rows of the next step, and returns how many steps it has them for.
    fn make_ready(&mut self) -> Result<u64> {
        if let Some(visit) = &self.visit
            && visit.steps.contains(&self.step)
        {
            return Ok(visit.steps.end - self.step);
        }
        self.visit = None;
        let visit = self.blocks.visit(self.step);
        let (rows, weights) = self.source.load(visit.block)?;
        self.inner.replace_rows(rows, weights, &visit.batches)?;
        let left = visit.steps.end - self.step;
        self.visit = Some(visit);
        Ok(left)
    }
}

impl Executor for Streamed {
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
        _: Arc<Matrix<f32>>,
        _: Arc<Vec<f32>>,
        _: &Training,
    ) -> Result<()> {
        Err(Error::spec("the rows are read block by block"))
    }

    fn replace_rows(&mut self, _: Arc<Matrix<f32>>, _: Arc<Vec<f32>>, _: &Batches) -> Result<()> {
        Err(Error::spec("the rows are read block by block"))
    }

    fn train(&mut self, steps: usize) -> Result<StepsOutcome> {
        let mut all = StepsOutcome {
            losses: Vec::with_capacity(steps),
            fault: None,
        };
        while all.losses.len() < steps && all.fault.is_none() {
            let left = self.make_ready()?;
            let some = left.min((steps - all.losses.len()) as u64) as usize;
            let taken = self.inner.train(some)?;
            self.step += (taken.losses.len() - usize::from(taken.fault.is_some())) as u64;
            all.losses.extend(taken.losses);
            all.fault = taken.fault;
        }
        Ok(all)
    }

    fn timed_step(&mut self) -> Result<Vec<KernelTime>> {
        self.make_ready()?;
        let times = self.inner.timed_step()?;
        self.step = self.inner.state()?.step;
        Ok(times)
    }

    fn loss_and_gradient(&mut self) -> Result<(f64, Vec<f64>)> {
        self.make_ready()?;
        self.inner.loss_and_gradient()
    }

    /// On rows of the block of the next step.
    fn gradient(&mut self, batch: &Batch) -> Result<(f64, Vec<f64>)> {
        self.make_ready()?;
        self.inner.gradient(batch)
    }

    fn apply(&mut self, gradient: &[f64]) -> Result<Option<Fault>> {
        let fault = self.inner.apply(gradient)?;
        self.step += u64::from(fault.is_none());
        Ok(fault)
    }

    fn state(&mut self) -> Result<TrainingState> {
        self.inner.state()
    }

    fn set_state(&mut self, state: &TrainingState) -> Result<()> {
        self.inner.set_state(state)?;
        self.step = state.step;
        Ok(())
    }

    fn forward(&mut self, x: &Matrix<f64>) -> Result<(Matrix<f64>, Vec<f64>)> {
        self.inner.forward(x)
    }

    fn inverse(&mut self, z: &Matrix<f64>) -> Result<Matrix<f64>> {
        self.inner.inverse(z)
    }

    fn log_prob(&mut self, x: &Matrix<f64>) -> Result<Vec<f64>> {
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
