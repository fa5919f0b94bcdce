use std::convert::Infallible;

use rand::rand_core::utils;
use rand::{SeedableRng, TryRng};

use super::{Purpose, words};

/// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", section 3.3): four random words
/// from a 128-bit counter and a 64-bit key. On a GPU: `philox4x32` in `shaders/shared/philox.wgsl`.
pub fn philox4x32(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for round in 0..10 {
        if round > 0 {
            key[0] = key[0].wrapping_add(0x9E37_79B9);
            key[1] = key[1].wrapping_add(0xBB67_AE85);
        }
        let product0 = u64::from(counter[0]) * 0xD251_1F53;
        let product1 = u64::from(counter[2]) * 0xCD9E_8D57;
        counter = [
            (product1 >> 32) as u32 ^ counter[1] ^ key[0],
            product1 as u32,
            (product0 >> 32) as u32 ^ counter[3] ^ key[1],
            product0 as u32,
        ];
    }
    counter
}

/// Philox4x32-10 as a sequential generator for the `rand` crate. Its streams are portable: they never change with the version
/// of `rand`, the platform or the word size.
///
/// ```
/// use rand::{Rng, SeedableRng};
/// let mut generator = couplet::random::Philox::seed_from_u64(42);
/// let word = generator.next_u32();
/// assert_eq!(couplet::random::Philox::seed_from_u64(42).next_u32(), word);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Philox {
    seed: u64,
    purpose: Purpose,
    /// The block of words that comes next.
    next: Position,
    block: [u32; 4],
    /// How many words of `block` are spent.
    spent: usize,
}

/// Which of a purpose's blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Position {
    /// The first block of each index in turn.
    Index(u64),
    /// The blocks of one index in turn.
    Block { index: u64, block: u32 },
}

impl Philox {
    /// All words of a purpose: those at index 0, then those at index 1, and so on.
    pub fn stream(seed: u64, purpose: Purpose) -> Self {
        Self::at(seed, purpose, Position::Index(0))
    }

    /// The words of one row of a purpose, or of one epoch: column j of it draws word j.
    pub fn row(seed: u64, purpose: Purpose, row: u64) -> Self {
        let position = Position::Block {
            index: row,
            block: 0,
        };
        Self::at(seed, purpose, position)
    }

    fn at(seed: u64, purpose: Purpose, next: Position) -> Self {
        Philox {
            seed,
            purpose,
            next,
            block: [0; 4],
            spent: 4,
        }
    }

    fn next_block(&mut self) -> [u32; 4] {
        let (index, block) = match &mut self.next {
            Position::Index(next) => {
                let index = *next;
                *next = index.wrapping_add(1);
                (index, 0)
            }
            Position::Block { index, block: next } => {
                let block = *next;
                *next = block.wrapping_add(1);
                (*index, block)
            }
        };
        words(self.seed, self.purpose, index, block)
    }
}

impl SeedableRng for Philox {
    type Seed = [u8; 8];

    fn from_seed(seed: Self::Seed) -> Self {
        Self::stream(u64::from_le_bytes(seed), Purpose::Generator)
    }

    fn seed_from_u64(seed: u64) -> Self {
        Self::from_seed(seed.to_le_bytes())
    }
}

impl TryRng for Philox {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        if self.spent == 4 {
            self.block = self.next_block();
            self.spent = 0;
        }
        self.spent += 1;
        Ok(self.block[self.spent - 1])
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        utils::next_u64_via_u32(self)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        utils::fill_bytes_via_next_word(bytes, || self.try_next_u32())
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    /// The known answers published with Random123 (kat_vectors, philox4x32 10).
    #[test]
    fn published_vectors() {
        let ones = u32::MAX;
        let cases = [
            (
                [0; 4],
                [0; 2],
                [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
            ),
            (
                [ones; 4],
                [ones; 2],
                [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
            ),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, expected) in cases {
            assert_eq!(philox4x32(counter, key), expected);
        }
    }

    /// A generator walks over the same words that a position leads to: those that the kernels draw.
    #[test]
    fn streams_are_the_words_at_their_positions() {
        let mut stream = Philox::stream(7, Purpose::Parameters);
        let mut row = Philox::row(7, Purpose::Noise, u64::MAX);
        for position in 0..10u32 {
            let (block, word) = (position / 4, position as usize % 4);
            let expected = words(7, Purpose::Parameters, u64::from(block), 0)[word];
            assert_eq!(stream.next_u32(), expected);
            assert_eq!(
                row.next_u32(),
                words(7, Purpose::Noise, u64::MAX, block)[word]
            );
        }
    }

    #[test]
    fn purposes_do_not_share_words() {
        assert_ne!(
            words(7, Purpose::Noise, 0, 0),
            words(7, Purpose::Shuffle, 0, 0)
        );
    }
}
