use std::f64::consts::{E, TAU};

use crate::matrix::Matrix;
use crate::random::{Purpose, normal_at};

/// The target of the reference experiment: X ~ N(mean, L L^T), the mean and the lower triangle of L standard normal.
/// Its entropy is known, so the KL divergence of a model is known too.
#[derive(Clone, Debug)]
pub struct Gaussian {
    seed: u64,
    mean: Vec<f64>,
    /// Row by row; row i holds i + 1 numbers.
    lower: Vec<Vec<f64>>,
}

impl Gaussian {
    /// The target of `dims` dimensions that a seed draws.
    pub fn new(dims: usize, seed: u64) -> Self {
        let draw =
            |row: usize, column| f64::from(normal_at(seed, Purpose::Target, row as u64, column));
        Gaussian {
            seed,
            mean: (0..dims).map(|j| draw(0, j)).collect(),
            lower: (0..dims)
                .map(|i| (0..=i).map(|j| draw(i + 1, j)).collect())
                .collect(),
        }
    }

    /// Row `row` for training, or held out from it, rounded to f32 as all training rows are.
    fn row(&self, purpose: Purpose, row: u64) -> Vec<f32> {
        let noise: Vec<f64> = (0..self.mean.len())
            .map(|j| f64::from(normal_at(self.seed, purpose, row, j)))
            .collect();
        self.mean
            .iter()
            .zip(&self.lower)
            .map(|(mean, lower)| {
                let sum: f64 = lower.iter().zip(&noise).map(|(l, z)| l * z).sum();
                (mean + sum) as f32
            })
            .collect()
    }

    fn rows(&self, purpose: Purpose, count: usize) -> Matrix<f32> {
        let rows: Vec<Vec<f32>> = (0..count).map(|i| self.row(purpose, i as u64)).collect();
        Matrix::from_fn(count, self.mean.len(), |row, column| rows[row][column])
    }

    /// The first rows to train on.
    pub fn training_rows(&self, count: usize) -> Matrix<f32> {
        self.rows(Purpose::TargetRows, count)
    }

    /// Rows that training never sees.
    pub fn held_out_rows(&self, count: usize) -> Matrix<f32> {
        self.rows(Purpose::TargetHeldOut, count)
    }

    /// The differential entropy, 0.5 log det(2 pi e Sigma), in nats.
    pub fn entropy(&self) -> f64 {
        let dims = self.mean.len() as f64;
        0.5 * dims * (TAU * E).ln() + self.log_abs_det()
    }

    /// log |det L|.
    fn log_abs_det(&self) -> f64 {
        let diagonal = self.lower.iter().map(|row| row[row.len() - 1]);
        diagonal.map(|l| l.abs().ln()).sum()
    }

    /// The log-density of each row, in nats.
    pub fn log_prob(&self, rows: &Matrix<f32>) -> Vec<f64> {
        let dims = self.mean.len();
        let constant = 0.5 * dims as f64 * TAU.ln() + self.log_abs_det();
        (0..rows.rows())
            .map(|row| {
                // Forward substitution: L y = x - mean.
                let mut y: Vec<f64> = Vec::with_capacity(dims);
                for (i, lower) in self.lower.iter().enumerate() {
                    let known: f64 = lower.iter().zip(&y).map(|(l, y)| l * y).sum();
                    let offset = f64::from(rows.get(row, i)) - self.mean[i];
                    y.push((offset - known) / lower[i]);
                }
                -constant - 0.5 * y.iter().map(|y| y * y).sum::<f64>()
            })
            .collect()
    }

    /// How far a sample is from the target: `|m - mean| / |mean|` and `|C - Sigma|_F / |Sigma|_F`, with the sample's mean
    /// m and covariance C (divided by rows - 1).
    pub fn moment_errors(&self, sample: &Matrix<f64>) -> (f64, f64) {
        let dims = self.mean.len();
        let rows = sample.rows() as f64;
        let mean: Vec<f64> = (0..dims)
            .map(|j| sample.column(j).iter().sum::<f64>() / rows)
            .collect();
        let norm = |values: &[f64]| values.iter().map(|x| x * x).sum::<f64>().sqrt();
        let offset: Vec<f64> = mean.iter().zip(&self.mean).map(|(m, mu)| m - mu).collect();
        let (mut difference, mut sigma) = (Vec::new(), Vec::new());
        for i in 0..dims {
            for j in 0..dims {
                let products = sample.column(i).iter().zip(sample.column(j));
                let covariance = products
                    .map(|(a, b)| (a - mean[i]) * (b - mean[j]))
                    .sum::<f64>()
                    / (rows - 1.0);
                let expected: f64 = self.lower[i]
                    .iter()
                    .zip(&self.lower[j])
                    .map(|(a, b)| a * b)
                    .sum();
                sigma.push(expected);
                difference.push(covariance - expected);
            }
        }
        (
            norm(&offset) / norm(&self.mean),
            norm(&difference) / norm(&sigma),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean of -log_prob over the target's own rows is its entropy, and its rows have its moments.
    #[test]
    fn the_target_knows_itself() {
        let target = Gaussian::new(4, 3);
        let rows = target.training_rows(100_000);
        let log_prob = target.log_prob(&rows);
        let nll = -log_prob.iter().sum::<f64>() / log_prob.len() as f64;
        // Standard error sqrt(D / 2 / N) = 0.0045; four of them.
        assert!(
            (nll - target.entropy()).abs() < 0.018,
            "{nll} {}",
            target.entropy()
        );
        let (mean, covariance) = target.moment_errors(&rows.map(f64::from));
        assert!(mean < 0.02 && covariance < 0.03, "{mean} {covariance}");
        assert_ne!(target.held_out_rows(1), target.training_rows(1));
    }
}
