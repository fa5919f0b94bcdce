use crate::data::weighted_mean;
use crate::executor::{Batches, Training};
use crate::matrix::Matrix;
use crate::preprocessing::Preprocessing;

/// What preprocessing adds to the NLL of rows as the flow sees them, to have it in the units of the data, in nats.
#[derive(Clone, Debug)]
pub struct Offsets {
    /// For each row trained on.
    rows: Vec<f64>,
    /// For all of them.
    all: f64,
    validation: f64,
    batches: Batches,
}

impl Offsets {
    /// For a run's rows and its held-out rows, and the weight of each; none where all count the same. `levels` are the log-probabilities
    /// of their levels, where there are columns of categories.
    pub fn new(
        preprocessing: &Preprocessing,
        (rows, weights): (&Matrix<f32>, &[f32]),
        validation: Option<(&Matrix<f64>, &[f64])>,
        levels: [&[f64]; 2],
        training: &Training,
    ) -> Self {
        let [levels, of_held_out] = levels;
        let mut of_rows = preprocessing.log_bound(rows);
        for (log_prob, of_levels) in of_rows.iter_mut().zip(levels) {
            *log_prob += of_levels;
        }
        of_rows.iter_mut().for_each(|log_det| *log_det *= -1.0);
        // As the loss has them.
        for (offset, &weight) in of_rows.iter_mut().zip(weights) {
            *offset *= f64::from(weight);
        }
        let validation = validation.map(|(rows, weights)| {
            let mut log_bound = preprocessing.log_bound(rows);
            for (log_prob, of_levels) in log_bound.iter_mut().zip(of_held_out) {
                *log_prob += of_levels;
            }
            -weighted_mean(&log_bound, weights)
        });
        Offsets {
            all: weighted_mean(&of_rows, &[]),
            validation: validation.unwrap_or(0.0),
            batches: Batches::new(rows.rows(), training.batch_size, training.seed),
            rows: of_rows,
        }
    }

    /// For the rows of a step's batch.
    pub fn of_step(&self, step: u64) -> f64 {
        if self.batches.is_full() {
            return self.all;
        }
        let batch = self.batches.batch(step);
        let rows = (0..batch.rows).map(|index| self.rows[batch.row(index) as usize]);
        rows.sum::<f64>() / f64::from(batch.rows)
    }

    /// For all rows trained on.
    pub fn all(&self) -> f64 {
        self.all
    }

    /// For the held-out rows.
    pub fn validation(&self) -> f64 {
        self.validation
    }
}
