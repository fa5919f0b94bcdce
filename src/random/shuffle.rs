use rand::Rng;

use super::{Philox, Purpose};

/// Feistel rounds; four already pass the uniformity tests, twice that costs next to nothing.
pub const ROUNDS: usize = 8;

/// A shuffle of 0..rows without state and without memory: position j of an epoch goes to a row that depends on (seed,
/// epoch, j) alone. A Feistel network permutes the smallest even-bit-width domain that holds `rows`; a value outside is
/// permuted again until it is inside ("cycle walking", Black and Rogaway 2002), four times on average at most.
///
/// On a GPU: `shuffled_row` in `shaders/shared/shuffle.wgsl`.
#[derive(Clone, Debug)]
pub struct Shuffle {
    /// As many are put in order.
    pub rows: u32,
    /// Bits of each half of the Feistel domain.
    pub half_bits: u32,
    /// One key a round, from Philox.
    pub keys: [u32; ROUNDS],
}

impl Shuffle {
    /// The order of the rows in epoch `epoch`.
    pub fn epoch(seed: u64, epoch: u64, rows: u32) -> Self {
        Self::new(seed, Purpose::Shuffle, epoch, rows)
    }

    /// Shuffle number `index` of a purpose.
    pub fn new(seed: u64, purpose: Purpose, index: u64, rows: u32) -> Self {
        let bits = u32::BITS - rows.saturating_sub(1).leading_zeros();
        let mut keys = [0; ROUNDS];
        let mut random = Philox::row(seed, purpose, index);
        keys.fill_with(|| random.next_u32());
        Shuffle {
            rows,
            half_bits: bits.div_ceil(2).max(1),
            keys,
        }
    }

    /// The row visited at position `position` (below `rows`).
    pub fn row(&self, position: u32) -> u32 {
        let mask = (1u32 << self.half_bits) - 1;
        let mut value = position;
        loop {
            let (mut left, mut right) = (value >> self.half_bits, value & mask);
            for key in self.keys {
                (left, right) = (right, left ^ (mix(right ^ key) & mask));
            }
            value = left << self.half_bits | right;
            if value < self.rows {
                return value;
            }
        }
    }
}

/// The finaliser of MurmurHash3: each output bit depends on every input bit.
fn mix(mut h: u32) -> u32 {
    h ^= h >> 16;
    h = h.wrapping_mul(0x85EB_CA6B);
    h ^= h >> 13;
    h = h.wrapping_mul(0xC2B2_AE35);
    h ^ (h >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_once() {
        for rows in [1u32, 2, 3, 4, 5, 7, 16, 17, 64, 100, 1000, 4096, 50_000] {
            for epoch in 0..3 {
                let shuffle = Shuffle::epoch(9, epoch, rows);
                let mut seen = vec![false; rows as usize];
                for position in 0..rows {
                    let row = shuffle.row(position) as usize;
                    assert!(!seen[row], "rows {rows}, epoch {epoch}: row {row} twice");
                    seen[row] = true;
                }
            }
        }
    }

    /// Where a row lands is uniform over epochs: chi-square with 9 degrees of freedom for each of 10 rows, none
    /// beyond its 1-in-100,000 point.
    #[test]
    fn positions_are_uniform() {
        let epochs = 4000;
        let mut counts = [[0.0f64; 10]; 10];
        for epoch in 0..epochs {
            let shuffle = Shuffle::epoch(3, epoch, 10);
            for position in 0..10 {
                counts[shuffle.row(position) as usize][position as usize] += 1.0;
            }
        }
        let expected = epochs as f64 / 10.0;
        for row in counts {
            let chi2: f64 = row.iter().map(|c| (c - expected).powi(2) / expected).sum();
            assert!(chi2 < 39.3, "chi-square {chi2}");
        }
    }

    #[test]
    fn epochs_differ() {
        let order = |epoch| -> Vec<u32> {
            let shuffle = Shuffle::epoch(3, epoch, 1000);
            (0..1000).map(|position| shuffle.row(position)).collect()
        };
        assert_ne!(order(0), order(1));
    }
}
