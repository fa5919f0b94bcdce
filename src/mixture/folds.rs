use crate::data::Repeats;
use crate::random::{Purpose, Shuffle};

/// Rows in folds: each is judged by what was fitted to the others. Equal rows are in one fold. Some rows may be in none.
#[derive(Clone, Debug, PartialEq)]
pub struct Folds {
    of_row: Vec<u16>,
    count: usize,
}

impl Folds {
    /// `count` folds of about as many rows, drawn by the seed.
    ///
    /// # Panics
    /// If there are more folds than 65,535.
    pub fn new(repeats: &Repeats, count: usize, seed: u64) -> Self {
        Self::some(repeats, count, count, seed)
    }

    /// `count` of the folds that there would be `of`.
    ///
    /// # Panics
    /// As [`Folds::new`].
    pub fn some(repeats: &Repeats, count: usize, of: usize, seed: u64) -> Self {
        let rows = repeats.rows() as u32;
        let shuffle = Shuffle::new(seed, Purpose::Folds, 0, rows);
        let mut of_row = vec![0; rows as usize];
        let mut next = 0;
        for index in 0..rows {
            let row = shuffle.row(index);
            if repeats.is_first(row) {
                of_row[row as usize] = u16::try_from(next % of).expect("at most 65,535 folds");
                next += 1;
            }
        }
        for row in 0..rows {
            of_row[row as usize] = of_row[repeats.first(row) as usize];
        }
        Folds { of_row, count }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The numbers of the rows outside a fold, and of those within.
    pub fn split(&self, fold: usize) -> (Vec<u32>, Vec<u32>) {
        (0..self.of_row.len() as u32)
            .partition(|&row| usize::from(self.of_row[row as usize]) != fold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Matrix;

    #[test]
    fn every_row_is_in_one_fold_and_equal_rows_in_the_same() {
        let values = Matrix::from_fn(103, 1, |row, _| row.min(90) as f64);
        let folds = Folds::new(&Repeats::of(&values), 5, 7);
        let mut seen = Vec::new();
        for fold in 0..folds.count() {
            let (outside, within) = folds.split(fold);
            assert_eq!(outside.len() + within.len(), 103);
            let copies = within.iter().filter(|&&row| row >= 90).count();
            assert!(
                (copies == 0 || copies == 13) && within.len() - copies >= 17,
                "{within:?}"
            );
            seen.extend(within);
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..103).collect::<Vec<u32>>());
        let some = Folds::some(&Repeats::of(&values), 2, 5, 7);
        assert_eq!(some.count(), 2);
        assert_eq!(some.split(1), folds.split(1));
    }
}
