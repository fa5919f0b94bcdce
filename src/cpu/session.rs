use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::error::Result;
use crate::executor::{Batch, Batches, Fault, Training, check_replacement};
use crate::flow::Plan;
use crate::matrix::Matrix;

use super::adamw;
use super::block::Block;
use super::columns::BLOCK_ROWS;
use super::real::Real;
use super::workers::Workers;

/// What training keeps between steps.
pub struct Session<T> {
    rows: Arc<Matrix<f32>>,
    /// Of each row; empty where all count the same.
    weights: Arc<Vec<f32>>,
    pub batches: Batches,
    training: Training,
    pub step: u64,
    pub gradient: Vec<T>,
    pub first_moment: Vec<T>,
    pub second_moment: Vec<T>,
    /// Empty where none is kept.
    pub average: Vec<T>,
    pub rate_factor: f64,
    chunks: Vec<Chunk<T>>,
    rows_per_chunk: usize,
    /// Rows that training was started with.
    room: usize,
}

/// The weighted sum of log_prob and the gradient of one chunk of rows.
struct Chunk<T> {
    log_prob: f64,
    gradient: Vec<T>,
}

/// Rows to a chunk. Each chunk holds a gradient: 64 of them for a small model, down to 8 for a large one, whose sums would
/// cost as much as its products. A chunk has two blocks at least where four threads find work all the same: sums within a
/// chunk stay in vectors.
pub fn rows_per_chunk(batch: usize, parameters: usize) -> usize {
    /// Numbers in all chunks' gradients: what the last cache holds.
    const NUMBERS: usize = 1 << 22;
    let chunks = (NUMBERS / parameters.max(1)).clamp(8, 64);
    let blocks = batch.div_ceil(chunks).div_ceil(BLOCK_ROWS);
    let blocks = if batch >= 8 * BLOCK_ROWS {
        blocks.max(2)
    } else {
        blocks
    };
    blocks * BLOCK_ROWS
}

impl<T: Real> Session<T> {
    pub fn new(
        parameters: &[T],
        rows: Arc<Matrix<f32>>,
        weights: Arc<Vec<f32>>,
        training: Training,
    ) -> Self {
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
            room: rows.rows(),
            rows,
            weights,
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

    /// Goes on with other rows.
    pub fn replace_rows(
        &mut self,
        rows: Arc<Matrix<f32>>,
        weights: Arc<Vec<f32>>,
        batches: &Batches,
    ) -> Result<()> {
        let room = (self.room, self.chunks.len() * self.rows_per_chunk);
        check_replacement(room, &rows, batches)?;
        self.rows = rows;
        self.weights = weights;
        self.batches = batches.clone();
        Ok(())
    }

    /// The batch of the current step.
    pub fn batch(&self) -> Batch {
        self.batches.batch(self.step)
    }

    /// Loss and gradient (left in `self.gradient`) on a batch.
    pub fn evaluate(
        &mut self,
        plan: &Plan,
        workers: &Workers<T>,
        parameters: &[T],
        batch: &Batch,
    ) -> f64 {
        let total = batch.rows as usize;
        let per_chunk = self.rows_per_chunk;
        let used = total.div_ceil(per_chunk);
        let (rows, weights) = (&*self.rows, &self.weights[..]);
        self.chunks[..used]
            .par_iter_mut()
            .enumerate()
            .for_each(|(index, chunk)| {
                let indices = index * per_chunk..total.min((index + 1) * per_chunk);
                workers.with(|block| {
                    chunk.run(block, plan, rows, weights, batch, indices, parameters)
                });
            });
        let chunks = &self.chunks[..used];
        add_up(chunks, &mut self.gradient);
        let log_prob: f64 = chunks.iter().map(|chunk| chunk.log_prob).sum();
        -log_prob / total as f64
    }

    /// The update that follows [`Session::evaluate`].
    pub fn update(&mut self, parameters: &mut [T]) -> std::result::Result<(), Fault> {
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
    /// Forward and backward for some rows of a batch.
    #[expect(clippy::too_many_arguments, reason = "what a step reads")]
    fn run(
        &mut self,
        block: &mut Block<T>,
        plan: &Plan,
        rows: &Matrix<f32>,
        weights: &[f32],
        batch: &Batch,
        indices: Range<usize>,
        parameters: &[T],
    ) {
        self.log_prob = 0.0;
        block.begin();
        let weight = T::of(-1.0 / f64::from(batch.rows));
        for first in indices.clone().step_by(BLOCK_ROWS) {
            let valid = BLOCK_ROWS.min(indices.end - first);
            let begin = block.state(0);
            match &batch.shuffle {
                // Neighbors in the table.
                None if valid == BLOCK_ROWS => {
                    let first = batch.row(first as u32) as usize;
                    for (j, column) in begin.iter_mut().enumerate() {
                        T::copy(&rows.column(j)[first..first + BLOCK_ROWS], column);
                    }
                }
                // Lanes beyond the last row repeat it, with a gradient of zero.
                _ => {
                    let visited: [usize; BLOCK_ROWS] = std::array::from_fn(|lane| {
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
            let mut row_gradient = [T::zero(); BLOCK_ROWS];
            row_gradient[..valid].fill(weight);
            if weights.is_empty() {
                let log_prob = block.log_prob[..valid].iter();
                self.log_prob += log_prob.map(|value| value.f64()).sum::<f64>();
            } else {
                for (lane, gradient) in row_gradient[..valid].iter_mut().enumerate() {
                    let of_row = weights[batch.row((first + lane) as u32) as usize];
                    *gradient *= T::of(of_row.into());
                    self.log_prob += f64::from(of_row) * block.log_prob[lane].f64();
                }
            }
            block.backward(plan, parameters, &row_gradient, &mut self.gradient);
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
        let position = span * SPAN..span * SPAN + gradient.len();
        gradient.copy_from_slice(&chunks[0].gradient[position.clone()]);
        for chunk in &chunks[1..] {
            for (sum, &value) in gradient.iter_mut().zip(&chunk.gradient[position.clone()]) {
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
