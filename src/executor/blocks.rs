use std::ops::Range;

use crate::random::{Purpose, Shuffle};

use super::Batches;

/// Rows in blocks of which one is in memory at a time: an epoch visits every block once, in a fresh order, and takes the batches of a block
/// one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocks {
    /// Rows of each.
    rows: Vec<u32>,
    batch_size: usize,
    seed: u64,
}

/// A visit to a block.
#[derive(Clone, Debug, PartialEq)]
pub struct Visit {
    /// The index of the block.
    pub block: usize,
    /// The steps that take its rows.
    pub steps: Range<u64>,
    /// Which of the block's rows each of them takes.
    pub batches: Batches,
}

impl Blocks {
    /// Of blocks with so many rows, in batches of `batch_size` at most; blocks without rows are never visited.
    ///
    /// # Panics
    /// If there are no rows, or no rows to a batch.
    pub fn new(rows: Vec<u32>, batch_size: usize, seed: u64) -> Self {
        assert!(batch_size > 0 && rows.iter().any(|rows| *rows > 0), "rows");
        Blocks {
            rows,
            batch_size,
            seed,
        }
    }

    /// The steps that a visit to a block takes.
    fn steps(&self, block: usize) -> u64 {
        u64::from(self.rows[block]).div_ceil(self.batch_size as u64)
    }

    /// The visit that a step is part of.
    pub fn visit(&self, step: u64) -> Visit {
        let count = self.rows.len();
        let per_epoch: u64 = (0..count).map(|block| self.steps(block)).sum();
        let epoch = step / per_epoch;
        let order = Shuffle::new(self.seed, Purpose::Blocks, epoch, count as u32);
        let mut first = epoch * per_epoch;
        for slot in 0..count {
            let block = order.row(slot as u32) as usize;
            let steps = first..first + self.steps(block);
            if steps.contains(&step) {
                let number = epoch * count as u64 + slot as u64;
                return Visit {
                    block,
                    batches: Batches::of_visit(
                        self.rows[block],
                        self.batch_size,
                        self.seed,
                        number,
                        steps.start,
                    ),
                    steps,
                };
            }
            first = steps.end;
        }
        unreachable!("an epoch has all of its steps")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every row of every block once an epoch, in batches that differ by no more than one row.
    #[test]
    fn an_epoch_visits_every_row_of_every_block_once() {
        let rows = vec![100, 0, 37, 64, 101];
        let blocks = Blocks::new(rows.clone(), 16, 5);
        let per_epoch = 7 + 3 + 4 + 7;
        let mut orders = Vec::new();
        for epoch in 0..3 {
            let mut seen: Vec<Vec<u32>> = vec![Vec::new(); rows.len()];
            let mut order = Vec::new();
            for step in epoch * per_epoch..(epoch + 1) * per_epoch {
                let visit = blocks.visit(step);
                assert!(visit.steps.contains(&step));
                let batch = visit.batches.batch(step);
                let even = rows[visit.block] / (visit.steps.end - visit.steps.start) as u32;
                assert!((even..=even + 1).contains(&batch.rows) && batch.rows <= 16);
                seen[visit.block].extend((0..batch.rows).map(|index| batch.row(index)));
                order.push(visit.block);
            }
            order.dedup();
            for (block, mut seen) in seen.into_iter().enumerate() {
                seen.sort_unstable();
                assert!(seen.into_iter().eq(0..rows[block]), "{epoch} {block}");
            }
            orders.push(order);
        }
        assert!(
            orders[0] != orders[1] || orders[1] != orders[2],
            "{orders:?}"
        );
        let [one, other] = [0, per_epoch].map(|step| blocks.visit(step));
        assert_ne!(one.batches, other.batches);
    }
}
