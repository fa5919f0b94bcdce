use std::f64::consts::TAU;
use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::cpu::dispatch;
use crate::matrix::Matrix;
use crate::numeric::log_sum_exp;

use super::{Component, GaussianMixture, context_first};

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
    /// The log-density of each row, in nats: of the modelled columns, given the context behind them, if there is any.
    ///
    /// # Panics
    /// For rows of another width.
    pub fn log_prob(&self, rows: &Matrix<f64>) -> Vec<f64> {
        assert_eq!(rows.columns(), self.width(), "columns of a row");
        let (of_both, of_context) = self.log_prob_of_both(&context_first(rows, self.dims()));
        let Some(of_context) = of_context else {
            return of_both;
        };
        let both = of_both.into_iter().zip(of_context);
        both.map(|(of_both, of_context)| log_prob_given(of_both, of_context))
            .collect()
    }

    /// The log-density of the context and the modelled columns, of rows with the context first, and that of the context, if there is
    /// any.
    pub(super) fn log_prob_of_both(&self, rows: &Matrix<f64>) -> (Vec<f64>, Option<Vec<f64>>) {
        let of_context = self.of_context().map(|it| it.log_sums(rows));
        (self.log_sums(rows), of_context)
    }

    /// The log-density of the first columns of rows, as many as the components have.
    fn log_sums(&self, rows: &Matrix<f64>) -> Vec<f64> {
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

    /// Each component's log-density of a block of rows, times its weight.
    pub(super) fn log_terms(&self, values: &Matrix<f64>, rows: Range<usize>) -> Vec<Vec<f64>> {
        let mut work = vec![0.0; self.width() * BLOCK_ROWS];
        let of_component = |component: &Component| {
            let mut out = vec![0.0; rows.len()];
            component.log_terms(values, rows.clone(), &mut work, &mut out);
            out
        };
        self.components.iter().map(of_component).collect()
    }
}

/// The log-density of x given c, from those of both and of c.
pub(super) fn log_prob_given(of_both: f64, of_context: f64) -> f64 {
    match of_both.is_finite() && of_context.is_finite() {
        true => of_both - of_context,
        // Farther out than f64 has squares.
        false => f64::NEG_INFINITY,
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

    /// Given a column, the density of the other is the part of both that it takes there.
    #[test]
    fn density_given_context_is_that_of_both_over_its_integral() {
        let both = mixture();
        let given = mixture().given(1);
        assert_eq!((given.dims(), given.context()), (1, 1));
        let step = 0.01;
        for c in [-2.0, 0.3, 1.1, 40.0] {
            let grid = |first: usize| {
                Matrix::from_fn(4000, 2, |point, j| match j == first {
                    true => c,
                    false => step * (point as f64 - 1999.5),
                })
            };
            let of_both: Vec<f64> = both.log_prob(&grid(0));
            let highest = of_both.iter().copied().fold(f64::MIN, f64::max);
            let sum: f64 = of_both.iter().map(|p| (p - highest).exp() * step).sum();
            for (given, of_both) in given.log_prob(&grid(1)).iter().zip(&of_both) {
                let expected = of_both - highest - sum.ln();
                assert!((given - expected).abs() < 1e-6, "{c}: {given} {expected}");
            }
        }
    }
}
