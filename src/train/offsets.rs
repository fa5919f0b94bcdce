use crate::data::weighted_mean;
use crate::executor::{Batches, Training};

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
    /// From what is added to the log-densities of a run's rows and of its held-out rows, and the weight of each; none where all count
    /// the same.
    pub fn new(
        (mut of_rows, weights): (Vec<f64>, &[f32]),
        validation: Option<(Vec<f64>, &[f64])>,
        training: &Training,
    ) -> Self {
        of_rows.iter_mut().for_each(|added| *added *= -1.0);
        // As the loss has them.
        for (offset, &weight) in of_rows.iter_mut().zip(weights) {
            *offset *= f64::from(weight);
        }
        let validation = validation.map(|(added, weights)| -weighted_mean(&added, weights));
        Offsets {
            all: weighted_mean(&of_rows, &[]),
            validation: validation.unwrap_or(0.0),
            batches: Batches::new(of_rows.len(), training.batch_size, training.seed),
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
