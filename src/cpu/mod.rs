//! The CPU executor, generic over f32 and f64. In f64 it is the reference that every kernel is checked against, so it
//! reads like the maths; in f32 it is what runs on a machine without a GPU.
//!
//! Rows go through the flow in blocks of [`LANES`]; blocks are gathered in chunks, each with a gradient of its own. How
//! rows are cut into chunks depends on their number alone and chunks are summed in order, so the results do not
//! depend on the number of threads.

pub(crate) mod activation;
pub(crate) mod adamw;
mod arithmetic;
pub(crate) mod base;
pub(crate) mod basis;
mod block;
mod bounded;
pub mod ceiling;
pub(crate) mod coupling;
mod diagnosis;
mod instructions;
pub(crate) mod lanes;
pub(crate) mod linear;
mod matrix;
pub(crate) mod product;
mod real;
mod strided;
mod sums;
mod transform;
pub(crate) mod triangular;
pub(crate) mod vector;

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::error::Result;
use crate::executor::{
    Batch, Batches, Executor, Fault, Taken, Training, TrainingState, check_count,
    check_training_rows, check_width, never_nan, not_started, sample_count,
};
use crate::flow::Plan;
use crate::matrix::Matrix;

use block::Block;
pub use diagnosis::{Cause, Diagnosis, diagnose};
pub use instructions::name as instructions;
use lanes::Column;
pub use lanes::LANES;
pub use real::Real;
use sums::Sums;

/// Runs a plan on all cores.
pub struct CpuExecutor<T> {
    plan: Plan,
    parameters: Vec<T>,
    workers: Workers<T>,
    session: Option<Session<T>>,
}

/// A block for each thread, made once.
struct Workers<T>(Vec<Mutex<Block<T>>>);

impl<T: Real> Workers<T> {
    fn new(plan: &Plan) -> Self {
        let threads = rayon::current_num_threads();
        Workers((0..threads).map(|_| Mutex::new(Block::new(plan))).collect())
    }

    /// Calls `work` with the block of the thread that it runs on.
    fn with<R>(&self, work: impl FnOnce(&mut Block<T>) -> R) -> R {
        let thread = rayon::current_thread_index().unwrap_or(0);
        let block = &self.0[thread % self.0.len()];
        // A thread that panicked within its block has taken the whole process with it.
        let mut block = block.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut block)
    }
}

/// What training keeps between steps.
struct Session<T> {
    rows: Matrix<f32>,
    batches: Batches,
    training: Training,
    step: u64,
    gradient: Vec<T>,
    first_moment: Vec<T>,
    second_moment: Vec<T>,
    /// Empty where none is kept.
    average: Vec<T>,
    rate_factor: f64,
    chunks: Vec<Chunk<T>>,
    rows_per_chunk: usize,
}

/// The share of one chunk of rows in a step.
struct Chunk<T> {
    log_prob: f64,
    gradient: Vec<T>,
}

/// What an executor takes of memory, in bytes: for a plan and, where it trains, so many rows in batches of so many.
pub fn memory<T: Real>(plan: &Plan, training: Option<(usize, usize)>) -> u64 {
    let product = |a: usize, b: usize| (a as u64).saturating_mul(b as u64);
    let widths: usize = plan.widths.iter().chain(&plan.gradient_widths).sum();
    let block = (widths * LANES).saturating_add(Sums::<T>::count(plan));
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
                .saturating_add(product(rows, plan.dims()))
        }
    };
    numbers.saturating_mul(size_of::<T>() as u64)
}

impl<T: Real> CpuExecutor<T> {
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
        blocks.resize_with(rows.div_ceil(LANES), || Vec::with_capacity(columns));
        for column in values.chunks_exact_mut(rows.max(1)) {
            for (block, out) in blocks.iter_mut().zip(column.chunks_mut(LANES)) {
                block.push(out);
            }
        }
        blocks.par_iter_mut().enumerate().for_each(|(index, out)| {
            let rows = index * LANES..rows.min((index + 1) * LANES);
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

/// Copies rows of a table into the columns of a block. Lanes beyond the last row repeat it, so that they hold nothing
/// that the flow would not meet anyway; their results are dropped.
fn load<T: Real>(x: &Matrix<f64>, rows: Range<usize>, columns: &mut [Column<T>]) {
    for (j, column) in columns.iter_mut().enumerate() {
        let values = &x.column(j)[rows.clone()];
        for (lane, value) in column.iter_mut().enumerate() {
            *value = T::of(values[lane.min(values.len() - 1)]);
        }
    }
}

/// Rows to a chunk. Each chunk holds a gradient: 64 of them for a small model, down to 8 for a large one, whose sums would
/// cost as much as its products. A chunk has two blocks at least where four threads find work all the same: sums within a
/// chunk stay in vectors.
fn rows_per_chunk(batch: usize, parameters: usize) -> usize {
    /// Numbers in all chunks' gradients: what the last cache holds.
    const NUMBERS: usize = 1 << 22;
    let chunks = (NUMBERS / parameters.max(1)).clamp(8, 64);
    let blocks = batch.div_ceil(chunks).div_ceil(LANES);
    let blocks = if batch >= 8 * LANES {
        blocks.max(2)
    } else {
        blocks
    };
    blocks * LANES
}

impl<T: Real> Session<T> {
    fn new(parameters: &[T], rows: Matrix<f32>, training: Training) -> Self {
        let batches = Batches::new(rows.rows(), training.batch_size, training.seed);
        let rows_per_chunk = rows_per_chunk(batches.size(), parameters.len());
        let zeros = || vec![T::zero(); parameters.len()];
        let average = if training.optimizer.average > 0.0 {
            parameters.to_vec()
        } else {
            Vec::new()
        };
        let chunks = (0..batches.size().div_ceil(rows_per_chunk))
            .map(|_| Chunk {
                log_prob: 0.0,
                gradient: zeros(),
            })
            .collect();
        Session {
            rows,
            batches,
            training,
            step: 0,
            gradient: zeros(),
            first_moment: zeros(),
            second_moment: zeros(),
            average,
            rate_factor: 1.0,
            chunks,
            rows_per_chunk,
        }
    }

    /// Loss and gradient (left in `self.gradient`) on the batch of the current step.
    fn evaluate(&mut self, plan: &Plan, workers: &Workers<T>, parameters: &[T]) -> f64 {
        let batch = self.batches.batch(self.step);
        let total = batch.rows as usize;
        let per_chunk = self.rows_per_chunk;
        let used = total.div_ceil(per_chunk);
        let rows = &self.rows;
        self.chunks[..used]
            .par_iter_mut()
            .enumerate()
            .for_each(|(index, chunk)| {
                let places = index * per_chunk..total.min((index + 1) * per_chunk);
                workers.with(|block| chunk.run(block, plan, rows, &batch, places, parameters));
            });
        let chunks = &self.chunks[..used];
        add_up(chunks, &mut self.gradient);
        let log_prob: f64 = chunks.iter().map(|chunk| chunk.log_prob).sum();
        -log_prob / total as f64
    }

    /// The update that follows [`Session::evaluate`].
    fn update(&mut self, parameters: &mut [T]) -> Result<(), Fault> {
        let mut step = self.training.optimizer.at(self.step);
        step.learning_rate *= self.rate_factor;
        let norm = adamw::gradient_norm(&self.gradient);
        let factor = adamw::clip(norm, step.clip_norm).ok_or(Fault::Gradient)?;
        let moments = (&mut self.first_moment[..], &mut self.second_moment[..]);
        let finite = adamw::update(&step, factor, parameters, &self.gradient, moments);
        if step.average_weight > 0.0 {
            adamw::average(&step, parameters, &mut self.average);
        }
        if !finite {
            return Err(Fault::Parameters);
        }
        self.step += 1;
        Ok(())
    }
}

impl<T: Real> Chunk<T> {
    /// Forward and backward for some places of a batch.
    fn run(
        &mut self,
        block: &mut Block<T>,
        plan: &Plan,
        rows: &Matrix<f32>,
        batch: &Batch,
        places: Range<usize>,
        parameters: &[T],
    ) {
        self.log_prob = 0.0;
        block.begin();
        let share = T::of(-1.0 / f64::from(batch.rows));
        for first in places.clone().step_by(LANES) {
            let valid = LANES.min(places.end - first);
            let begin = block.state(0);
            match &batch.shuffle {
                // Neighbours in the table.
                None if valid == LANES => {
                    let first = batch.row(first as u32) as usize;
                    for (j, column) in begin.iter_mut().enumerate() {
                        T::copy(&rows.column(j)[first..first + LANES], column);
                    }
                }
                // Lanes beyond the last row repeat it, with a gradient of zero.
                _ => {
                    let visited: [usize; LANES] = std::array::from_fn(|lane| {
                        batch.row((first + lane.min(valid - 1)) as u32) as usize
                    });
                    for (j, column) in begin.iter_mut().enumerate() {
                        let values = rows.column(j);
                        let gathered = visited.map(|row| values[row]);
                        T::copy(&gathered, column);
                    }
                }
            }
            block.forward(plan, parameters);
            let mut row_gradient = [T::zero(); LANES];
            row_gradient[..valid].fill(share);
            block.backward(plan, parameters, &row_gradient, &mut self.gradient);
            self.log_prob += block.log_prob[..valid]
                .iter()
                .map(|value| value.f64())
                .sum::<f64>();
        }
        block.end(&mut self.gradient);
    }
}

/// The sum of the chunks' gradients, in their order.
fn add_up<T: Real>(chunks: &[Chunk<T>], gradient: &mut [T]) {
    /// Small enough for the first cache; a gradient of few spans is not worth a second thread.
    const SPAN: usize = 2048;
    const FEW: usize = 16;
    let span = |(span, gradient): (usize, &mut [T])| {
        let place = span * SPAN..span * SPAN + gradient.len();
        gradient.copy_from_slice(&chunks[0].gradient[place.clone()]);
        for chunk in &chunks[1..] {
            for (sum, &value) in gradient.iter_mut().zip(&chunk.gradient[place.clone()]) {
                *sum += value;
            }
        }
    };
    if gradient.len() <= FEW * SPAN {
        gradient.chunks_mut(SPAN).enumerate().for_each(span);
    } else {
        gradient.par_chunks_mut(SPAN).enumerate().for_each(span);
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

impl<T: Real> Executor for CpuExecutor<T> {
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

    fn start(&mut self, rows: &Matrix<f32>, training: &Training) -> Result<()> {
        check_training_rows(&self.plan, rows)?;
        self.session = Some(Session::new(
            &self.parameters,
            rows.clone(),
            training.clone(),
        ));
        Ok(())
    }

    fn train(&mut self, steps: usize) -> Result<Taken> {
        let session = started(self.session.as_mut())?;
        let mut losses = Vec::with_capacity(steps);
        let mut fault = None;
        while losses.len() < steps && fault.is_none() {
            losses.push(session.evaluate(&self.plan, &self.workers, &self.parameters));
            fault = match losses.last() {
                Some(loss) if !loss.is_finite() => Some(Fault::Loss),
                _ => session.update(&mut self.parameters).err(),
            };
        }
        Ok(Taken { losses, fault })
    }

    fn loss_and_gradient(&mut self) -> Result<(f64, Vec<f64>)> {
        let session = started(self.session.as_mut())?;
        let loss = session.evaluate(&self.plan, &self.workers, &self.parameters);
        Ok((loss, widen(&session.gradient)))
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
            load(x, rows, block.state(0));
            block.forward(&self.plan, &self.parameters);
            unload(block.state(latent), out);
            unload(&[block.log_det], &mut out[dims..]);
        });
        let mut z = out.into_values();
        let log_det = z.split_off(dims * x.rows());
        Ok((Matrix::from_values(x.rows(), dims, z), log_det))
    }

    fn inverse(&mut self, z: &Matrix<f64>) -> Result<Matrix<f64>> {
        check_width(&self.plan, z.columns())?;
        let latent = self.plan.latent();
        Ok(
            self.map_blocks(z.rows(), self.plan.dims(), |block, rows, out| {
                load(z, rows, block.state(latent));
                block.inverse(&self.plan, &self.parameters);
                unload(block.state(0), out);
            }),
        )
    }

    fn log_prob(&mut self, x: &Matrix<f64>) -> Result<Vec<f64>> {
        check_width(&self.plan, x.columns())?;
        let out = self.map_blocks(x.rows(), 1, |block, rows, out| {
            load(x, rows, block.state(0));
            block.forward(&self.plan, &self.parameters);
            unload(&[block.log_prob], out);
        });
        Ok(never_nan(out.into_values()))
    }

    fn sample(&mut self, seed: u64, rows: Range<u64>) -> Result<Matrix<f64>> {
        let latent = self.plan.latent();
        let count = sample_count(&self.plan, &rows)?;
        Ok(
            self.map_blocks(count, self.plan.dims(), |block, places, out| {
                let wanted = rows.start + places.start as u64..rows.start + places.end as u64;
                base::sample(
                    &self.plan.base,
                    &self.parameters,
                    seed,
                    wanted,
                    block.state(latent),
                );
                block.inverse(&self.plan, &self.parameters);
                unload(block.state(0), out);
            }),
        )
    }
}
