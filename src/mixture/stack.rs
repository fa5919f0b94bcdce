use rayon::prelude::*;

use crate::data::{resample, take, take_weights};
use crate::matrix::Matrix;
use crate::numeric::log_sum_exp;

use super::density::log_prob_given;
use super::{Folds, GaussianMixture, Shape, context_first};

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
    /// Of one modelled column, the probability of at most what each row has, likewise; empty of more.
    pub out_of_fold_cdf: Vec<f64>,
    /// The candidates that are kept: shape, components, weight.
    pub members: Vec<(Shape, usize, f64)>,
}

/// A candidate, and what it makes of rows that it was not fitted to.
struct Candidate {
    shape: Shape,
    count: usize,
    out_of_fold: OutOfFold,
}

/// The log-density of each row under what was fitted to the other folds.
struct OutOfFold {
    /// Of the context and the modelled columns.
    of_both: Vec<f64>,
    /// Of the context; empty where there is none.
    of_context: Vec<f64>,
    /// The probability of at most the row's number, of one modelled column; empty of more.
    cdf: Vec<f64>,
}

impl OutOfFold {
    /// The log-density of each row's modelled columns given its context.
    fn log_prob(&self) -> Vec<f64> {
        if self.of_context.is_empty() {
            return self.of_both.clone();
        }
        let both = self.of_both.iter().zip(&self.of_context);
        both.map(|(&of_both, &of_context)| log_prob_given(of_both, of_context))
            .collect()
    }
}

/// Fits mixtures to rows that have a deviation of about 1 in every direction, and weighs them; to some thousand of them where there are
/// more. Behind the modelled columns, `dims` of them, the rows may have context, which the density is given. `row_weights` of the rows
/// are none where all count the same.
pub fn stack(
    rows: &Matrix<f64>,
    dims: usize,
    row_weights: &[f64],
    folds: &Folds,
    seed: u64,
) -> Stacked {
    let context = rows.columns() - dims;
    let rows = &*context_first(rows, dims);
    let candidates: Vec<Candidate> = Shape::ALL
        .into_par_iter()
        .flat_map(|shape| candidates(rows, context, row_weights, folds, shape, seed))
        .collect();
    let all: Vec<&OutOfFold> = candidates.iter().map(|it| &it.out_of_fold).collect();
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
    let stacked = |of: fn(&OutOfFold) -> &[f64]| -> Vec<f64> {
        let rows = 0..of(all[0]).len();
        rows.map(|row| {
            let terms = weights.iter();
            log_sum_exp(terms.map(|&(index, weight)| weight.ln() + of(all[index])[row]))
        })
        .collect()
    };
    let out_of_fold = OutOfFold {
        of_both: stacked(|it| &it.of_both),
        of_context: stacked(|it| &it.of_context),
        cdf: Vec::new(),
    };
    // Each candidate's part of the density given a row's context.
    let cdf = (0..all[0].cdf.len()).map(|row| {
        let of_all = out_of_fold.of_context.get(row);
        let part = |(index, weight): &(usize, f64)| {
            let of_context = of_all.map_or(0.0, |of_all| all[*index].of_context[row] - of_all);
            weight * of_context.exp() * all[*index].cdf[row]
        };
        weights.iter().map(part).sum()
    });
    Stacked {
        out_of_fold: out_of_fold.log_prob(),
        out_of_fold_cdf: cdf.collect(),
        members: weights
            .iter()
            .map(|&(index, weight)| (candidates[index].shape, candidates[index].count, weight))
            .collect(),
        mixture: GaussianMixture::of_mixtures(fitted).given(context),
    }
}

/// Mixtures of a shape, of more and more components.
fn candidates(
    rows: &Matrix<f64>,
    context: usize,
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
        let out_of_fold = out_of_fold(rows, context, row_weights, folds, shape, count, seed);
        let score = mean(&out_of_fold.log_prob(), row_weights);
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
    context: usize,
    row_weights: &[f64],
    folds: &Folds,
    shape: Shape,
    count: usize,
    seed: u64,
) -> OutOfFold {
    let of_folds: Vec<(Vec<u32>, OutOfFold)> = (0..folds.count())
        .into_par_iter()
        .map(|fold| {
            let (others, within) = folds.split(fold);
            let others = thinned(others, rows.columns());
            let stream = stream(shape, count, fold);
            let others_weights = take_weights(row_weights, &others);
            let others = take(rows, &others);
            let mixture =
                GaussianMixture::fit(&others, &others_weights, shape, count, seed, stream);
            let mixture = mixture.given(context);
            let within_rows = take(rows, &within);
            let (of_both, of_context) = mixture.log_prob_of_both(&within_rows);
            let cdf = match mixture.dims() {
                1 => mixture.cdf(
                    within_rows.column(context),
                    &within_rows.select_columns(0..context),
                ),
                _ => Vec::new(),
            };
            let judged = OutOfFold {
                of_both,
                of_context: of_context.unwrap_or_default(),
                cdf,
            };
            (within, judged)
        })
        .collect();
    let in_order = |of: fn(&OutOfFold) -> &[f64]| -> Vec<f64> {
        let mut all: Vec<(u32, f64)> = of_folds
            .iter()
            .flat_map(|(within, it)| within.iter().copied().zip(of(it).iter().copied()))
            .collect();
        all.sort_unstable_by_key(|(row, _)| *row);
        all.into_iter().map(|(_, log_prob)| log_prob).collect()
    };
    OutOfFold {
        of_both: in_order(|it| &it.of_both),
        of_context: in_order(|it| &it.of_context),
        cdf: in_order(|it| &it.cdf),
    }
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
fn kept(all: &[&OutOfFold], row_weights: &[f64]) -> Vec<(usize, f64)> {
    let mut indices: Vec<usize> = (0..all.len()).collect();
    loop {
        let of_kept = |of: fn(&OutOfFold) -> &[f64]| -> Vec<&[f64]> {
            indices.iter().map(|&index| of(all[index])).collect()
        };
        let (of_both, of_context) = (of_kept(|it| &it.of_both), of_kept(|it| &it.of_context));
        let weights = weights_given(&of_both, &of_context, row_weights, ROUNDS);
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
    weights_given(log_probs, &[], row_weights, rounds)
}

/// The same of densities given context, whose mixture is given it as a whole: each density's part of a row follows from what it
/// makes of the context. `of_both` has the log-densities of context and modelled columns, `of_context` those of the context, if
/// there is any.
///
/// A round multiplies each weight by what the density gains on the rows over what it gains on their context: where the likelihood is
/// highest the two are the same. Without context that is EM.
fn weights_given(
    of_both: &[&[f64]],
    of_context: &[&[f64]],
    row_weights: &[f64],
    rounds: usize,
) -> Vec<f64> {
    const GAIN: f64 = 1e-7;
    let count = of_both.len();
    let has_context = of_context.iter().any(|it| !it.is_empty());
    let of_both = relative(of_both);
    let of_context = has_context.then(|| relative(of_context));
    let mut weights = vec![1.0 / count as f64; count];
    let mut before = f64::NEG_INFINITY;
    for _ in 0..rounds {
        let (mut next, mut log_prob) = parts(&of_both, &weights, row_weights);
        if let Some(of_context) = &of_context {
            let (parts, log_prob_of_context) = parts(of_context, &weights, row_weights);
            log_prob -= log_prob_of_context;
            for (next, (weight, part)) in next.iter_mut().zip(weights.iter().zip(parts)) {
                *next = if part > 0.0 {
                    weight * *next / part
                } else {
                    0.0
                };
            }
            let sum: f64 = next.iter().sum();
            next.iter_mut().for_each(|weight| *weight /= sum);
        }
        weights = next;
        if log_prob < before + GAIN {
            break;
        }
        before = log_prob;
    }
    weights
}

/// Densities of rows, relative to the highest of each row, which no weight changes.
fn relative(log_probs: &[&[f64]]) -> Vec<Vec<f64>> {
    let highest = |row: usize| {
        let all = log_probs.iter().map(|it| it[row]);
        all.fold(f64::NEG_INFINITY, f64::max)
    };
    let highest: Vec<f64> = (0..log_probs[0].len()).map(highest).collect();
    let of_density = |it: &&[f64]| {
        let all = it.iter().zip(&highest);
        all.map(|(p, highest)| match highest.is_finite() {
            true => (p - highest).exp(),
            false => 1.0,
        })
        .collect()
    };
    log_probs.iter().map(of_density).collect()
}

/// The part of all rows' weight that falls to each density, as a fraction, and the mean of the log-density.
fn parts(relative: &[Vec<f64>], weights: &[f64], row_weights: &[f64]) -> (Vec<f64>, f64) {
    let mut sums = vec![0.0; weights.len()];
    let (mut log_prob, mut total) = (0.0, 0.0);
    for row in 0..relative[0].len() {
        let of_row = row_weights.get(row).copied().unwrap_or(1.0);
        let terms = weights.iter().zip(relative);
        let density: f64 = terms.map(|(weight, it)| weight * it[row]).sum();
        if of_row > 0.0 && density > 0.0 {
            log_prob += of_row * density.ln();
            total += of_row;
            for (sum, (weight, it)) in sums.iter_mut().zip(weights.iter().zip(relative)) {
                *sum += of_row * weight * it[row] / density;
            }
        }
    }
    (
        sums.into_iter().map(|sum| sum / total).collect(),
        log_prob / total,
    )
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
        stack(rows, rows.columns(), row_weights, &folds, 1)
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

    /// Given the context, which says the lump that a row is of: near the truth, which has neither the lump's nor the context's part.
    #[test]
    fn stack_given_context_is_near_the_truth() {
        let drawn = |row: usize, j: usize| {
            let side = if row.is_multiple_of(3) { -1.2 } else { 0.8 };
            match j {
                0 => side + 0.1 * normal(row, 0),
                _ => -0.5 * side + 0.2 * normal(row, 1),
            }
        };
        let rows = Matrix::from_fn(1500, 2, drawn);
        let folds = Folds::new(&Repeats::of(&rows), 5, 1);
        let stacked = stack(&rows, 1, &[], &folds, 1);
        let new = Matrix::from_fn(20_000, 2, |row, j| drawn(row + 3000, j));
        let nll = -mean(&stacked.mixture.log_prob(&new), &[]);
        let entropy = 0.5 * (1.0 + std::f64::consts::TAU.ln()) + 0.1f64.ln();
        assert!(nll < entropy + 0.02, "{nll} {entropy}");
        let judged = -mean(&stacked.out_of_fold, &[]);
        assert!((judged - nll).abs() < 0.08, "{judged} {nll}");
        // What it was not fitted to is below its number as often as it should be.
        let mut below = stacked.out_of_fold_cdf;
        below.sort_by(f64::total_cmp);
        let far = below.iter().enumerate();
        let far = far.map(|(k, p)| (p - k as f64 / 1500.0).abs());
        assert!(far.fold(0.0, f64::max) < 0.05);
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
            2,
            &row_weights,
            &Folds::new(&Repeats::of(&rows), 5, 1),
            1,
        );
        assert_eq!(half.mixture, again.mixture);
    }
}
