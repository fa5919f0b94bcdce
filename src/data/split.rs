use crate::matrix::Matrix;
use crate::random::{Purpose, Shuffle};

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
    /// fraction is not 0 and one at least to train on.
    ///
    /// # Panics
    /// If there are more than 2^32 - 1 rows, or the fraction is not from 0 to below 1.
    pub fn new(rows: usize, fraction: f64, seed: u64) -> Self {
        let rows = u32::try_from(rows).expect("at most 2^32 - 1 rows");
        assert!((0.0..1.0).contains(&fraction), "a fraction");
        let count = match fraction {
            0.0 => 0,
            _ => ((fraction * f64::from(rows)).round() as u32)
                .clamp(1, rows.saturating_sub(1).max(1)),
        };
        let shuffle = Shuffle::new(seed, Purpose::Split, 0, rows);
        let mut held_out: Vec<u32> = (0..count.min(rows.saturating_sub(1)))
            .map(|place| shuffle.row(place))
            .collect();
        held_out.sort_unstable();
        let training = (0..rows)
            .filter(|row| held_out.binary_search(row).is_err())
            .collect();
        Split { training, held_out }
    }
}

/// Some rows of a table.
pub fn take<T: Copy + Default>(values: &Matrix<T>, rows: &[u32]) -> Matrix<T> {
    Matrix::from_fn(rows.len(), values.columns(), |row, column| {
        values.get(rows[row] as usize, column)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let split = Split::new(rows, fraction, 5);
            assert_eq!(split.held_out.len(), expected, "{rows} rows, {fraction}");
            let mut all = [split.training.clone(), split.held_out.clone()].concat();
            all.sort_unstable();
            assert_eq!(all, (0..rows as u32).collect::<Vec<_>>());
            assert_eq!(split, Split::new(rows, fraction, 5));
        }
        assert_ne!(Split::new(1000, 0.1, 1), Split::new(1000, 0.1, 2));
    }

    /// Over many seeds every row is held out equally often: mean 300, deviation 14.5.
    #[test]
    fn no_row_is_favoured() {
        let mut counts = [0u32; 200];
        for seed in 0..1000 {
            for row in Split::new(200, 0.3, seed).held_out {
                counts[row as usize] += 1;
            }
        }
        for (row, count) in counts.into_iter().enumerate() {
            assert!((230..=370).contains(&count), "row {row}: {count}");
        }
    }
}
