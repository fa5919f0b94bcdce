use std::fmt;
use std::sync::OnceLock;

use crate::data::{Dropped, Table, Target, default_names};
use crate::error::{Error, Message, Result};
use crate::executor::Executor;
use crate::matrix::Matrix;
use crate::memory;
use crate::preprocessing::Preprocessing;

use super::Metrics;

/// Rows that the KL divergence is estimated on.
const HELD_OUT: usize = 50_000;
/// Rows drawn from the model to compare its moments with the target's.
const SAMPLES: u64 = 1000;

/// A target whose density is known, beside a model that learns it.
pub struct GroundTruth {
    target: Target,
    /// Found when it is first asked for: some take an integral over their plane.
    entropy: OnceLock<f64>,
    seed: u64,
}

/// KL(target || model), estimated as the mean of log p_target - log p_model over held-out rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KlEstimate {
    /// In nats.
    pub mean: f64,
    /// Of the mean, in nats.
    pub standard_error: f64,
    /// How many it was taken over.
    pub rows: usize,
}

impl fmt::Debug for GroundTruth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a density with entropy {}", self.entropy())
    }
}

impl GroundTruth {
    /// `seed` draws the samples that the moments are compared on.
    pub fn new(target: Target, seed: u64) -> Self {
        GroundTruth {
            target,
            entropy: OnceLock::new(),
            seed,
        }
    }

    /// The number of columns.
    pub fn dims(&self) -> usize {
        self.target.dims()
    }

    /// The rows to train on.
    pub fn rows(&self, count: usize) -> Matrix<f32> {
        self.target.training_rows(count)
    }

    /// The same as a table.
    ///
    /// # Errors
    /// [`Error::Spec`] for more rows than memory holds.
    pub fn table(&self, rows: usize) -> Result<Table> {
        // As drawn, in f64, standardized, as f32, and cut in two.
        let bytes = (rows as u64).saturating_mul(self.dims() as u64 * 40);
        if let Some(shortfall) = memory::shortfall(bytes) {
            let text = format!("such a table {shortfall}; draw fewer");
            return Err(Error::Spec(Message::about("rows", rows, text)));
        }
        let values = self.rows(rows).map(f64::from);
        Ok(Table {
            columns: default_names(values.columns()),
            named: false,
            levels: vec![Vec::new(); values.columns()],
            values,
            dropped: Dropped::default(),
            notes: Vec::new(),
        })
    }

    /// The target's entropy, in nats.
    pub fn entropy(&self) -> f64 {
        *self.entropy.get_or_init(|| self.target.entropy())
    }

    /// Whether the target's mean and covariance are known.
    pub fn has_moments(&self) -> bool {
        self.target.knows_moments()
    }

    /// Errors of the moments of the model's samples, where the true ones are known.
    ///
    /// # Errors
    /// Those of the executor.
    pub fn measure(
        &self,
        executor: &mut dyn Executor,
        preprocessing: &Preprocessing,
    ) -> Result<Metrics> {
        if !self.has_moments() {
            return Ok(Metrics::default());
        }
        let sample = preprocessing.undo(&executor.sample(self.seed, 0..SAMPLES)?);
        let errors = self.target.moment_errors(&sample);
        Ok(Metrics {
            mean_error: errors.map(|(mean, _)| mean),
            cov_error: errors.map(|(_, covariance)| covariance),
            ..Metrics::default()
        })
    }

    /// The KL divergence on rows that training never saw. Subtracting row by row cancels the noise of the entropy.
    ///
    /// # Errors
    /// Those of the executor.
    pub fn kl(
        &self,
        executor: &mut dyn Executor,
        preprocessing: &Preprocessing,
    ) -> Result<KlEstimate> {
        let rows = self.target.held_out_rows(HELD_OUT);
        let truth = self.target.log_prob(&rows);
        let seen = preprocessing.apply(&rows.map(f64::from));
        let model = executor.log_prob(&seen)?;
        let log_det = preprocessing.log_det(&seen);
        let n = HELD_OUT as f64;
        let gaps = || {
            let model = model.iter().zip(&log_det);
            truth
                .iter()
                .zip(model)
                .map(|(p, (q, log_det))| p - q - log_det)
        };
        let mean = gaps().sum::<f64>() / n;
        let variance = gaps().map(|gap| (gap - mean).powi(2)).sum::<f64>() / (n - 1.0);
        Ok(KlEstimate {
            mean,
            standard_error: (variance / n).sqrt(),
            rows: HELD_OUT,
        })
    }
}
