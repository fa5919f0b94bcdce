use std::f64::consts::{E, TAU};

use rand::RngExt;

use crate::matrix::Matrix;
use crate::random::{Philox, Purpose, StandardNormal};

use super::{Distribution, Draws};

/// X ~ N(mean, L L^T). In the reference experiment the mean and the lower triangle of L are standard normal.
#[derive(Clone, Debug)]
pub struct Gaussian {
    mean: Vec<f64>,
    /// Row by row; row i holds i + 1 numbers.
    lower: Vec<Vec<f64>>,
}

/// The first standard normal numbers of a row of the target's own stream.
fn normals(seed: u64, row: usize, count: usize) -> Vec<f64> {
    let mut random = Philox::row(seed, Purpose::Target, row as u64);
    (0..count)
        .map(|_| f64::from(random.sample::<f32, _>(StandardNormal)))
        .collect()
}

impl Gaussian {
    /// The target of `dims` dimensions that a seed draws.
    pub fn new(dims: usize, seed: u64) -> Self {
        Gaussian {
            mean: normals(seed, 0, dims),
            lower: (0..dims).map(|i| normals(seed, i + 1, i + 1)).collect(),
        }
    }

    /// A target whose covariance has the condition number `condition`: its eigenvalues lie evenly on a logarithmic scale from
    /// 1 / sqrt(condition) to sqrt(condition), in directions that the seed draws.
    pub fn conditioned(dims: usize, seed: u64, condition: f64) -> Self {
        let plain = Gaussian::new(dims, seed);
        let mut directions: Vec<Vec<f64>> = (0..dims)
            .map(|i| normals(seed, dims + 1 + i, dims))
            .collect();
        orthonormalize(&mut directions);
        // Rows of A = Q diag(deviations); then A = L O with O orthonormal, so that A A^T = L L^T.
        for row in &mut directions {
            for (j, number) in row.iter_mut().enumerate() {
                let index = j as f64 / (dims - 1) as f64 - 0.5;
                *number *= condition.powf(0.5 * index);
            }
        }
        let lower = orthonormalize(&mut directions);
        Gaussian { lower, ..plain }
    }

    /// log |det L|.
    fn log_abs_det(&self) -> f64 {
        let diagonal = self.lower.iter().map(|row| row[row.len() - 1]);
        diagonal.map(|l| l.abs().ln()).sum()
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

impl Distribution for Gaussian {
    fn dims(&self) -> usize {
        self.mean.len()
    }

    fn draw(&self, random: &mut Draws) -> Vec<f64> {
        let noise: Vec<f64> = self.mean.iter().map(|_| random.normal()).collect();
        self.mean
            .iter()
            .zip(&self.lower)
            .map(|(mean, lower)| mean + lower.iter().zip(&noise).map(|(l, z)| l * z).sum::<f64>())
            .collect()
    }

    fn log_prob(&self, row: &[f64]) -> f64 {
        // Forward substitution: L y = x - mean.
        let mut y: Vec<f64> = Vec::with_capacity(row.len());
        for (i, lower) in self.lower.iter().enumerate() {
            let known: f64 = lower.iter().zip(&y).map(|(l, y)| l * y).sum();
            y.push((row[i] - self.mean[i] - known) / lower[i]);
        }
        let constant = 0.5 * row.len() as f64 * TAU.ln() + self.log_abs_det();
        -constant - 0.5 * y.iter().map(|y| y * y).sum::<f64>()
    }

    fn entropy(&self) -> f64 {
        // 0.5 log det(2 pi e Sigma).
        0.5 * self.mean.len() as f64 * (TAU * E).ln() + self.log_abs_det()
    }
}

/// Makes the rows orthonormal, in order (modified Gram-Schmidt), and returns the lower triangle L of rows = L * result.
fn orthonormalize(rows: &mut [Vec<f64>]) -> Vec<Vec<f64>> {
    let mut lower = Vec::with_capacity(rows.len());
    for i in 0..rows.len() {
        let (done, rest) = rows.split_at_mut(i);
        let row = &mut rest[0];
        let mut fractions = Vec::with_capacity(i + 1);
        for direction in done.iter() {
            let fraction: f64 = row.iter().zip(direction).map(|(a, b)| a * b).sum();
            for (number, d) in row.iter_mut().zip(direction) {
                *number -= fraction * d;
            }
            fractions.push(fraction);
        }
        let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        for number in row.iter_mut() {
            *number /= length;
        }
        fractions.push(length);
        lower.push(fractions);
    }
    lower
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trace and determinant are the sum and the product of the eigenvalues that were asked for.
    #[test]
    fn the_condition_number_is_as_asked() {
        for condition in [1.0, 1e4, 1e10] {
            let target = Gaussian::conditioned(5, 7, condition);
            let log_det = 2.0 * target.log_abs_det();
            let trace: f64 = target.lower.iter().flatten().map(|l| l * l).sum();
            let expected: f64 = (0..5)
                .map(|j| condition.powf(f64::from(j) / 4.0 - 0.5))
                .sum();
            assert!(log_det.abs() < 1e-4, "{condition:e}: log det {log_det}");
            assert!((trace / expected - 1.0).abs() < 1e-9, "{trace} {expected}");
        }
    }
}
