use std::f64::consts::TAU;
use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::cpu::dispatch;
use crate::flow::Density;
use crate::matrix::Matrix;
use crate::numeric::{index_at, log_sum_exp};
use crate::random::{Purpose, normal_at, uniform, words};

use super::{Component, GaussianMixture};

/// Rows whose densities are computed at a time: a block of them stays in a cache.
pub(super) const BLOCK_ROWS: usize = 128;

impl Component {
    /// The logarithm of what the Gaussian is at its mean, times its weight.
    fn log_peak(&self) -> f64 {
        let dims = self.mean.len();
        let diagonal = (0..dims).map(|i| self.lower[i * (i + 3) / 2].ln());
        self.weight.ln() - 0.5 * dims as f64 * TAU.ln() - diagonal.sum::<f64>()
    }

    /// The log-density of `rows` of a table times the weight. `work` has room for a block of rows.
    pub(super) fn log_terms(
        &self,
        values: &Matrix<f64>,
        rows: Range<usize>,
        work: &mut [f64],
        out: &mut [f64],
    ) {
        out.fill(self.log_peak());
        dispatch(Substitution {
            component: self,
            values,
            rows,
            work,
            out,
        });
    }

    /// Takes half of the squared distance from the mean, in deviations, off the numbers in `out`.
    #[inline(always)]
    fn substitute(
        &self,
        values: &Matrix<f64>,
        rows: Range<usize>,
        work: &mut [f64],
        out: &mut [f64],
    ) {
        let count = rows.len();
        // Forward substitution, of all rows at once: L y = x - m.
        let mut of_row = &self.lower[..];
        for i in 0..self.mean.len() {
            let (coefficients, rest) = of_row.split_at(i + 1);
            of_row = rest;
            let (solved, y) = work.split_at_mut(i * BLOCK_ROWS);
            let y = &mut y[..count];
            for (y, x) in y.iter_mut().zip(&values.column(i)[rows.clone()]) {
                *y = x - self.mean[i];
            }
            for (earlier, &factor) in solved.chunks_exact(BLOCK_ROWS).zip(coefficients) {
                if factor != 0.0 {
                    for (y, earlier) in y.iter_mut().zip(earlier) {
                        *y -= factor * earlier;
                    }
                }
            }
            let scale = 1.0 / coefficients[i];
            for (y, sum) in y.iter_mut().zip(&mut *out) {
                *y *= scale;
                *sum -= 0.5 * *y * *y;
            }
        }
    }
}

/// [`Component::substitute`] in the widest vectors that the processor has.
struct Substitution<'a> {
    component: &'a Component,
    values: &'a Matrix<f64>,
    rows: Range<usize>,
    work: &'a mut [f64],
    out: &'a mut [f64],
}

impl WithSimd for Substitution<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Substitution {
            component,
            values,
            rows,
            work,
            out,
        } = self;
        component.substitute(values, rows, work, out);
    }
}

impl GaussianMixture {
    /// The log-density of each row, in nats.
    ///
    /// # Panics
    /// For rows of another width.
    pub fn log_prob(&self, rows: &Matrix<f64>) -> Vec<f64> {
        assert_eq!(rows.columns(), self.dims, "columns of a row");
        let mut all = vec![0.0; rows.rows()];
        all.par_chunks_mut(BLOCK_ROWS)
            .enumerate()
            .for_each(|(block, out)| {
                let first = block * BLOCK_ROWS;
                let terms = self.log_terms(rows, first..first + out.len());
                for (row, log_prob) in out.iter_mut().enumerate() {
                    *log_prob = log_sum_exp(terms.iter().map(|of_component| of_component[row]));
                }
            });
        all
    }

    /// The probability of at most each number, of a mixture of one dimension.
    pub fn cdf(&self, numbers: &[f64]) -> Vec<f64> {
        let cdf = |x: &f64| {
            let terms = self.components.iter();
            terms
                .map(|it| it.weight * Density::Normal.cdf((x - it.mean[0]) / it.lower[0]))
                .sum()
        };
        numbers.iter().map(cdf).collect()
    }

    /// Each component's log-density of a block of rows, times its weight.
    pub(super) fn log_terms(&self, values: &Matrix<f64>, rows: Range<usize>) -> Vec<Vec<f64>> {
        let mut work = vec![0.0; self.dims * BLOCK_ROWS];
        let of_component = |component: &Component| {
            let mut out = vec![0.0; rows.len()];
            component.log_terms(values, rows.clone(), &mut work, &mut out);
            out
        };
        self.components.iter().map(of_component).collect()
    }

    /// Rows of these numbers, drawn from the density: row i depends on the seed and on i alone.
    pub fn sample(&self, seed: u64, rows: impl ExactSizeIterator<Item = u64>) -> Matrix<f64> {
        let mut sample = Matrix::zeros(rows.len(), self.dims);
        let mut noise = vec![0.0; self.dims];
        for (index, row) in rows.enumerate() {
            let [word, ..] = words(seed, Purpose::Component, row, 0);
            let weights = self.components.iter().map(|it| it.weight);
            let component = &self.components[index_at(weights, uniform(word))];
            for (j, noise) in noise.iter_mut().enumerate() {
                *noise = f64::from(normal_at(seed, Purpose::Noise, row, j));
            }
            let mut of_row = &component.lower[..];
            for (i, mean) in component.mean.iter().enumerate() {
                let (coefficients, rest) = of_row.split_at(i + 1);
                of_row = rest;
                let terms = coefficients.iter().zip(&noise);
                sample.column_mut(i)[index] = mean + terms.map(|(l, z)| l * z).sum::<f64>();
            }
        }
        sample
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixture() -> GaussianMixture {
        let component = |weight, mean: [f64; 2], lower: [f64; 3]| Component {
            weight,
            mean: mean.into(),
            lower: lower.into(),
        };
        GaussianMixture::new(vec![
            component(0.3, [1.0, -2.0], [0.5, 0.2, 0.7]),
            component(0.7, [-1.0, 0.5], [1.5, -0.4, 0.3]),
        ])
    }

    /// The formula, with the covariance inverted by hand.
    #[test]
    fn density_is_that_of_the_formula() {
        let mixture = mixture();
        let rows = Matrix::from_fn(300, 2, |row, j| (row as f64 * (0.1 + j as f64)).sin() * 3.0);
        for (row, log_prob) in mixture.log_prob(&rows).into_iter().enumerate() {
            let terms = mixture.components.iter().map(|it| {
                let [a, b, c] = it.lower[..] else { panic!() };
                let covariance = [a * a, a * b, b * b + c * c];
                let determinant = covariance[0] * covariance[2] - covariance[1].powi(2);
                let (x, y) = (rows.get(row, 0) - it.mean[0], rows.get(row, 1) - it.mean[1]);
                let square = (covariance[2] * x * x - 2.0 * covariance[1] * x * y
                    + covariance[0] * y * y)
                    / determinant;
                it.weight * (-0.5 * square).exp() / (TAU * determinant.sqrt())
            });
            let expected = terms.sum::<f64>().ln();
            assert!((log_prob - expected).abs() < 1e-12, "{log_prob} {expected}");
        }
    }

    #[test]
    fn samples_have_the_moments_of_the_density_and_depend_on_their_number_alone() {
        let mixture = mixture();
        let sample = mixture.sample(5, (0..100_000u32).map(u64::from));
        assert_eq!(
            mixture
                .sample(5, (700..710u32).map(u64::from))
                .row(3)
                .collect::<Vec<_>>(),
            sample.row(703).collect::<Vec<_>>()
        );
        for j in 0..2 {
            let column = sample.column(j);
            let mean = column.iter().sum::<f64>() / column.len() as f64;
            let expected: f64 = mixture
                .components
                .iter()
                .map(|it| it.weight * it.mean[j])
                .sum();
            assert!((mean - expected).abs() < 0.02, "{mean} {expected}");
        }
        // The mean of -log p of samples is the entropy, by another way: a sum over a fine grid.
        let entropy = -mixture.log_prob(&sample).iter().sum::<f64>() / 1e5;
        let step = 0.05;
        let grid = Matrix::from_fn(400 * 400, 2, |point, j| {
            let index = if j == 0 { point / 400 } else { point % 400 };
            step * (index as f64 - 199.5)
        });
        let exact: f64 = mixture.log_prob(&grid).iter().map(|p| -p * p.exp()).sum();
        assert!(
            (entropy - exact * step * step).abs() < 0.01,
            "{entropy} {exact}"
        );
    }
}
