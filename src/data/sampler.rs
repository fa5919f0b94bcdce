use std::collections::HashMap;

use crate::matrix::Matrix;
use crate::random::{Purpose, words};

use super::repeats::row_hashes;
use super::take;

/// Draws a sample of rows of which it is not known how many there are: those with the least random numbers, which depend on a row's number
/// alone.
pub(super) struct Sampler {
    /// Rows that it draws.
    pub most: usize,
    /// Rows seen.
    pub rows: u64,
    /// The rows that are kept, column by column, and their numbers.
    values: Vec<Vec<f64>>,
    numbers: Vec<u64>,
    /// The random number of each of them, and what that must be below.
    chances: Vec<u64>,
    below: u64,
    witnesses: Vec<Witnesses>,
    copies: Copies,
}

/// A sample.
pub(super) struct Sampled {
    pub values: Matrix<f64>,
    pub numbers: Vec<u64>,
    pub distinct: f64,
}

/// Rows that show what a column's numbers are, each with its number.
#[derive(Clone, Default)]
struct Witnesses {
    least: Option<(f64, u64, Vec<f64>)>,
    greatest: Option<(f64, u64, Vec<f64>)>,
    fractional: Option<(u64, Vec<f64>)>,
}

impl Sampler {
    pub fn new(most: usize, ignored: Option<usize>) -> Self {
        Sampler {
            most,
            rows: 0,
            values: Vec::new(),
            numbers: Vec::new(),
            chances: Vec::new(),
            below: u64::MAX,
            witnesses: Vec::new(),
            copies: Copies::new(ignored),
        }
    }

    pub fn note(&mut self, values: &Matrix<f64>) {
        self.values.resize(values.columns(), Vec::new());
        self.witnesses
            .resize(values.columns(), Witnesses::default());
        self.copies.note(values);
        let mut some = Vec::new();
        for row in 0..values.rows() {
            let number = self.rows + row as u64 + 1;
            let [high, low, ..] = words(0, Purpose::Sample, number, 0);
            let chance = u64::from(high) << 32 | u64::from(low);
            if chance < self.below {
                some.push(row);
                self.chances.push(chance);
                self.numbers.push(number);
            }
        }
        for (j, kept) in self.values.iter_mut().enumerate() {
            let column = values.column(j);
            kept.extend(some.iter().map(|&row| column[row]));
        }
        for (j, witnesses) in self.witnesses.iter_mut().enumerate() {
            witnesses.note(values, j, self.rows);
        }
        self.rows += values.rows() as u64;
        if self.chances.len() > 2 * self.most {
            self.prune();
        }
    }

    /// Keeps as many rows as the sample has.
    fn prune(&mut self) {
        if self.chances.len() <= self.most {
            return;
        }
        let mut sorted = self.chances.clone();
        let (_, below, _) = sorted.select_nth_unstable(self.most);
        self.below = *below;
        let is_kept: Vec<bool> = self.chances.iter().map(|it| *it < self.below).collect();
        for column in &mut self.values {
            retain(column, &is_kept);
        }
        retain(&mut self.numbers, &is_kept);
        retain(&mut self.chances, &is_kept);
    }

    pub fn finish(mut self) -> Sampled {
        self.prune();
        let (rows, columns) = (self.numbers.len(), self.values.len());
        let mut values = Matrix::from_values(rows, columns, self.values.concat());
        let mut numbers = self.numbers;
        // Of a whole table they are there.
        if self.rows > self.most as u64 {
            let witnesses = self.witnesses.into_iter().flat_map(Witnesses::rows);
            let mut witnesses: Vec<(u64, Vec<f64>)> = witnesses
                .filter(|(number, _)| numbers.binary_search(number).is_err())
                .collect();
            witnesses.sort_by_key(|(number, _)| *number);
            witnesses.dedup_by_key(|(number, _)| *number);
            let others = Matrix::from_fn(witnesses.len(), values.columns(), |row, j| {
                witnesses[row].1[j]
            });
            numbers.extend(witnesses.iter().map(|(number, _)| *number));
            let mut order: Vec<u32> = (0..numbers.len() as u32).collect();
            order.sort_by_key(|&row| numbers[row as usize]);
            values = take(&values.followed_by(&others), &order);
            numbers.sort_unstable();
        }
        Sampled {
            values,
            numbers,
            distinct: self.copies.distinct(),
        }
    }
}

fn retain<T: Copy>(all: &mut Vec<T>, is_kept: &[bool]) {
    let mut index = 0..;
    all.retain(|_| index.next().is_some_and(|index: usize| is_kept[index]));
}

impl Witnesses {
    /// `before` rows were seen.
    fn note(&mut self, values: &Matrix<f64>, column: usize, before: u64) {
        let numbers = values.column(column);
        let at = |row: usize| (before + row as u64 + 1, values.row(row).collect());
        let place = |found: f64| numbers.iter().position(|x| *x == found);
        let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        if self.least.as_ref().is_none_or(|it| least < it.0)
            && let Some(row) = place(least)
        {
            let (number, row) = at(row);
            self.least = Some((least, number, row));
        }
        let greatest = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if self.greatest.as_ref().is_none_or(|it| greatest > it.0)
            && let Some(row) = place(greatest)
        {
            let (number, row) = at(row);
            self.greatest = Some((greatest, number, row));
        }
        if self.fractional.is_none() {
            let row = numbers.iter().position(|x| x.fract() != 0.0);
            self.fractional = row.map(at);
        }
    }

    fn rows(self) -> impl Iterator<Item = (u64, Vec<f64>)> {
        let ends = [self.least, self.greatest].into_iter().flatten();
        let ends = ends.map(|(_, number, row)| (number, row));
        ends.chain(self.fractional)
    }
}

/// Estimates how many rows equal others: counts those whose hash is a multiple of a power of two, so that of equal rows all are
/// counted or none.
struct Copies {
    ignored: Option<usize>,
    counts: HashMap<u64, u64>,
    mask: u64,
}

impl Copies {
    /// Hashes that are counted, at most.
    const MOST: usize = 1 << 18;

    fn new(ignored: Option<usize>) -> Self {
        Copies {
            ignored,
            counts: HashMap::new(),
            mask: 0,
        }
    }

    fn note(&mut self, values: &Matrix<f64>) {
        for hash in row_hashes(values, self.ignored) {
            if hash & self.mask == 0 {
                *self.counts.entry(hash).or_insert(0) += 1;
                if self.counts.len() > Self::MOST {
                    self.mask = 2 * self.mask + 1;
                    self.counts.retain(|hash, _| hash & self.mask == 0);
                }
            }
        }
    }

    fn distinct(&self) -> f64 {
        let all: u64 = self.counts.values().sum();
        match all {
            0 => 1.0,
            all => self.counts.len() as f64 / all as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_estimated() {
        let of = |count: usize, copies: usize| {
            let mut copied = Copies::new(None);
            let x = |row: usize| ((row / copies) as f64 * 0.618_033_988_75).fract();
            copied.note(&Matrix::from_fn(count, 1, |row, _| x(row)));
            copied.distinct()
        };
        assert_eq!(of(200_000, 1), 1.0);
        assert!((of(3_000_000, 3) - 1.0 / 3.0).abs() < 1e-3);
        assert!(of(600_000, 300_000) < 1e-5);
    }
}
