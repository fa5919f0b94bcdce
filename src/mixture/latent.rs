//! Rows to latents that are standard normal, and back: each number to its rank given those before it (Rosenblatt 1952), which a
//! mixture has in closed form.

use rayon::prelude::*;

use crate::flow::Density;
use crate::matrix::Matrix;

use super::{GaussianMixture, packed};

/// Rows that a thread takes at a time.
const ROWS: usize = 64;

/// Halvings of what the components' quantiles enclose.
const HALVINGS: usize = 60;

/// A row of a mixture, one dimension after the other.
struct Conditional<'a> {
    mixture: &'a GaussianMixture,
    /// The logarithm of each component's weight given the numbers so far, up to what all have in common, and those as the
    /// component sees them.
    log_weights: Vec<f64>,
    solved: Vec<Vec<f64>>,
    /// Of the next number: each component's weight, mean and deviation.
    terms: Vec<[f64; 3]>,
}

impl<'a> Conditional<'a> {
    fn new(mixture: &'a GaussianMixture) -> Self {
        let components = mixture.components.iter();
        let mut this = Conditional {
            mixture,
            log_weights: components.map(|it| it.weight.ln()).collect(),
            solved: vec![Vec::with_capacity(mixture.dims); mixture.components.len()],
            terms: Vec::new(),
        };
        this.look_at(0);
        this
    }

    /// Prepares for dimension `i`.
    fn look_at(&mut self, i: usize) {
        let highest = self.log_weights.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = self.log_weights.iter().map(|w| (w - highest).exp()).sum();
        let components = self.mixture.components.iter().zip(&self.solved);
        self.terms = components
            .zip(&self.log_weights)
            .map(|((component, solved), weight)| {
                let row = &component.lower[packed(i)..][..=i];
                let mean = row.iter().zip(solved).map(|(l, y)| l * y).sum::<f64>();
                let weight = (weight - highest).exp() / sum;
                [weight, component.mean[i] + mean, row[i]]
            })
            .collect();
    }

    /// The probabilities of less than a number and of more, and the density there.
    fn at(&self, x: f64) -> [f64; 3] {
        let mut sums = [0.0; 3];
        for [weight, mean, deviation] in &self.terms {
            let y = (x - mean) / deviation;
            let normal = Density::Normal;
            sums[0] += weight * normal.cdf(y);
            sums[1] += weight * normal.cdf(-y);
            sums[2] += weight * normal.pdf(y) / deviation;
        }
        sums
    }

    /// Takes a number in, of dimension `i`.
    fn take(&mut self, i: usize, x: f64) {
        for (k, [_, mean, deviation]) in self.terms.iter().enumerate() {
            let y = (x - mean) / deviation;
            self.log_weights[k] -= 0.5 * y * y + deviation.ln();
            self.solved[k].push(y);
        }
        if i + 1 < self.mixture.dims {
            self.look_at(i + 1);
        }
    }

    /// The number that is below a standard normal one's probability.
    fn number(&self, z: f64) -> f64 {
        let ends = self
            .terms
            .iter()
            .map(|[_, mean, deviation]| mean + deviation * z);
        let mut low = ends.clone().fold(f64::INFINITY, f64::min);
        let mut high = ends.fold(f64::NEG_INFINITY, f64::max);
        let [below, above] = [Density::Normal.cdf(z), Density::Normal.cdf(-z)];
        for _ in 0..HALVINGS {
            let middle = 0.5 * (low + high);
            let [less, more, _] = self.at(middle);
            // By the smaller tail, which has the digits.
            let is_low = if z < 0.0 { less < below } else { more > above };
            match is_low {
                true => low = middle,
                false => high = middle,
            }
        }
        0.5 * (low + high)
    }
}

/// The standard normal number with these probabilities below and above it.
fn standard([less, more]: [f64; 2]) -> f64 {
    // Beyond these, f64 has no probabilities.
    const FARTHEST: f64 = 37.0;
    let normal = Density::Normal;
    let z = match less < more {
        true => normal.quantile(less),
        false => -normal.quantile(more),
    };
    z.clamp(-FARTHEST, FARTHEST)
}

impl GaussianMixture {
    /// The latent of each row, and log |det dz/dx|.
    ///
    /// # Panics
    /// For rows of another width.
    pub fn forward(&self, rows: &Matrix<f64>) -> (Matrix<f64>, Vec<f64>) {
        self.by_rows(rows, |x, z| {
            let mut conditional = Conditional::new(self);
            let mut log_det = 0.0;
            for (i, (x, z)) in x.iter().zip(z).enumerate() {
                let [less, more, density] = conditional.at(*x);
                *z = standard([less, more]);
                log_det += density.ln() - Density::Normal.pdf(*z).ln();
                conditional.take(i, *x);
            }
            log_det
        })
    }

    /// The rows that latents come from.
    ///
    /// # Panics
    /// For latents of another width.
    pub fn inverse(&self, z: &Matrix<f64>) -> Matrix<f64> {
        let inverted = self.by_rows(z, |z, x| {
            let mut conditional = Conditional::new(self);
            for (i, (z, x)) in z.iter().zip(x).enumerate() {
                *x = conditional.number(*z);
                conditional.take(i, *x);
            }
            0.0
        });
        inverted.0
    }

    /// A row for each row, and a number.
    fn by_rows(
        &self,
        rows: &Matrix<f64>,
        of_row: impl Fn(&[f64], &mut [f64]) -> f64 + Sync,
    ) -> (Matrix<f64>, Vec<f64>) {
        assert_eq!(rows.columns(), self.dims, "columns of a row");
        let blocks: Vec<(Vec<f64>, Vec<f64>)> = (0..rows.rows().div_ceil(ROWS))
            .into_par_iter()
            .map(|block| {
                let of_block = block * ROWS..((block + 1) * ROWS).min(rows.rows());
                let mut out = vec![0.0; of_block.len() * self.dims];
                let numbers = of_block.zip(out.chunks_exact_mut(self.dims));
                let numbers = numbers
                    .map(|(row, out)| of_row(&rows.row(row).collect::<Vec<f64>>(), out))
                    .collect();
                (out, numbers)
            })
            .collect();
        let by_row: Vec<f64> = blocks.iter().flat_map(|(out, _)| out).copied().collect();
        let matrix = Matrix::from_fn(rows.rows(), self.dims, |row, j| by_row[row * self.dims + j]);
        let numbers = blocks.into_iter().flat_map(|(_, numbers)| numbers);
        (matrix, numbers.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Component;
    use super::*;
    use crate::random::{Purpose, normal_at};

    fn mixture() -> GaussianMixture {
        let component = |weight, mean: [f64; 3], lower: [f64; 6]| Component {
            weight,
            mean: mean.into(),
            lower: lower.into(),
        };
        GaussianMixture::new(vec![
            component(0.3, [2.0, -2.0, 0.0], [0.5, 0.2, 0.7, 0.1, 0.3, 0.4]),
            component(0.7, [-1.0, 0.5, 1.0], [1.5, -0.4, 0.3, 0.0, 0.9, 1.0]),
        ])
    }

    /// The density of the latent and the log-determinant are that of the row; and there and back.
    #[test]
    fn latents_explain_the_density_and_lead_back() {
        let mixture = mixture();
        let rows = Matrix::from_fn(500, 3, |row, j| {
            2.0 * f64::from(normal_at(1, Purpose::TargetRows, row as u64, j))
        });
        let (z, log_det) = mixture.forward(&rows);
        let back = mixture.inverse(&z);
        for (row, log_prob) in mixture.log_prob(&rows).into_iter().enumerate() {
            let of_latent: f64 = z.row(row).map(|z| Density::Normal.pdf(z).ln()).sum();
            assert!((of_latent + log_det[row] - log_prob).abs() < 1e-9 * log_prob.abs().max(1.0));
            for (x, back) in rows.row(row).zip(back.row(row)) {
                assert!((x - back).abs() < 1e-7, "{x} {back}");
            }
        }
    }

    #[test]
    fn latents_of_a_sample_are_standard_normal() {
        let mixture = mixture();
        let sample = mixture.sample(1, (0..50_000u32).map(u64::from));
        let (z, _) = mixture.forward(&sample);
        for j in 0..3 {
            let moment = |power: i32| {
                let all = z.column(j).iter().map(|z| z.powi(power));
                all.sum::<f64>() / 50_000.0
            };
            for (power, expected) in [(1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0)] {
                assert!((moment(power) - expected).abs() < 0.1, "{j} {power}");
            }
        }
    }
}
