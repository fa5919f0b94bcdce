//! The CPU executor, generic over f32 and f64. In f64 it is the reference that every kernel is checked against, so it
//! reads like the maths; in f32 it is what runs on a machine without a GPU.
//!
//! Rows go through the flow in blocks of [`BLOCK_ROWS`]; blocks are gathered in chunks, each with a gradient of its own. How
//! rows are cut into chunks depends on their number alone and chunks are summed in order, so the results do not
//! depend on the number of threads.

pub(crate) mod activation;
pub(crate) mod adamw;
mod arithmetic;
pub(crate) mod base;
pub(crate) mod basis;
mod block;
mod bounded;
pub(crate) mod columns;
pub(crate) mod coupling;
mod diagnosis;
mod instructions;
pub(crate) mod linear;
mod matrix;
mod passes;
pub mod peak;
pub(crate) mod product;
mod real;
mod session;
mod strided;
mod sums;
mod transform;
pub(crate) mod triangular;
pub(crate) mod vector;
mod workers;

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::error::Result;
use crate::executor::{
    Batch, Batches, Executor, Fault, StepsOutcome, Training, TrainingState, check_batch,
    check_context, check_count, check_training_rows, check_width, nan_to_neg_infinity, not_started,
    sample_count,
};
use crate::flow::Plan;
use crate::matrix::Matrix;

use block::Block;
pub use columns::BLOCK_ROWS;
use columns::Column;
pub use diagnosis::{Cause, Diagnosis, diagnose};
pub(crate) use instructions::dispatch;
pub use instructions::name as instructions;
pub use passes::Number;
pub use real::Real;
use session::{Session, rows_per_chunk};
use sums::Sums;
use workers::Workers;

/// Runs a plan on all cores.
pub struct CpuExecutor<T> {
    plan: Plan,
    parameters: Vec<T>,
    workers: Workers<T>,
    session: Option<Session<T>>,
}

/// What an executor takes of memory, in bytes: for a plan and, where it trains, so many rows in batches of so many.
pub fn memory<T: Real>(plan: &Plan, training: Option<(usize, usize)>) -> u64 {
    let product = |a: usize, b: usize| (a as u64).saturating_mul(b as u64);
    let widths: usize = plan.widths.iter().chain(&plan.gradient_widths).sum();
    let block = (widths * BLOCK_ROWS).saturating_add(Sums::<T>::count(plan));
    let blocks = product(block, rayon::current_num_threads());
    let parameters = plan.layout.len();
    let numbers = match training {
        None => blocks.saturating_add(parameters as u64),
        Some((rows, batch)) => {
            let chunks = batch.div_ceil(rows_per_chunk(batch, parameters));
            // Parameters, gradient, two moments, an average, and each chunk's gradient.
            let of_the_layout = product(parameters, 5 + chunks);
            blocks
                .saturating_add(of_the_layout)
                .saturating_add(product(rows, plan.width()))
        }
    };
    numbers.saturating_mul(size_of::<T>() as u64)
}

impl<T: Number> CpuExecutor<T> {
    /// An executor with the given parameters, flat in the order of the plan's layout.
    ///
    /// # Panics
    /// If their number is not that of the layout.
    pub fn new(plan: Plan, parameters: &[f32]) -> Self {
        assert_eq!(
            parameters.len(),
            plan.layout.len(),
            "parameters of the layout"
        );
        let parameters = parameters.iter().map(|&p| T::of(f64::from(p))).collect();
        CpuExecutor {
            workers: Workers::new(&plan),
            plan,
            parameters,
            session: None,
        }
    }

    /// Runs `pass` on every block of `rows` rows; it writes its rows of a matrix of `columns` columns, each a slice.
    fn map_blocks(
        &self,
        rows: usize,
        columns: usize,
        pass: impl Fn(&mut Block<T>, Range<usize>, &mut [&mut [f64]]) + Sync,
    ) -> Matrix<f64> {
        let mut values = vec![0.0; rows * columns];
        let mut blocks: Vec<Vec<&mut [f64]>> = Vec::new();
        blocks.resize_with(rows.div_ceil(BLOCK_ROWS), || Vec::with_capacity(columns));
        for column in values.chunks_exact_mut(rows.max(1)) {
            for (block, out) in blocks.iter_mut().zip(column.chunks_mut(BLOCK_ROWS)) {
                block.push(out);
            }
        }
        blocks.par_iter_mut().enumerate().for_each(|(index, out)| {
            let rows = index * BLOCK_ROWS..rows.min((index + 1) * BLOCK_ROWS);
            self.workers.with(|block| pass(block, rows, out));
        });
        Matrix::from_values(rows, columns, values)
    }
}

/// Copies columns of a block to where rows of a result lie; lanes beyond the last row are left.
fn unload<T: Real>(columns: &[Column<T>], out: &mut [&mut [f64]]) {
    for (column, out) in columns.iter().zip(out) {
        for (value, out) in column.iter().zip(out.iter_mut()) {
            *out = value.f64();
        }
    }
}

/// Copies rows of a table, its columns from `first` on, into the columns of a block. Lanes beyond the last row repeat it, so that
/// they hold nothing that the flow would not meet anyway; their results are dropped.
fn load<T: Real>(x: &Matrix<f64>, first: usize, rows: Range<usize>, columns: &mut [Column<T>]) {
    for (j, column) in (first..x.columns()).zip(columns) {
        let values = &x.column(j)[rows.clone()];
        for (lane, value) in column.iter_mut().enumerate() {
            *value = T::of(values[lane.min(values.len() - 1)]);
        }
    }
}

fn widen<T: Real>(values: &[T]) -> Vec<f64> {
    values.iter().map(|value| value.f64()).collect()
}

fn narrow<T: Real>(plan: &Plan, values: &[f64]) -> Result<Vec<T>> {
    check_count(plan, values.len())?;
    Ok(values.iter().map(|&value| T::of(value)).collect())
}

/// The training session, which the caller was told to start.
fn started<S>(session: Option<S>) -> Result<S> {
    session.ok_or_else(not_started)
}

impl<T: Number> Executor for CpuExecutor<T> {
    fn describe(&self) -> String {
        let threads = rayon::current_num_threads();
        let plural = if threads == 1 { "" } else { "s" };
        format!("CPU ({}, {threads} thread{plural})", T::NAME)
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn parameters(&mut self) -> Result<Vec<f64>> {
        Ok(widen(&self.parameters))
    }

    fn set_parameters(&mut self, parameters: &[f64]) -> Result<()> {
        self.parameters = narrow(&self.plan, parameters)?;
        Ok(())
    }

    fn start_weighted(
        &mut self,
        rows: Arc<Matrix<f32>>,
        weights: Arc<Vec<f32>>,
        training: &Training,
    ) -> Result<()> {
        check_training_rows(&self.plan, &rows, &weights)?;
        self.session = Some(Session::new(
            &self.parameters,
            rows,
            weights,
            training.clone(),
        ));
        Ok(())
    }

    fn replace_rows(
        &mut self,
        rows: Arc<Matrix<f32>>,
        weights: Arc<Vec<f32>>,
        batches: &Batches,
    ) -> Result<()> {
        check_training_rows(&self.plan, &rows, &weights)?;
        started(self.session.as_mut())?.replace_rows(rows, weights, batches)
    }

    fn train(&mut self, steps: usize) -> Result<StepsOutcome> {
        let session = started(self.session.as_mut())?;
        let mut losses = Vec::with_capacity(steps);
        let mut fault = None;
        while losses.len() < steps && fault.is_none() {
            let batch = session.batch();
            losses.push(T::evaluate(
                session,
                &self.plan,
                &self.workers,
                &self.parameters,
                &batch,
            ));
            fault = match losses.last() {
                Some(loss) if !loss.is_finite() => Some(Fault::Loss),
                _ => T::update(session, &mut self.parameters).err(),
            };
        }
        Ok(StepsOutcome { losses, fault })
    }

    fn loss_and_gradient(&mut self) -> Result<(f64, Vec<f64>)> {
        let batch = started(self.session.as_ref())?.batch();
        self.gradient(&batch)
    }

    fn gradient(&mut self, batch: &Batch) -> Result<(f64, Vec<f64>)> {
        let session = started(self.session.as_mut())?;
        check_batch(&session.batches, batch)?;
        let (plan, parameters) = (&self.plan, &self.parameters);
        let loss = T::evaluate(session, plan, &self.workers, parameters, batch);
        Ok((loss, widen(&session.gradient)))
    }

    fn scaled_gradient(&mut self, batch: &Batch, factor: f64, scaled: &mut [f32]) -> Result<f64> {
        let session = started(self.session.as_mut())?;
        check_batch(&session.batches, batch)?;
        let (plan, parameters) = (&self.plan, &self.parameters);
        let loss = T::evaluate(session, plan, &self.workers, parameters, batch);
        for (scaled, x) in scaled.iter_mut().zip(&session.gradient) {
            *scaled = (factor * x.f64()) as f32;
        }
        Ok(loss)
    }

    fn apply(&mut self, gradient: &[f64]) -> Result<Option<Fault>> {
        let session = started(self.session.as_mut())?;
        check_count(&self.plan, gradient.len())?;
        for (to, &x) in session.gradient.iter_mut().zip(gradient) {
            *to = T::of(x);
        }
        Ok(T::update(session, &mut self.parameters).err())
    }

    fn state(&mut self) -> Result<TrainingState> {
        let session = started(self.session.as_mut())?;
        Ok(TrainingState {
            step: session.step,
            parameters: widen(&self.parameters),
            first_moment: widen(&session.first_moment),
            second_moment: widen(&session.second_moment),
            average: widen(&session.average),
            rate_factor: session.rate_factor,
        })
    }

    fn set_state(&mut self, state: &TrainingState) -> Result<()> {
        let session = started(self.session.as_mut())?;
        let parameters = narrow(&self.plan, &state.parameters)?;
        let first_moment = narrow(&self.plan, &state.first_moment)?;
        let second_moment = narrow(&self.plan, &state.second_moment)?;
        if !session.average.is_empty() {
            session.average = narrow(&self.plan, &state.average)?;
        }
        self.parameters = parameters;
        session.step = state.step;
        session.first_moment = first_moment;
        session.second_moment = second_moment;
        session.rate_factor = state.rate_factor;
        Ok(())
    }

    fn forward(&mut self, x: &Matrix<f64>) -> Result<(Matrix<f64>, Vec<f64>)> {
        check_width(&self.plan, x.columns())?;
        let dims = self.plan.dims();
        let latent = self.plan.latent();
        let out = self.map_blocks(x.rows(), dims + 1, |block, rows, out| {
            load(x, 0, rows, block.state(0));
            T::forward(block, &self.plan, &self.parameters);
            unload(block.state(latent), out);
            unload(&[block.log_det], &mut out[dims..]);
        });
        let mut z = out.into_values();
        let log_det = z.split_off(dims * x.rows());
        Ok((Matrix::from_values(x.rows(), dims, z), log_det))
    }

    fn inverse(&mut self, z: &Matrix<f64>) -> Result<Matrix<f64>> {
        check_width(&self.plan, z.columns())?;
        let (dims, latent) = (self.plan.dims(), self.plan.latent());
        Ok(self.map_blocks(z.rows(), dims, |block, rows, out| {
            load(z, 0, rows.clone(), block.state(latent));
            load(z, dims, rows, &mut block.state(0)[dims..]);
            T::inverse(block, &self.plan, &self.parameters);
            unload(block.state(0), out);
        }))
    }

    fn log_prob(&mut self, x: &Matrix<f64>) -> Result<Vec<f64>> {
        check_width(&self.plan, x.columns())?;
        let out = self.map_blocks(x.rows(), 1, |block, rows, out| {
            load(x, 0, rows, block.state(0));
            T::forward(block, &self.plan, &self.parameters);
            unload(&[block.log_prob], out);
        });
        Ok(nan_to_neg_infinity(out.into_values()))
    }

    fn sample_given(
        &mut self,
        seed: u64,
        rows: Range<u64>,
        context: &Matrix<f64>,
    ) -> Result<Matrix<f64>> {
        let (dims, latent) = (self.plan.dims(), self.plan.latent());
        let count = sample_count(&self.plan, &rows)?;
        check_context(&self.plan, count, context)?;
        Ok(self.map_blocks(count, dims, |block, indices, out| {
            let requested = rows.start + indices.start as u64..rows.start + indices.end as u64;
            base::sample(
                &self.plan.base,
                &self.parameters,
                seed,
                requested,
                block.state(latent),
            );
            load(context, 0, indices, &mut block.state(0)[dims..]);
            T::inverse(block, &self.plan, &self.parameters);
            unload(block.state(0), out);
        }))
    }
}
