use crate::data::Gaussian;
use crate::error::Result;
use crate::executor::Executor;
use crate::matrix::Matrix;
use crate::model::Preprocessing;

use super::Known;

/// Rows that the experiment trains on.
const ROWS: usize = 50_000;
/// Rows drawn from the model to compare its moments with the target's.
const SAMPLES: u64 = 1000;
const DIMS: usize = 4;

/// The reference experiment: a four-dimensional Gaussian with a random mean and covariance, 50,000 rows, whose entropy,
/// and so the KL divergence of a model from it, is known.
pub struct Experiment {
    pub target: Gaussian,
    pub rows: Matrix<f32>,
    seed: u64,
}

/// KL(target || model), estimated as the mean of log p_target - log p_model over held-out rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KlEstimate {
    pub mean: f64,
    pub standard_error: f64,
    pub rows: usize,
}

impl Experiment {
    pub fn new(seed: u64) -> Self {
        let target = Gaussian::new(DIMS, seed);
        let rows = target.training_rows(ROWS);
        Experiment { target, rows, seed }
    }

    /// Names of its columns.
    pub fn columns(&self) -> Vec<String> {
        crate::data::default_names(DIMS)
    }

    /// Errors of the moments of the model's samples.
    ///
    /// # Errors
    /// Those of the executor.
    pub fn measure(
        &self,
        executor: &mut dyn Executor,
        preprocessing: &Preprocessing,
    ) -> Result<Known> {
        let sample = preprocessing.undo(&executor.sample(self.seed, 0..SAMPLES)?);
        let (mean_error, cov_error) = self.target.moment_errors(&sample);
        Ok(Known {
            mean_error: Some(mean_error),
            cov_error: Some(cov_error),
            ..Known::default()
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
        let rows = self.target.held_out_rows(ROWS);
        let truth = self.target.log_prob(&rows);
        let model = executor.log_prob(&preprocessing.apply(&rows.map(f64::from)))?;
        let log_det = preprocessing.log_det();
        let n = ROWS as f64;
        let gaps = || truth.iter().zip(&model).map(|(p, q)| p - q - log_det);
        let mean = gaps().sum::<f64>() / n;
        let variance = gaps().map(|gap| (gap - mean).powi(2)).sum::<f64>() / (n - 1.0);
        Ok(KlEstimate {
            mean,
            standard_error: (variance / n).sqrt(),
            rows: ROWS,
        })
    }
}
