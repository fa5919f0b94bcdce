use rayon::prelude::*;

use crate::data::{resample, take, take_weights};
use crate::matrix::Matrix;
use crate::numeric::log_sum_exp;

use super::{Folds, GaussianMixture, Shape};

/// How many components are tried, one after the other.
const COUNTS: [usize; 9] = [1, 2, 3, 4, 6, 8, 12, 20, 32];

/// Rows that there must be for each component.
const ROWS_EACH: usize = 4;

/// Rows that a mixture is fitted to, at most, evenly from all: more tell a mixture little, and a row costs the more the more columns it
/// has.
fn most_rows(dims: usize) -> usize {
    (32_000 / dims).clamp(500, 5000)
}

/// Counts in a row that are worse than the best before no more are tried.
const WORSE: usize = 2;

/// Rounds of EM for the weights of candidates: on 29 tables of 50 to 500 rows with 54 candidates, better by a hundredth of a nat
/// than their end.
const ROUNDS: usize = 30;

/// A candidate of less weight is dropped.
const LEAST_WEIGHT: f64 = 0.02;

/// Mixtures of several sizes and shapes, weighed by rows that they were not fitted to.
#[derive(Clone, Debug, PartialEq)]
pub struct Stacked {
    /// All of them as one mixture, fitted to all rows.
    pub mixture: GaussianMixture,
    /// The log-density of each row under what was fitted to the other folds.
    pub out_of_fold: Vec<f64>,
    /// The candidates that are kept: shape, components, weight.
    pub members: Vec<(Shape, usize, f64)>,
}

/// A candidate, and what it makes of rows that it was not fitted to.
struct Candidate {
    shape: Shape,
    count: usize,
    out_of_fold: Vec<f64>,
}

/// Fits mixtures to rows that have a deviation of about 1 in every direction, and weighs them; to some thousand of them where there are
/// more. `row_weights` of the rows are none where all count the same.
pub fn stack(rows: &Matrix<f64>, row_weights: &[f64], folds: &Folds, seed: u64) -> Stacked {
    let candidates: Vec<Candidate> = Shape::ALL
        .into_par_iter()
        .flat_map(|shape| candidates(rows, row_weights, folds, shape, seed))
        .collect();
    let all: Vec<&[f64]> = candidates.iter().map(|it| &it.out_of_fold[..]).collect();
    let weights = kept(&all, row_weights);
    let every = thinned((0..rows.rows() as u32).collect(), rows.columns());
    let (some, some_weights) = (take(rows, &every), take_weights(row_weights, &every));
    let fitted: Vec<(f64, GaussianMixture)> = weights
        .par_iter()
        .map(|&(index, weight)| {
            let Candidate { shape, count, .. } = candidates[index];
            let stream = stream(shape, count, folds.count());
            (
                weight,
                GaussianMixture::fit(&some, &some_weights, shape, count, seed, stream),
            )
        })
        .collect();
    let out_of_fold = (0..rows.rows()).map(|row| {
        let terms = weights.iter();
        log_sum_exp(terms.map(|&(index, weight)| weight.ln() + all[index][row]))
    });
    Stacked {
        out_of_fold: out_of_fold.collect(),
        members: weights
            .iter()
            .map(|&(index, weight)| (candidates[index].shape, candidates[index].count, weight))
            .collect(),
        mixture: GaussianMixture::of_mixtures(fitted),
    }
}

/// Mixtures of a shape, of more and more components.
fn candidates(
    rows: &Matrix<f64>,
    row_weights: &[f64],
    folds: &Folds,
    shape: Shape,
    seed: u64,
) -> Vec<Candidate> {
    let mut all: Vec<Candidate> = Vec::new();
    let (mut best, mut worse) = (f64::NEG_INFINITY, 0);
    for count in COUNTS {
        // One component is the same, tied or not.
        if (shape == Shape::Tied && count == 1) || (count > 1 && ROWS_EACH * count > rows.rows()) {
            continue;
        }
        let out_of_fold = out_of_fold(rows, row_weights, folds, shape, count, seed);
        let score = mean(&out_of_fold, row_weights);
        worse = if score > best { 0 } else { worse + 1 };
        best = best.max(score);
        all.push(Candidate {
            shape,
            count,
            out_of_fold,
        });
        if worse == WORSE {
            break;
        }
    }
    all
}

fn out_of_fold(
    rows: &Matrix<f64>,
    row_weights: &[f64],
    folds: &Folds,
    shape: Shape,
    count: usize,
    seed: u64,
) -> Vec<f64> {
    let of_folds: Vec<(Vec<u32>, Vec<f64>)> = (0..folds.count())
        .into_par_iter()
        .map(|fold| {
            let (others, within) = folds.split(fold);
            let others = thinned(others, rows.columns());
            let stream = stream(shape, count, fold);
            let others_weights = take_weights(row_weights, &others);
            let others = take(rows, &others);
            let mixture =
                GaussianMixture::fit(&others, &others_weights, shape, count, seed, stream);
            let log_prob = mixture.log_prob(&take(rows, &within));
            (within, log_prob)
        })
        .collect();
    let mut all = vec![0.0; rows.rows()];
    for (within, log_prob) in of_folds {
        for (row, log_prob) in within.into_iter().zip(log_prob) {
            all[row as usize] = log_prob;
        }
    }
    all
}

/// Some rows out of many.
fn thinned(numbers: Vec<u32>, dims: usize) -> Vec<u32> {
    let most = most_rows(dims);
    match numbers.len() {
        few if few <= most => numbers,
        many => resample(many, &[], most)
            .into_iter()
            .map(|index| numbers[index as usize])
            .collect(),
    }
}

/// One stream of random numbers for each fit.
fn stream(shape: Shape, count: usize, fold: usize) -> u64 {
    ((shape as u64) << 32) | ((count as u64) << 16) | fold as u64
}

/// The candidates that are kept, by their indices, and their weights.
fn kept(log_probs: &[&[f64]], row_weights: &[f64]) -> Vec<(usize, f64)> {
    let mut indices: Vec<usize> = (0..log_probs.len()).collect();
    loop {
        let of_kept: Vec<&[f64]> = indices.iter().map(|&index| log_probs[index]).collect();
        let weights = stacking_weights(&of_kept, row_weights, ROUNDS);
        if weights.iter().all(|weight| *weight >= LEAST_WEIGHT) || weights.len() == 1 {
            return indices.into_iter().zip(weights).collect();
        }
        let heaviest = weights.iter().copied().fold(0.0, f64::max);
        let mut weights = weights.into_iter();
        indices.retain(|_| {
            let weight = weights.next().unwrap_or(0.0);
            weight >= LEAST_WEIGHT || weight == heaviest
        });
    }
}

/// The weights of densities under which rows that none of them was fitted to are likeliest, by EM: `log_probs` has a density's
/// log-density of each row.
///
/// Of many densities and few rows, fewer rounds say less of the rows' chance.
pub fn stacking_weights(log_probs: &[&[f64]], row_weights: &[f64], rounds: usize) -> Vec<f64> {
    const GAIN: f64 = 1e-7;
    let count = log_probs.len();
    let rows = log_probs[0].len();
    // Relative to the highest of each row, which no weight changes.
    let relative: Vec<Vec<f64>> = {
        let highest = |row: usize| {
            log_probs
                .iter()
                .map(|it| it[row])
                .fold(f64::NEG_INFINITY, f64::max)
        };
        let highest: Vec<f64> = (0..rows).map(highest).collect();
        let of_density = |it: &&[f64]| {
            let all = it.iter().zip(&highest);
            all.map(|(p, highest)| {
                if highest.is_finite() {
                    (p - highest).exp()
                } else {
                    1.0
                }
            })
            .collect()
        };
        log_probs.iter().map(of_density).collect()
    };
    let mut weights = vec![1.0 / count as f64; count];
    let mut before = f64::NEG_INFINITY;
    for _ in 0..rounds {
        let mut sums = vec![0.0; count];
        let (mut log_prob, mut total) = (0.0, 0.0);
        for row in 0..rows {
            let of_row = row_weights.get(row).copied().unwrap_or(1.0);
            let density: f64 = weights
                .iter()
                .zip(&relative)
                .map(|(weight, it)| weight * it[row])
                .sum();
            if of_row > 0.0 && density > 0.0 {
                log_prob += of_row * density.ln();
                total += of_row;
                for (sum, (weight, it)) in sums.iter_mut().zip(weights.iter().zip(&relative)) {
                    *sum += of_row * weight * it[row] / density;
                }
            }
        }
        weights = sums.into_iter().map(|sum| sum / total).collect();
        log_prob /= total;
        if log_prob < before + GAIN {
            break;
        }
        before = log_prob;
    }
    weights
}

fn mean(log_prob: &[f64], row_weights: &[f64]) -> f64 {
    let weight = |row: usize| row_weights.get(row).copied().unwrap_or(1.0);
    let rows = 0..log_prob.len();
    let counted = rows.clone().filter(|&row| weight(row) > 0.0);
    counted.map(|row| weight(row) * log_prob[row]).sum::<f64>() / rows.map(weight).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Repeats;
    use crate::random::{Purpose, normal_at};

    fn normal(row: usize, column: usize) -> f64 {
        f64::from(normal_at(3, Purpose::TargetRows, row as u64, column))
    }

    fn stacked(rows: &Matrix<f64>, row_weights: &[f64]) -> Stacked {
        let folds = Folds::new(&Repeats::of(rows), 5, 1);
        stack(rows, row_weights, &folds, 1)
    }

    /// Of a Gaussian's rows a stack makes what the Gaussian of the rows is, to within what five hundred rows tell.
    #[test]
    fn stack_of_gaussian_rows_is_near_the_gaussian() {
        let rows = Matrix::from_fn(500, 3, normal);
        let new = Matrix::from_fn(20_000, 3, |row, j| normal(row + 1000, j));
        let stacked = stacked(&rows, &[]);
        let nll = -mean(&stacked.mixture.log_prob(&new), &[]);
        let entropy = 1.5 * (1.0 + std::f64::consts::TAU.ln());
        assert!(nll < entropy + 0.02, "{nll} {entropy}");
        let judged = -mean(&stacked.out_of_fold, &[]);
        assert!((judged - nll).abs() < 0.15, "{judged} {nll}");
    }

    /// Three clusters far apart: within a hundredth of a nat of the truth.
    #[test]
    fn stack_of_far_clusters_is_near_the_truth() {
        let drawn = |row: usize, j: usize| {
            let center = [[-1.3, 0.3], [0.2, -1.2], [1.1, 0.9]][row % 3][j];
            center + 0.05 * normal(row, j)
        };
        let rows = Matrix::from_fn(2000, 2, drawn);
        let new = Matrix::from_fn(30_000, 2, |row, j| drawn(row + 3000, j));
        let nll = -mean(&stacked(&rows, &[]).mixture.log_prob(&new), &[]);
        let entropy = 3f64.ln() + 1.0 + std::f64::consts::TAU.ln() + 2.0 * 0.05f64.ln();
        assert!(nll < entropy + 0.01, "{nll} {entropy}");
    }

    #[test]
    fn weights_of_densities_are_those_that_the_rows_came_from() {
        let log_prob = |center: f64| -> Vec<f64> {
            let row = |row: usize| if row.is_multiple_of(4) { -3.0 } else { 3.0 };
            (0..4000)
                .map(|k| -0.5 * (row(k) + normal(k, 0) - center).powi(2))
                .collect()
        };
        let [low, high, none] = [log_prob(-3.0), log_prob(3.0), log_prob(40.0)];
        let weights = stacking_weights(&[&low, &high, &none], &[], 1000);
        for (weight, expected) in weights.iter().zip([0.25, 0.75, 0.0]) {
            assert!((weight - expected).abs() < 0.01, "{weights:?}");
        }
        let heavy: Vec<f64> = (0..4000u32)
            .map(|k: u32| if k.is_multiple_of(4) { 3.0 } else { 1.0 })
            .collect();
        let weights = stacking_weights(&[&low, &high], &heavy, 1000);
        assert!((weights[0] - 0.5).abs() < 0.01, "{weights:?}");
    }

    #[test]
    fn few_rows_and_rows_without_weight_do_no_harm() {
        let few = Matrix::from_fn(6, 2, normal);
        assert!(
            stacked(&few, &[])
                .mixture
                .log_prob(&few)
                .iter()
                .all(|p| p.is_finite())
        );
        let rows = Matrix::from_fn(200, 2, normal);
        let row_weights: Vec<f64> = (0..200).map(|row| f64::from(u8::from(row < 100))).collect();
        let half = stacked(&rows, &row_weights);
        let other = Matrix::from_fn(
            200,
            2,
            |row, j| if row < 100 { rows.get(row, j) } else { 0.1 },
        );
        let again = stack(
            &other,
            &row_weights,
            &Folds::new(&Repeats::of(&rows), 5, 1),
            1,
        );
        assert_eq!(half.mixture, again.mixture);
    }
}
