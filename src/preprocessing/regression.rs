use serde::{Deserialize, Serialize};

use crate::data::{effective_sample_size, resample, take, take_weights, weighted_mean};
use crate::matrix::Matrix;

use super::bulk;
use super::whiten::mean_product;

/// The linear part of what context says about the data: `x - M c` is modelled in place of x, so that a flow that starts as the
/// identity starts as a linear-Gaussian regression. A translation: it has no log-determinant.
///
/// M is a ridge regression (Hoerl and Kennard 1970) of each column on the prepared context. Each column has the penalty that
/// generalized cross-validation prefers (Golub, Heath and Wahba 1979, eq. 1.4), and M is fitted to the bulk of the rows where
/// outliers are compressed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Regression {
    /// M by rows: a row a modelled column, a number a prepared context column.
    pub slopes: Vec<Vec<f64>>,
}

/// Penalties to choose from, in variances of a prepared context column.
const PENALTIES: [f64; 10] = [1e-8, 1e-6, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1e4];

/// The fraction of the rows that must be left beyond the degrees of freedom: near none the criterion is a ratio of rounding errors.
const LEAST_SPARE: f64 = 0.1;

/// Multiply-adds that the products of the context's columns may take: of longer tables some rows are taken, evenly.
const MOST_PRODUCTS: usize = 1 << 31;

/// How often the bulk is sought, each time by the residuals of the fit before.
const ROUNDS: usize = 3;

/// Which modelled columns the regression is taken out of; the others have slopes of 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinearPart {
    /// All of them: nothing else is fitted.
    Always,
    /// Those that a flow learns better without it, by what was measured (docs/quality.md): where it leaves little, and where there are
    /// few rows to learn it from and it explains nearly all that a quadratic regression does. Elsewhere it would bend what is simple.
    WhereItPays,
}

/// The fraction of a column's variance that is little.
const LITTLE: f64 = 0.05;

/// Rows that are few, and the fraction of what a quadratic regression explains that is nearly all.
const FEW_ROWS: f64 = 1000.0;
const NEARLY_ALL: f64 = 0.95;

impl Regression {
    /// Of the columns of `x` on those of `c`; and for each of them how much wider the residuals of new rows are than those of the
    /// rows that it was fitted to, as generalized cross-validation estimates it: 1 / (1 - p / n).
    pub(super) fn fit(
        x: &Matrix<f64>,
        c: &Matrix<f64>,
        weights: &[f64],
        robust: bool,
        part: LinearPart,
    ) -> (Self, Vec<f64>) {
        let most = (MOST_PRODUCTS / c.columns().pow(2)).max(1);
        let some = resample(x.rows(), &[], x.rows().min(most));
        let (x, c) = (take(x, &some), take(c, &some));
        let weights = take_weights(weights, &some);
        let (rows, mut fits) = Self::fits(&x, &c, &weights, robust);
        if part == LinearPart::WhereItPays {
            let [x, c] = [&x, &c].map(|all| take(all, &rows));
            let weights = take_weights(&weights, &rows);
            let quadratic = quadratic(&c, size(&x, &weights)).map(|c| of_all(&x, &c, &weights));
            for (d, fit) in fits.iter_mut().enumerate() {
                let curved = quadratic.as_ref().map(|fits| fits[d].criterion);
                let explains_nearly_all =
                    curved.is_some_and(|left| 1.0 - fit.criterion >= NEARLY_ALL * (1.0 - left));
                if fit.criterion > LITTLE && !explains_nearly_all {
                    fit.slopes.fill(0.0);
                    fit.spare = 1.0;
                }
            }
        }
        let fits = fits.into_iter();
        let (slopes, widening) = fits
            .map(|fit| (fit.slopes, 1.0 / fit.spare.max(LEAST_SPARE)))
            .unzip();
        (Regression { slopes }, widening)
    }

    /// The best fit to each column of `x`, and the rows that it is fitted to.
    fn fits(
        x: &Matrix<f64>,
        c: &Matrix<f64>,
        weights: &[f64],
        robust: bool,
    ) -> (Vec<u32>, Vec<Fit>) {
        let mut fitted = of_all(x, c, weights);
        let mut kept: Vec<u32> = (0..x.rows() as u32).collect();
        for _ in 0..if robust { ROUNDS } else { 0 } {
            let slopes = fitted.iter().map(|fit| fit.slopes.clone()).collect();
            let residual = Regression { slopes }.residual(x, c);
            let Some(rows) = bulk::nearest(&standardized(residual, weights), weights) else {
                break;
            };
            if rows == kept {
                break;
            }
            let weights = take_weights(weights, &rows);
            fitted = of_all(&take(x, &rows), &take(c, &rows), &weights);
            kept = rows;
        }
        (kept, fitted)
    }

    /// M c.
    pub(super) fn mean(&self, c: &Matrix<f64>) -> Matrix<f64> {
        let mut mean = Matrix::zeros(c.rows(), self.slopes.len());
        for (d, slopes) in self.slopes.iter().enumerate() {
            for (j, slope) in slopes.iter().enumerate() {
                for (mean, c) in mean.column_mut(d).iter_mut().zip(c.column(j)) {
                    *mean += slope * c;
                }
            }
        }
        mean
    }

    /// x - M c.
    pub(super) fn residual(&self, x: &Matrix<f64>, c: &Matrix<f64>) -> Matrix<f64> {
        let mean = self.mean(c);
        Matrix::from_fn(x.rows(), x.columns(), |row, d| {
            x.get(row, d) - mean.get(row, d)
        })
    }

    pub(super) fn is_valid(&self, dims: usize, context: usize) -> bool {
        self.slopes.len() == dims
            && self
                .slopes
                .iter()
                .all(|row| row.len() == context && row.iter().all(|m| m.is_finite()))
    }
}

/// How many rows of equal weight they are worth.
fn size(rows: &Matrix<f64>, weights: &[f64]) -> f64 {
    match weights.is_empty() {
        true => rows.rows() as f64,
        false => effective_sample_size(weights),
    }
}

/// The context, its squares and its products, of few rows; none of more, or where they are too many to tell anything.
fn quadratic(c: &Matrix<f64>, size: f64) -> Option<Matrix<f64>> {
    let count = c.columns();
    let pairs: Vec<(usize, usize)> = (0..count)
        .flat_map(|i| (i..count).map(move |j| (i, j)))
        .collect();
    if size > FEW_ROWS || (count + pairs.len()) as f64 > 0.25 * size {
        return None;
    }
    let products = Matrix::from_fn(c.rows(), pairs.len(), |row, k| {
        let (i, j) = pairs[k];
        c.get(row, i) * c.get(row, j)
    });
    Some(c.concat_columns(&products))
}

/// The best ridge regression of each column of `x` on those of `c`.
fn of_all(x: &Matrix<f64>, c: &Matrix<f64>, weights: &[f64]) -> Vec<Fit> {
    let size = size(x, weights);
    let (x, c) = (centered(x, weights), centered(c, weights));
    let covariance = |a: &[f64], b: &[f64]| mean_product(a, b, weights);
    let columns = || (0..c.columns()).map(|j| c.column(j));
    let of_context: Vec<Vec<f64>> = columns()
        .map(|a| columns().map(|b| covariance(a, b)).collect())
        .collect();
    let target = |x: &[f64]| Target {
        variance: covariance(x, x),
        with_context: columns().map(|c| covariance(x, c)).collect(),
    };
    let targets: Vec<Target> = (0..x.columns()).map(|d| target(x.column(d))).collect();
    // Of equal ones the strongest penalty.
    let mut penalties = PENALTIES.iter().rev();
    let ridge = |&penalty: &f64| ridge(&of_context, &targets, penalty, size);
    let mut best = penalties.next().map_or_else(Vec::new, ridge);
    for fits in penalties.map(ridge) {
        for (best, fit) in best.iter_mut().zip(fits) {
            if fit.criterion < best.criterion {
                *best = fit;
            }
        }
    }
    best
}

/// The second moments of a modelled column.
struct Target {
    variance: f64,
    with_context: Vec<f64>,
}

fn centered(values: &Matrix<f64>, weights: &[f64]) -> Matrix<f64> {
    let means: Vec<f64> = (0..values.columns())
        .map(|j| weighted_mean(values.column(j), weights))
        .collect();
    Matrix::from_fn(values.rows(), values.columns(), |row, j| {
        values.get(row, j) - means[j]
    })
}

fn standardized(values: Matrix<f64>, weights: &[f64]) -> Matrix<f64> {
    let mut values = centered(&values, weights);
    for j in 0..values.columns() {
        let column = values.column_mut(j);
        let deviation = mean_product(column, column, weights).sqrt();
        if deviation > 0.0 {
            column.iter_mut().for_each(|x| *x /= deviation);
        }
    }
    values
}

/// What a penalty gives a modelled column.
struct Fit {
    /// That of generalized cross-validation: the part of the variance that is left, over (1 - p / n)^2 for p degrees of freedom
    /// and n rows. Infinite where 1 - p / n is below [`LEAST_SPARE`].
    criterion: f64,
    /// 1 - p / n.
    spare: f64,
    slopes: Vec<f64>,
}

fn ridge(of_context: &[Vec<f64>], targets: &[Target], penalty: f64, rows: f64) -> Vec<Fit> {
    let count = of_context.len();
    let mut penalized = of_context.to_vec();
    for (i, row) in penalized.iter_mut().enumerate() {
        row[i] += penalty;
    }
    let lower = cholesky(penalized);
    // tr((S + k I)^-1), column by column of the inverse.
    let trace: f64 = (0..count)
        .map(|i| {
            let mut unit = vec![0.0; count];
            unit[i] = 1.0;
            solve(&lower, unit)[i]
        })
        .sum();
    // The intercept is one more.
    let freedom = 1.0 + count as f64 - penalty * trace;
    let spare = 1.0 - freedom / rows;
    let fit = |target: &Target| {
        let slopes = solve(&lower, target.with_context.clone());
        let explained: f64 = (0..count)
            .map(|i| slopes[i] * (2.0 * target.with_context[i] - dot(&of_context[i], &slopes)))
            .sum();
        let left = (1.0 - explained / target.variance.max(f64::MIN_POSITIVE)).max(0.0);
        Fit {
            criterion: match spare >= LEAST_SPARE {
                true => left / (spare * spare),
                false => f64::INFINITY,
            },
            spare,
            slopes,
        }
    };
    targets.iter().map(fit).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The lower Cholesky factor of a positive definite matrix.
fn cholesky(mut a: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    for i in 0..a.len() {
        let (above, rest) = a.split_at_mut(i);
        let row = &mut rest[0];
        for j in 0..i {
            row[j] = (row[j] - dot(&row[..j], &above[j][..j])) / above[j][j];
        }
        let diagonal = row[i] - dot(&row[..i], &row[..i]);
        row[i] = diagonal.max(f64::MIN_POSITIVE).sqrt();
    }
    a
}

/// L L^T x = b.
fn solve(lower: &[Vec<f64>], mut b: Vec<f64>) -> Vec<f64> {
    for i in 0..b.len() {
        b[i] = (b[i] - dot(&lower[i][..i], &b[..i])) / lower[i][i];
    }
    for i in (0..b.len()).rev() {
        let later: f64 = (i + 1..b.len()).map(|j| lower[j][i] * b[j]).sum();
        b[i] = (b[i] - later) / lower[i][i];
    }
    b
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, normal_at};

    fn z(seed: u64, rows: usize, columns: usize) -> Matrix<f64> {
        Matrix::from_fn(rows, columns, |row, j| {
            f64::from(normal_at(seed, Purpose::TargetRows, row as u64, j))
        })
    }

    #[test]
    fn slopes_are_found_whatever_a_few_rows_say() {
        let c = z(1, 5000, 3);
        let noise = z(2, 5000, 2);
        let mut x = Matrix::from_fn(5000, 2, |row, d| {
            let c = |j| c.get(row, j);
            let mean = if d == 0 {
                2.0 * c(0) - c(2)
            } else {
                100.0 * c(1)
            };
            7.0 + mean + 0.1 * noise.get(row, d)
        });
        let close = |fitted: &Regression, tolerance: f64| {
            for (slopes, expected) in fitted
                .slopes
                .iter()
                .zip([[2.0, 0.0, -1.0], [0.0, 100.0, 0.0]])
            {
                for (slope, expected) in slopes.iter().zip(expected) {
                    assert!((slope - expected).abs() < tolerance, "{:?}", fitted.slopes);
                }
            }
        };
        close(
            &Regression::fit(&x, &c, &[], false, LinearPart::Always).0,
            0.01,
        );
        for row in 0..10 {
            x.column_mut(0)[500 * row] = 1e6 * (row as f64 - 3.0);
        }
        close(
            &Regression::fit(&x, &c, &[], true, LinearPart::Always).0,
            0.01,
        );
        assert!(
            (Regression::fit(&x, &c, &[], false, LinearPart::Always)
                .0
                .slopes[0][0]
                - 2.0)
                .abs()
                > 1.0
        );
    }

    /// More columns than rows: the penalty keeps noise from being learned.
    #[test]
    fn noise_is_not_learned_from_few_rows() {
        let (c, x) = (z(1, 60, 100), z(2, 60, 1));
        let (fitted, widening) = Regression::fit(&x, &c, &[], false, LinearPart::Always);
        let new = z(3, 2000, 100);
        let mean = fitted.mean(&new);
        let variance = mean.column(0).iter().map(|m| m * m).sum::<f64>() / 2000.0;
        assert!(variance < 0.6, "{variance}");
        // Residuals of new rows are as wide as it says, about.
        let deviation = |x: &Matrix<f64>, c| -> f64 {
            let residual = fitted.residual(x, c);
            let squares = residual.values().iter().map(|r| r * r).sum::<f64>();
            (squares / residual.rows() as f64).sqrt()
        };
        let ratio = deviation(&z(4, 2000, 1), &new) / deviation(&x, &c);
        assert!(
            (ratio / widening[0] - 1.0).abs() < 0.25,
            "{ratio} {widening:?}"
        );
    }

    /// Whether a regression on the first of three columns is kept: of a number that follows from it by `mean`, and noise.
    fn is_kept(rows: usize, noise: f64, mean: impl Fn(f64) -> f64) -> bool {
        let (c, e) = (z(1, rows, 3), z(2, rows, 1));
        let x = Matrix::from_fn(rows, 1, |row, _| {
            mean(c.get(row, 0)) + noise * e.get(row, 0)
        });
        let (fitted, _) = Regression::fit(&x, &c, &[], true, LinearPart::WhereItPays);
        fitted.slopes[0].iter().any(|slope| *slope != 0.0)
    }

    #[test]
    fn a_linear_part_is_taken_where_it_pays() {
        assert!(is_kept(5000, 0.1, |c| c));
        assert!(!is_kept(5000, 1.0, |c| c));
        assert!(is_kept(300, 1.0, |c| c));
        assert!(!is_kept(300, 1.0, |c| c + c * c));
        assert!(is_kept(5000, 0.1, |c| c + 0.1 * c * c));
    }

    #[test]
    fn copies_in_the_context_do_no_harm() {
        let one = z(1, 500, 1);
        let c = one.concat_columns(&one).concat_columns(&one);
        let x = one.map(|c| 3.0 * c);
        let residual = Regression::fit(&x, &c, &[], true, LinearPart::Always)
            .0
            .residual(&x, &c);
        assert!(residual.values().iter().all(|r| r.abs() < 1e-4));
    }
}
