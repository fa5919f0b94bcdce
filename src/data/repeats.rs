use crate::matrix::Matrix;

/// Which rows of a table are equal, number for number.
#[derive(Clone, Debug, PartialEq)]
pub struct Repeats {
    /// The number of the first row that equals a row, for each row; empty where all rows differ.
    first: Vec<u32>,
    rows: usize,
    distinct: usize,
}

impl Repeats {
    /// Of all rows of a table.
    ///
    /// # Panics
    /// If there are more than 2^32 - 1 rows.
    pub fn of(values: &Matrix<f64>) -> Self {
        let rows = u32::try_from(values.rows()).expect("at most 2^32 - 1 rows");
        let hashes = row_hashes(values, None);
        let mut order: Vec<u32> = (0..rows).collect();
        order.sort_unstable_by_key(|&row| (hashes[row as usize], row));
        let is_equal = |a: u32, b: u32| {
            let (a, b) = (a as usize, b as usize);
            (0..values.columns()).all(|j| values.get(a, j) == values.get(b, j))
        };
        let (mut first, mut distinct) = (Vec::new(), values.rows());
        for alike in order.chunk_by(|&a, &b| hashes[a as usize] == hashes[b as usize]) {
            // Nearly always equal; two rows may have one hash by chance.
            let mut firsts: Vec<u32> = Vec::new();
            for &row in alike {
                match firsts.iter().find(|&&earlier| is_equal(earlier, row)) {
                    None => firsts.push(row),
                    Some(&earlier) => {
                        if first.is_empty() {
                            first = (0..rows).collect();
                        }
                        first[row as usize] = earlier;
                        distinct -= 1;
                    }
                }
            }
        }
        Repeats {
            first,
            rows: values.rows(),
            distinct,
        }
    }

    /// Of so many rows, all of which count as different.
    pub(crate) fn none(rows: usize) -> Self {
        Repeats {
            first: Vec::new(),
            rows,
            distinct: rows,
        }
    }

    /// The same of a table of so many rows, so many of which differ, of which these rows are a sample.
    pub(crate) fn of_table(self, rows: u64, distinct: u64) -> Self {
        Repeats {
            rows: rows as usize,
            distinct: distinct as usize,
            ..self
        }
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many of them are different from one another.
    pub fn distinct(&self) -> usize {
        self.distinct
    }

    /// How many equal an earlier one.
    pub fn copies(&self) -> usize {
        self.rows - self.distinct
    }

    /// How many rows the table is worth: a tenth of copies or more tell no more than the rows that they are copies of.
    pub fn worth(&self) -> usize {
        match 10 * self.copies() >= self.rows {
            true => self.distinct,
            false => self.rows,
        }
    }

    /// Whether no earlier row equals this one.
    pub(crate) fn is_first(&self, row: u32) -> bool {
        self.first(row) == row
    }

    /// The number of the first row that equals this one.
    pub(crate) fn first(&self, row: u32) -> u32 {
        self.first.get(row as usize).copied().unwrap_or(row)
    }
}

/// A number for each row, the same for equal ones; the column `ignored` has no say.
pub(crate) fn row_hashes(values: &Matrix<f64>, ignored: Option<usize>) -> Vec<u64> {
    let mut hashes = vec![0u64; values.rows()];
    for j in (0..values.columns()).filter(|j| Some(*j) != ignored) {
        for (hash, &x) in hashes.iter_mut().zip(values.column(j)) {
            // Both zeros are one number.
            *hash = mix(*hash ^ (x + 0.0).to_bits());
        }
    }
    hashes
}

/// The finalizer of SplitMix64.
fn mix(mut h: u64) -> u64 {
    h = h.wrapping_add(0x9e37_79b9_7f4a_7c15);
    h = (h ^ (h >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    h = (h ^ (h >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    h ^ (h >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rows_are_counted_and_near_ones_are_not() {
        let values = Matrix::from_fn(6, 2, |row, j| {
            [
                [0.0, 1.0],
                [2.0, 3.0],
                [-0.0, 1.0],
                [2.0, 3.0],
                [1.0, 0.0],
                [0.0, 1.0 + 1e-15],
            ][row][j]
        });
        let repeats = Repeats::of(&values);
        assert_eq!(
            (repeats.rows(), repeats.distinct(), repeats.copies()),
            (6, 4, 2)
        );
        let firsts: Vec<u32> = (0..6).map(|row| repeats.first(row)).collect();
        assert_eq!(firsts, [0, 1, 0, 1, 4, 5]);
        assert_eq!(repeats.worth(), 4);
        let all = Repeats::of(&Matrix::from_fn(100, 1, |row, _| row.max(5) as f64));
        // Five copies are no tenth.
        assert_eq!((all.distinct(), all.worth()), (95, 100));
        assert_eq!(Repeats::of(&Matrix::zeros(0, 3)).distinct(), 0);
    }
}
