use crate::matrix::Matrix;
use crate::random::{Purpose, Shuffle, words};

use super::Repeats;

/// Which rows are trained on and which are held out, by their numbers in the table, ascending.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// Numbers of the rows to train on, in their order.
    pub training: Vec<u32>,
    /// Numbers of the rows held out, in their order.
    pub held_out: Vec<u32>,
}

impl Split {
    /// Holds out a fraction of the rows, drawn by the seed: to the nearest row, and always one at least where the
    /// fraction is not 0 and one at least to train on. Equal rows are on one side, since a row that is trained on says nothing
    /// as one that was not; so there may be fewer than that, or, of rows with many copies, more.
    ///
    /// # Panics
    /// If the fraction is not from 0 to below 1.
    pub fn new(repeats: &Repeats, fraction: f64, seed: u64) -> Self {
        let rows = repeats.rows() as u32;
        assert!((0.0..1.0).contains(&fraction), "a fraction");
        let count = match fraction {
            0.0 => 0,
            _ => ((fraction * f64::from(rows)).round() as u32)
                .clamp(1, rows.saturating_sub(1).max(1)),
        };
        let count = count.min(rows.saturating_sub(1)) as usize;
        let mut members = vec![0u32; rows as usize];
        (0..rows).for_each(|row| members[repeats.first(row) as usize] += 1);
        // Whether rows are held out, by the first of those that are equal: so that many copies are as likely to be as one.
        let mut held = vec![false; rows as usize];
        let mut sum = 0;
        let shuffle = Shuffle::new(seed, Purpose::Split, 0, rows);
        for index in 0..rows {
            if sum == count {
                break;
            }
            let row = shuffle.row(index);
            let copies = members[row as usize] as usize;
            if repeats.is_first(row) && sum + copies <= count {
                held[row as usize] = true;
                sum += copies;
            }
        }
        // Of a few rows with many copies none may fit: the one with the fewest is held out then.
        if sum == 0 && count > 0 && repeats.distinct() > 1 {
            let firsts = (0..rows).filter(|&row| repeats.is_first(row));
            if let Some(first) = firsts.min_by_key(|&row| members[row as usize]) {
                held[first as usize] = true;
            }
        }
        let is_held = |row: &u32| held[repeats.first(*row) as usize];
        let (held_out, training) = (0..rows).partition(is_held);
        Split { training, held_out }
    }
}

/// Which rows of a long table are held out: each by a random number of its own, so that no other row needs to be known. Of rows that are
/// told apart by what is in them, equal ones are on one side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowSplit {
    fraction: f64,
    seed: u64,
}

impl RowSplit {
    /// Holds out this fraction of the rows.
    pub fn new(fraction: f64, seed: u64) -> Self {
        RowSplit { fraction, seed }
    }

    /// Whether the row of this key is held out: of its number, or of a hash of what is in it.
    pub fn holds_out(&self, key: u64) -> bool {
        let [high, low, ..] = words(self.seed, Purpose::Split, key, 1);
        let at = (u64::from(high) << 32 | u64::from(low)) as f64;
        at < self.fraction * 2f64.powi(64)
    }

    /// The same of several rows.
    pub fn split(&self, keys: &[u64]) -> Split {
        let rows = 0..keys.len() as u32;
        let (held_out, training) = rows.partition(|&row| self.holds_out(keys[row as usize]));
        Split { training, held_out }
    }
}

/// Some rows of a table.
pub fn take<T: Copy + Default>(values: &Matrix<T>, rows: &[u32]) -> Matrix<T> {
    Matrix::from_fn(rows.len(), values.columns(), |row, column| {
        values.get(rows[row] as usize, column)
    })
}

/// The weights of some rows; none where all count the same.
pub(crate) fn take_weights(weights: &[f64], rows: &[u32]) -> Vec<f64> {
    match weights.is_empty() {
        true => Vec::new(),
        false => rows.iter().map(|&row| weights[row as usize]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Of rows that all differ.
    fn split(rows: usize, fraction: f64, seed: u64) -> Split {
        let rows = Repeats::of(&Matrix::from_fn(rows, 1, |row, _| row as f64));
        Split::new(&rows, fraction, seed)
    }

    /// The rows that were held out before equal rows were kept together: the first of a shuffle.
    #[test]
    fn rows_that_all_differ_are_split_as_ever() {
        for (rows, seed) in [(10, 0), (999, 7), (4096, 42)] {
            let shuffle = Shuffle::new(seed, Purpose::Split, 0, rows);
            let count = (0.1 * f64::from(rows)).round() as u32;
            let mut first: Vec<u32> = (0..count).map(|index| shuffle.row(index)).collect();
            first.sort_unstable();
            assert_eq!(split(rows as usize, 0.1, seed).held_out, first);
        }
    }

    #[test]
    fn equal_rows_are_on_one_side() {
        let held_out = |rows: usize, fraction, number: fn(usize) -> usize| {
            let values = Matrix::from_fn(rows, 1, |row, _| number(row) as f64);
            let split = Split::new(&Repeats::of(&values), fraction, 3);
            let of = |rows: &[u32]| rows.iter().map(|&row| number(row as usize)).collect();
            let [training, held_out]: [BTreeSet<usize>; 2] =
                [of(&split.training), of(&split.held_out)];
            assert!(training.is_disjoint(&held_out));
            assert!(!training.is_empty());
            split.held_out.len()
        };
        // Twenty copies of each of two hundred.
        assert_eq!(held_out(4000, 0.1, |row| row % 200), 400);
        assert_eq!(held_out(2000, 0.2, |row| row / 2), 400);
        // One row has half of the table: it does not fit.
        assert_eq!(held_out(1000, 0.1, |row| row.max(500)), 100);
        // A row with many copies is no likelier to be held out than one with none.
        let mut of_copies = 0;
        for seed in 0..200 {
            let values = Matrix::from_fn(300, 1, |row, _| row.min(290) as f64);
            let split = Split::new(&Repeats::of(&values), 0.5, seed);
            of_copies += usize::from(split.held_out.contains(&290));
        }
        assert!((75..=125).contains(&of_copies), "{of_copies}");
        // Nothing fits: the row with the fewest copies.
        assert_eq!(held_out(100, 0.1, |row| usize::from(row < 40)), 40);
        assert_eq!(held_out(100, 0.1, |_| 7), 0);
    }

    #[test]
    fn every_row_is_on_one_side() {
        for (rows, fraction, expected) in [
            (10, 0.0, 0),
            (10, 0.2, 2),
            (3, 0.1, 1),
            (2, 0.99, 1),
            (1, 0.5, 0),
            (1000, 0.25, 250),
        ] {
            let split = split(rows, fraction, 5);
            assert_eq!(split.held_out.len(), expected, "{rows} rows, {fraction}");
            let mut all = [split.training.clone(), split.held_out.clone()].concat();
            all.sort_unstable();
            assert_eq!(all, (0..rows as u32).collect::<Vec<_>>());
            assert_eq!(split, self::split(rows, fraction, 5));
        }
        assert_ne!(split(1000, 0.1, 1), split(1000, 0.1, 2));
    }

    /// Over many seeds every row is held out equally often: mean 300, deviation 14.5.
    #[test]
    fn no_row_is_favored() {
        let mut counts = [0u32; 200];
        for seed in 0..1000 {
            for row in split(200, 0.3, seed).held_out {
                counts[row as usize] += 1;
            }
        }
        for (row, count) in counts.into_iter().enumerate() {
            assert!((230..=370).contains(&count), "row {row}: {count}");
        }
    }
}
