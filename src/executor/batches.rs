use crate::random::Shuffle;

/// Which rows each step takes: all of them in their own order, or minibatches of a fresh shuffle each epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Batches {
    rows: u32,
    size: u32,
    seed: u64,
    /// Of the rows of a block: the number of the visit, and its first step.
    visit: Option<(u64, u64)>,
}

/// The rows of one step.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The batch's positions in its epoch: `first..first + rows`.
    pub first: u32,
    /// How many rows; the last batch of an epoch may be short.
    pub rows: u32,
    /// The epoch's order; none where every step takes all rows.
    pub shuffle: Option<Shuffle>,
}

impl Batches {
    /// Batches of `size` of `rows` rows; size 0, or one that holds all rows, takes all in each step.
    ///
    /// # Panics
    /// If there are no rows, or more than 2^32 - 1.
    pub fn new(rows: usize, size: usize, seed: u64) -> Self {
        let rows = u32::try_from(rows).expect("at most 2^32 - 1 rows");
        assert!(rows > 0, "no rows to train on");
        let size = match u32::try_from(size) {
            Ok(size) if size > 0 && size < rows => size,
            _ => rows,
        };
        Batches {
            rows,
            size,
            seed,
            visit: None,
        }
    }

    /// The batches of a visit to a block of rows ([`super::Blocks`]), from its first step on: of nearly equal sizes.
    pub(super) fn of_visit(rows: u32, size: usize, seed: u64, number: u64, first: u64) -> Self {
        Batches {
            visit: Some((number, first)),
            ..Self::new(rows as usize, size, seed)
        }
    }

    /// Whether every step takes all rows.
    pub fn is_full(&self) -> bool {
        self.size == self.rows
    }

    /// The rows of an epoch.
    pub fn rows(&self) -> usize {
        self.rows as usize
    }

    /// The rows of a full batch.
    pub fn size(&self) -> usize {
        self.size as usize
    }

    /// The batch of step `step`, counted from 0.
    pub fn batch(&self, step: u64) -> Batch {
        if let Some((number, first)) = self.visit {
            return self.batch_of_visit(number, step - first);
        }
        let per_epoch = u64::from(self.rows.div_ceil(self.size));
        let (epoch, index) = (step / per_epoch, (step % per_epoch) as u32);
        let first = index * self.size;
        Batch {
            first,
            rows: self.size.min(self.rows - first),
            shuffle: (!self.is_full()).then(|| Shuffle::epoch(self.seed, epoch, self.rows)),
        }
    }
}

impl Batches {
    fn batch_of_visit(&self, number: u64, index: u64) -> Batch {
        let rows = u64::from(self.rows);
        let count = rows.div_ceil(self.size.into());
        let [first, end] = [index, index + 1].map(|index| (index * rows / count) as u32);
        Batch {
            first,
            rows: end - first,
            shuffle: Some(Shuffle::epoch(self.seed, number, self.rows)),
        }
    }
}

impl Batch {
    /// The row of the data at position `position` of this batch.
    pub fn row(&self, index: u32) -> u32 {
        match &self.shuffle {
            Some(shuffle) => shuffle.row(self.first + index),
            None => self.first + index,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_visits_every_row_once_and_keeps_the_short_batch() {
        let batches = Batches::new(10, 4, 1);
        for epoch in 0..3 {
            let mut seen = Vec::new();
            for step in 3 * epoch..3 * epoch + 3 {
                let batch = batches.batch(step);
                seen.extend((0..batch.rows).map(|index| batch.row(index)));
            }
            assert_eq!(batches.batch(3 * epoch + 2).rows, 2);
            seen.sort_unstable();
            assert_eq!(seen, (0..10).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_batch_of_all_rows_keeps_their_order() {
        for size in [0, 5, 6] {
            let batch = Batches::new(5, size, 1).batch(3);
            let rows: Vec<u32> = (0..batch.rows).map(|index| batch.row(index)).collect();
            assert_eq!(rows, [0, 1, 2, 3, 4], "size {size}");
        }
    }
}
