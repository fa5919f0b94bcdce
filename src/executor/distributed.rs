use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::collective::Collective;
use crate::data::take;
use crate::error::{Error, Result};
use crate::flow::Plan;
use crate::matrix::Matrix;

use super::streamed::WeightedRows;
use super::{Batch, Batches, Executor, Fault, StepsOutcome, Training, TrainingState};

/// The rows that one of several processes has.
#[derive(Clone, Debug)]
pub struct Share {
    /// All rows, or every so many-th of them: row r is the share of process r modulo their number.
    pub rows: WeightedRows,
    /// How many rows all processes have together.
    pub count: usize,
    /// Whether each process has all of them.
    pub has_all: bool,
}

impl Share {
    /// Which of the rows of a batch this process takes, by their indices in its rows: of rows that all have an equal part of the batch, else
    /// those that are its own.
    pub fn of_batch(&self, batch: &Batch, ranks: &dyn Collective) -> Vec<u32> {
        let (rank, size) = (ranks.rank() as u32, ranks.size() as u32);
        if self.has_all {
            let end =
                |rank: u32| (u64::from(batch.rows) * u64::from(rank) / u64::from(size)) as u32;
            return (end(rank)..end(rank + 1))
                .map(|position| batch.row(position))
                .collect();
        }
        let all = (0..batch.rows).map(|position| batch.row(position));
        all.filter(|row| row % size == rank)
            .map(|row| row / size)
            .collect()
    }

    /// Some of its rows.
    pub fn take(&self, some: &[u32]) -> WeightedRows {
        let (rows, weights) = &self.rows;
        let of_rows = some.iter().filter_map(|&row| weights.get(row as usize));
        let weights = of_rows.copied().collect();
        (Arc::new(take(rows, some)), Arc::new(weights))
    }
}

/// An executor of one of several processes that take each step together: each computes the gradient on its rows of the batch, each adds up a
/// part of the gradients, in the order of the ranks, and all apply the sum. So all have the same parameters, to the bit.
pub struct Distributed {
    inner: Box<dyn Executor>,
    ranks: Arc<dyn Collective>,
    share: Share,
    batches: Batches,
    step: u64,
    stop: Stop,
    /// What this process has to say in a step, what all say of its part, the sum of that, and the sum of everything.
    packed: Vec<f32>,
    received: Vec<f32>,
    part: Vec<f32>,
    sum: Vec<f32>,
    gradient: Vec<f64>,
}

/// How a process asks all of them to stop, and learns that one did: they stop after the same step.
#[derive(Clone, Debug)]
pub struct Stop {
    /// Whether this one asks for it.
    pub requested: Arc<AtomicBool>,
    /// Whether all know that one does.
    pub agreed: Arc<AtomicBool>,
}

impl Distributed {
    /// Around an executor that was started with as many rows as a batch has, whatever they are.
    pub fn new(
        inner: Box<dyn Executor>,
        ranks: Arc<dyn Collective>,
        share: Share,
        training: &Training,
        stop: Stop,
    ) -> Self {
        // The gradient, the loss, and whether to stop.
        let count = inner.plan().layout.len();
        let part = (count + 2).div_ceil(ranks.size());
        let all = part * ranks.size();
        Distributed {
            packed: vec![0.0; all],
            received: vec![0.0; all],
            part: vec![0.0; part],
            sum: vec![0.0; all],
            gradient: vec![0.0; count],
            batches: Batches::new(share.count, training.batch_size, training.seed),
            inner,
            ranks,
            share,
            step: 0,
            stop,
        }
    }

    /// The loss on a batch, by all processes; the gradient is the first of the sums then.
    fn evaluate(&mut self, batch: &Batch) -> Result<f64> {
        let mine = self.share.of_batch(batch, self.ranks.as_ref());
        let count = self.inner.plan().layout.len();
        let packed = &mut self.packed;
        packed.fill(0.0);
        if !mine.is_empty() {
            let (rows, weights) = self.share.take(&mine);
            let batches = Batches::new(mine.len(), 0, 0);
            self.inner.replace_rows(rows, weights, &batches)?;
            let part = mine.len() as f64 / f64::from(batch.rows);
            let batch = batches.batch(0);
            let loss = self
                .inner
                .scaled_gradient(&batch, part, &mut packed[..count])?;
            packed[count] = (part * loss) as f32;
        }
        packed[count + 1] = f32::from(self.stop.requested.load(Ordering::SeqCst));
        // Each adds up a part of the numbers, and tells the others: what goes through the network does not grow with the ranks.
        self.ranks.exchange(packed, &mut self.received);
        let each = self.part.len();
        for (k, sum) in self.part.iter_mut().enumerate() {
            let of_ranks = self.received.iter().skip(k).step_by(each);
            *sum = of_ranks.map(|&x| f64::from(x)).sum::<f64>() as f32;
        }
        self.ranks.gather(&self.part, &mut self.sum);
        for (to, &x) in self.gradient.iter_mut().zip(&self.sum) {
            *to = f64::from(x);
        }
        if self.sum[count + 1] > 0.0 {
            self.stop.agreed.store(true, Ordering::SeqCst);
        }
        Ok(f64::from(self.sum[count]))
    }
}

impl Executor for Distributed {
    fn describe(&self) -> String {
        format!("{}, rank 1 of {}", self.inner.describe(), self.ranks.size())
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
        Err(Error::spec("each process has its share of the rows"))
    }

    fn replace_rows(&mut self, _: Arc<Matrix<f32>>, _: Arc<Vec<f32>>, _: &Batches) -> Result<()> {
        Err(Error::spec("each process has its share of the rows"))
    }

    /// Fewer steps where a process asks to stop.
    fn train(&mut self, steps: usize) -> Result<StepsOutcome> {
        let mut outcome = StepsOutcome {
            losses: Vec::with_capacity(steps),
            fault: None,
        };
        while outcome.losses.len() < steps && outcome.fault.is_none() {
            let loss = self.evaluate(&self.batches.batch(self.step))?;
            outcome.losses.push(loss);
            outcome.fault = match loss.is_finite() {
                true => self.inner.apply(&self.gradient)?,
                false => Some(Fault::Loss),
            };
            self.step += u64::from(outcome.fault.is_none());
            if self.stop.agreed.load(Ordering::SeqCst) {
                break;
            }
        }
        Ok(outcome)
    }

    fn loss_and_gradient(&mut self) -> Result<(f64, Vec<f64>)> {
        self.gradient(&self.batches.batch(self.step))
    }

    fn gradient(&mut self, batch: &Batch) -> Result<(f64, Vec<f64>)> {
        let loss = self.evaluate(batch)?;
        Ok((loss, self.gradient.clone()))
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

    /// By all processes, a part of the rows each.
    fn log_prob(&mut self, x: &Matrix<f64>) -> Result<Vec<f64>> {
        let each = x.rows().div_ceil(self.ranks.size());
        let first = x.rows().min(each * self.ranks.rank());
        let mine: Vec<u32> = (first..x.rows().min(first + each))
            .map(|row| row as u32)
            .collect();
        let mut log_prob = match mine.is_empty() {
            true => Vec::new(),
            false => self.inner.log_prob(&take(x, &mine))?,
        };
        log_prob.resize(each, 0.0);
        let mut all = vec![0.0; each * self.ranks.size()];
        self.ranks.gather_f64(&log_prob, &mut all);
        all.truncate(x.rows());
        Ok(all)
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
