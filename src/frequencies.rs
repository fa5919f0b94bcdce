//! The distribution of columns of categories: smoothed frequencies of their joint levels.
//!
//! It is a chain of conditional distributions, a column after those before it. Each is a sequence of smoothed frequencies given more and
//! more of the others, the most informative first, every one of which leans on the one before: p_r(l | c_1..c_r) = (n(c_1..c_r, l) +
//! a_r p_{r-1}(l | c_1..c_{r-1})) / (n(c_1..c_r) + a_r), where n counts rows and p_{-1} is uniform. That is the mean of a Dirichlet
//! distribution about the coarser one (MacKay and Peto 1995, "A hierarchical Dirichlet language model"). The a_r are those under which
//! the rows are likeliest, each under the counts of the others. All is exact: the probabilities of all joint levels add up to 1.

use std::collections::HashMap;

use crate::matrix::Matrix;
use crate::numeric::index_at;
use crate::random::{Purpose, uniform, words};

/// More columns than this say little that the others do not.
const MOST_PARENTS: usize = 8;

/// Smoothing that is tried: from a tenth of a row to some thousands, each twice the one before.
const LEAST_SMOOTHING: f64 = 0.1;
const SMOOTHINGS: i32 = 18;

/// The distribution of some columns of levels, perhaps given others.
#[derive(Clone, Debug, PartialEq)]
pub struct Frequencies {
    /// How many levels each column has: the modelled ones, then those that are given.
    levels: Vec<usize>,
    modelled: usize,
    /// The different rows, and how many there are of each.
    rows: Vec<Vec<u16>>,
    counts: Vec<f64>,
    chain: Vec<Factor>,
}

/// The distribution of one column given columns before it.
#[derive(Clone, Debug, PartialEq)]
struct Factor {
    column: usize,
    /// The columns that it is given, the most informative first.
    parents: Vec<usize>,
    /// Before any of them, and with each.
    smoothing: Vec<f64>,
    /// For so many of the parents, how many rows have each of the column's levels, by the parents' levels.
    tables: Vec<HashMap<Vec<u16>, Vec<f64>>>,
}

impl Frequencies {
    /// Fitted to rows of indices of levels, of columns with so many levels each, of which the first `modelled` are modelled given the
    /// others. `weights` has the rows' weights, or nothing where all count the same.
    pub fn fit(rows: &Matrix<f64>, levels: Vec<usize>, modelled: usize, weights: &[f64]) -> Self {
        let mut index: HashMap<Vec<u16>, usize> = HashMap::new();
        let (mut different, mut counts) = (Vec::new(), Vec::new());
        let total: f64 = weights.iter().sum();
        for row in 0..rows.rows() {
            let of_row = to_levels(rows.row(row));
            let at = *index.entry(of_row.clone()).or_insert_with(|| {
                different.push(of_row);
                counts.push(0.0);
                counts.len() - 1
            });
            counts[at] += match weights.get(row) {
                None => 1.0,
                Some(weight) => weight * rows.rows() as f64 / total,
            };
        }
        // As a file has them.
        counts
            .iter_mut()
            .for_each(|count| *count = f64::from(*count as f32));
        let mut fitted = Frequencies {
            levels,
            modelled,
            rows: different,
            counts,
            chain: Vec::new(),
        };
        // The given columns stand before all others.
        fitted.chain = (0..modelled)
            .map(|column| {
                let mut others: Vec<usize> = (modelled..fitted.levels.len()).collect();
                others.extend(0..column);
                fitted.factor(column, others)
            })
            .collect();
        fitted
    }

    /// From what a file has: the different rows and their counts, and for each modelled column its parents and its smoothing.
    ///
    /// # Errors
    /// Says what cannot be.
    pub fn from_parts(
        levels: Vec<usize>,
        modelled: usize,
        rows: Vec<Vec<u16>>,
        counts: Vec<f64>,
        chain: Vec<(Vec<usize>, Vec<f64>)>,
    ) -> Result<Self, String> {
        let is_row = |row: &Vec<u16>| {
            row.len() == levels.len()
                && row
                    .iter()
                    .zip(&levels)
                    .all(|(l, count)| usize::from(*l) < *count)
        };
        if !rows.iter().all(is_row) || counts.len() != rows.len() {
            return Err("rows of levels that the columns do not have".into());
        }
        if counts
            .iter()
            .any(|count| !(*count > 0.0 && count.is_finite()))
        {
            return Err("counts of levels that are not positive".into());
        }
        let is_factor = |(column, (parents, smoothing)): (usize, &(Vec<usize>, Vec<f64>))| {
            let is_before =
                |parent: &usize| *parent < column || (modelled..levels.len()).contains(parent);
            parents.iter().all(is_before)
                && smoothing.len() == parents.len() + 1
                && smoothing.iter().all(|a| *a > 0.0 && a.is_finite())
        };
        if chain.len() != modelled || !chain.iter().enumerate().all(is_factor) {
            return Err("a chain of levels that is not one".into());
        }
        let mut fitted = Frequencies {
            levels,
            modelled,
            rows,
            counts,
            chain: Vec::new(),
        };
        let chain = chain.into_iter().enumerate();
        fitted.chain = chain
            .map(|(column, (parents, smoothing))| Factor {
                tables: (0..=parents.len())
                    .map(|r| fitted.table(column, &parents[..r]))
                    .collect(),
                column,
                parents,
                smoothing,
            })
            .collect();
        Ok(fitted)
    }

    /// How many columns are modelled.
    pub fn modelled(&self) -> usize {
        self.modelled
    }

    /// How many levels each column has: the modelled ones, then the given ones.
    pub fn levels(&self) -> &[usize] {
        &self.levels
    }

    /// The different rows, and how many there are of each.
    pub fn counts(&self) -> (&[Vec<u16>], &[f64]) {
        (&self.rows, &self.counts)
    }

    /// For each modelled column the columns that it is given, and its smoothing.
    pub fn chain(&self) -> impl Iterator<Item = (&[usize], &[f64])> {
        let chain = self.chain.iter();
        chain.map(|factor| (&factor.parents[..], &factor.smoothing[..]))
    }

    /// How many rows have each level of `column`, by the levels of `parents`.
    fn table(&self, column: usize, parents: &[usize]) -> HashMap<Vec<u16>, Vec<f64>> {
        let mut table: HashMap<Vec<u16>, Vec<f64>> = HashMap::new();
        for (row, count) in self.rows.iter().zip(&self.counts) {
            let key = parents.iter().map(|parent| row[*parent]).collect();
            let counts = table.entry(key);
            let counts = counts.or_insert_with(|| vec![0.0; self.levels[column]]);
            counts[usize::from(row[column])] += count;
        }
        table
    }

    /// Mutual information of two columns, in nats.
    fn information(&self, column: usize, other: usize) -> f64 {
        let of_both = self.table(column, &[other]);
        let alone = self.table(column, &[]);
        let Some(alone) = alone.get(&Vec::new()) else {
            return 0.0;
        };
        let total: f64 = alone.iter().sum();
        let mut sum = 0.0;
        for counts in of_both.values() {
            let of_other: f64 = counts.iter().sum();
            for (count, of_column) in counts.iter().zip(alone) {
                if *count > 0.0 {
                    sum += count / total * (count * total / (of_other * of_column)).ln();
                }
            }
        }
        sum
    }

    /// The distribution of a column given some of these others.
    fn factor(&self, column: usize, others: Vec<usize>) -> Factor {
        let mut others: Vec<(f64, usize)> = others
            .into_iter()
            .map(|other| (self.information(column, other), other))
            .collect();
        others.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let uniform = vec![1.0 / self.levels[column] as f64; self.rows.len()];
        let none = self.table(column, &[]);
        let (smoothing, mut of_rows, mut best) = self.smoothed(column, &[], &none, &uniform);
        let mut factor = Factor {
            column,
            parents: Vec::new(),
            smoothing: vec![smoothing],
            tables: vec![none],
        };
        for (_, other) in others {
            if factor.parents.len() == MOST_PARENTS {
                break;
            }
            let mut parents = factor.parents.clone();
            parents.push(other);
            let table = self.table(column, &parents);
            let (smoothing, with_it, sum) = self.smoothed(column, &parents, &table, &of_rows);
            if sum > best {
                (of_rows, best) = (with_it, sum);
                factor.parents = parents;
                factor.smoothing.push(smoothing);
                factor.tables.push(table);
            }
        }
        factor
    }

    /// The smoothing under which the rows are likeliest, each under the others' counts; their probabilities then, and the sum of the
    /// logarithms. `coarser` has those of the distribution that it leans on.
    fn smoothed(
        &self,
        column: usize,
        parents: &[usize],
        table: &HashMap<Vec<u16>, Vec<f64>>,
        coarser: &[f64],
    ) -> (f64, Vec<f64>, f64) {
        let others = self.rows.iter().map(|row| {
            let key: Vec<u16> = parents.iter().map(|parent| row[*parent]).collect();
            let counts = &table[&key];
            let sum: f64 = counts.iter().sum();
            (counts[usize::from(row[column])], sum)
        });
        let others: Vec<(f64, f64)> = others.collect();
        let with = |a: f64| {
            let of_rows = others.iter().zip(coarser);
            let of_rows: Vec<f64> = of_rows
                .map(|(&(count, sum), coarser)| left_out(count, sum, a, *coarser))
                .collect();
            let log_sum: f64 = of_rows
                .iter()
                .zip(&self.counts)
                .map(|(p, n)| n * p.ln())
                .sum();
            (a, of_rows, log_sum)
        };
        let all = (0..SMOOTHINGS).map(|k| with(LEAST_SMOOTHING * 2f64.powi(k)));
        all.reduce(|best, next| if next.2 > best.2 { next } else { best })
            .unwrap_or_else(|| with(1.0))
    }

    /// ln p of the modelled levels of each row given the others: rows of indices of levels.
    pub fn log_prob(&self, rows: &Matrix<f64>) -> Vec<f64> {
        self.log_prob_by(rows, smoothed)
    }

    /// The same of rows that it was fitted to, each under the counts of the others.
    pub fn log_prob_left_out(&self, rows: &Matrix<f64>) -> Vec<f64> {
        self.log_prob_by(rows, left_out)
    }

    fn log_prob_by(
        &self,
        rows: &Matrix<f64>,
        step: impl Fn(f64, f64, f64, f64) -> f64 + Copy,
    ) -> Vec<f64> {
        let of_row = |row: usize| {
            let row = to_levels(rows.row(row));
            let factors = self.chain.iter();
            factors
                .map(|factor| {
                    let level = usize::from(row[factor.column]);
                    factor
                        .probability(&row, level, self.levels[factor.column], step)
                        .ln()
                })
                .sum()
        };
        (0..rows.rows()).map(of_row).collect()
    }

    /// Levels of the modelled columns, for rows of a sample with these levels of the given columns; a row depends on the seed and on
    /// its number alone.
    pub fn sample(&self, seed: u64, numbers: &[u64], given: &Matrix<f64>) -> Matrix<f64> {
        let mut sample = Matrix::zeros(numbers.len(), self.modelled);
        for (k, &number) in numbers.iter().enumerate() {
            let mut row = vec![0; self.modelled];
            row.extend(to_levels(given.row(k)));
            for factor in &self.chain {
                let count = self.levels[factor.column];
                let all = factor.probabilities(&row, count);
                let column = factor.column as u32;
                let word = words(seed, Purpose::Levels, number, column / 4)[factor.column % 4];
                let level = index_at(all.into_iter(), uniform(word));
                row[factor.column] = level as u16;
                sample.column_mut(factor.column)[k] = level as f64;
            }
        }
        sample
    }
}

impl Factor {
    /// The probability of a level given the row's levels of the parents.
    fn probability(
        &self,
        row: &[u16],
        level: usize,
        levels: usize,
        step: impl Fn(f64, f64, f64, f64) -> f64,
    ) -> f64 {
        let mut p = 1.0 / levels as f64;
        for (counts, a) in self.counts_for(row) {
            p = step(counts[level], counts.iter().sum(), a, p);
        }
        p
    }

    /// The probabilities of all levels given the row's levels of the parents.
    fn probabilities(&self, row: &[u16], levels: usize) -> Vec<f64> {
        let mut all = vec![1.0 / levels as f64; levels];
        for (counts, a) in self.counts_for(row) {
            let sum = counts.iter().sum();
            for (p, count) in all.iter_mut().zip(counts) {
                *p = smoothed(*count, sum, a, *p);
            }
        }
        all
    }

    /// The counts of the levels given more and more of the parents, with the smoothing of each, as long as some row has these levels of
    /// the parents.
    fn counts_for(&self, row: &[u16]) -> impl Iterator<Item = (&[f64], f64)> {
        let tables = self.tables.iter().zip(&self.smoothing).enumerate();
        tables.map_while(move |(r, (table, a))| {
            let parents = self.parents[..r].iter();
            let key: Vec<u16> = parents.map(|parent| row[*parent]).collect();
            Some((&table.get(&key)?[..], *a))
        })
    }
}

/// A frequency that leans on a coarser one.
fn smoothed(count: f64, sum: f64, a: f64, coarser: f64) -> f64 {
    (count + a * coarser) / (sum + a)
}

/// A smoothed frequency without one row of the level.
fn left_out(count: f64, sum: f64, a: f64, coarser: f64) -> f64 {
    smoothed((count - 1.0).max(0.0), (sum - 1.0).max(0.0), a, coarser)
}

fn to_levels(row: impl Iterator<Item = f64>) -> Vec<u16> {
    row.map(|level| level as u16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three columns: the second follows the first in nine of ten rows, the third is by itself.
    fn rows(count: usize, seed: u64) -> Matrix<f64> {
        let at = |row: usize, k: usize| uniform(words(seed, Purpose::TargetRows, row as u64, 0)[k]);
        Matrix::from_fn(count, 3, |row, j| {
            let first = (at(row, 0) * 3.0).floor();
            match j {
                0 => first,
                1 if at(row, 1) < 0.9 => first,
                1 => (at(row, 1) * 30.0).floor() % 3.0,
                _ => (at(row, 2) * 4.0).floor(),
            }
        })
    }

    fn all(levels: &[usize]) -> Matrix<f64> {
        Matrix::from_fn(levels.iter().product(), levels.len(), |row, j| {
            let before: usize = levels[..j].iter().product();
            (row / before % levels[j]) as f64
        })
    }

    #[test]
    fn probabilities_add_up_to_one_and_find_what_depends() {
        // A level that no row has is there, too.
        let levels = vec![3, 4, 5];
        let fitted = Frequencies::fit(&rows(2000, 1), levels.clone(), 3, &[]);
        let everything = all(&levels);
        let sum: f64 = fitted.log_prob(&everything).iter().map(|p| p.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
        let parents: Vec<&[usize]> = fitted.chain().map(|(parents, _)| parents).collect();
        assert_eq!(parents[1], [0]);
        let entropy = 3f64.ln() + 4f64.ln() + 0.2912;
        let nll = -fitted.log_prob(&rows(5000, 2)).iter().sum::<f64>() / 5000.0;
        assert!((nll - entropy).abs() < 0.02, "{nll} {entropy}");
        let left_out = -fitted.log_prob_left_out(&rows(2000, 1)).iter().sum::<f64>() / 2000.0;
        assert!((nll - left_out).abs() < 0.05, "{nll} {left_out}");
    }

    #[test]
    fn samples_have_the_probabilities() {
        let fitted = Frequencies::fit(&rows(500, 3), vec![3, 3, 4], 3, &[]);
        let numbers: Vec<u64> = (0..40_000).collect();
        let sample = fitted.sample(7, &numbers, &Matrix::zeros(numbers.len(), 0));
        let everything = all(&[3, 3, 4]);
        for (row, p) in fitted.log_prob(&everything).into_iter().enumerate() {
            let wanted: Vec<f64> = everything.row(row).collect();
            let count = (0..numbers.len()).filter(|&k| sample.row(k).eq(wanted.iter().copied()));
            let part = count.count() as f64 / numbers.len() as f64;
            let error = (p.exp() / numbers.len() as f64).sqrt();
            assert!((part - p.exp()).abs() < 5.0 * error + 1e-4, "{wanted:?}");
        }
        let one = fitted.sample(7, &[123], &Matrix::zeros(1, 0));
        assert!(one.row(0).eq(sample.row(123)));
    }

    #[test]
    fn given_levels_are_conditions() {
        let (levels, rows) = (vec![3, 3, 4], rows(1000, 4));
        let fitted = Frequencies::fit(&rows, levels.clone(), 2, &[]);
        let everything = all(&levels);
        for given in 0..4 {
            let of_given = fitted.log_prob(&everything).into_iter().enumerate();
            let sum: f64 = of_given
                .filter(|(row, _)| everything.get(*row, 2) == f64::from(given))
                .map(|(_, p)| p.exp())
                .sum();
            assert!((sum - 1.0).abs() < 1e-12, "{given}: {sum}");
        }
        let doubled: Vec<f64> = (0..1000).map(|row| 1.0 + f64::from(row % 2)).collect();
        let weighted = Frequencies::fit(&rows, levels.clone(), 2, &doubled);
        assert_ne!(weighted.log_prob(&everything), fitted.log_prob(&everything));
        let equal = Frequencies::fit(&rows, levels, 2, &[2.0; 1000]);
        assert_eq!(equal, fitted);
    }

    #[test]
    fn parts_make_the_same_and_nonsense_does_not() {
        let fitted = Frequencies::fit(&rows(300, 5), vec![3, 3, 4], 3, &[]);
        let (rows, counts) = fitted.counts();
        let chain: Vec<_> = fitted
            .chain()
            .map(|(p, s)| (p.to_vec(), s.to_vec()))
            .collect();
        let from = |rows: &[Vec<u16>], counts: &[f64], chain: &[(Vec<usize>, Vec<f64>)]| {
            Frequencies::from_parts(
                vec![3, 3, 4],
                3,
                rows.to_vec(),
                counts.to_vec(),
                chain.to_vec(),
            )
        };
        assert_eq!(from(rows, counts, &chain).unwrap(), fitted);
        assert!(from(&[vec![0, 0, 9]], &[1.0], &chain).is_err());
        assert!(from(rows, &counts[1..], &chain).is_err());
        assert!(from(rows, counts, &chain[1..]).is_err());
        let mut after = chain.clone();
        after[0] = (vec![2], vec![1.0, 1.0]);
        assert!(from(rows, counts, &after).is_err());
    }
}
