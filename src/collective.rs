//! Processes that train one model together, each on its share of the rows.

use std::fmt::Debug;

/// What the processes of a run tell one another. Every one of them makes the same calls in the same order, and waits in each for the others.
/// What comes back is the same on all of them, to the bit.
pub trait Collective: Send + Sync + Debug {
    /// The number of this process, from 0 on.
    fn rank(&self) -> usize;

    /// How many there are.
    fn size(&self) -> usize;

    /// The numbers of every process, those of rank 0 first; each has as many, and `all` has room for them.
    fn gather(&self, mine: &[f32], all: &mut [f32]);

    /// Sends each process its part of these numbers, which are cut into as many equal parts as there are processes; what they all sent to this
    /// one comes back, that of rank 0 first.
    fn exchange(&self, parts: &[f32], received: &mut [f32]);

    /// As [`Collective::gather`], in double precision.
    fn gather_f64(&self, mine: &[f64], all: &mut [f64]);

    /// What rank 0 has.
    fn broadcast(&self, bytes: Vec<u8>) -> Vec<u8>;

    /// Whether this is the process that writes and prints.
    fn leads(&self) -> bool {
        self.rank() == 0
    }

    /// The sum over all processes, added up in the order of their ranks.
    fn sum(&self, mine: f64) -> f64 {
        let mut all = vec![0.0; self.size()];
        self.gather_f64(&[mine], &mut all);
        all.iter().sum()
    }
}

/// One process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Collective for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn gather(&self, mine: &[f32], all: &mut [f32]) {
        all.copy_from_slice(mine);
    }

    fn exchange(&self, parts: &[f32], received: &mut [f32]) {
        received.copy_from_slice(parts);
    }

    fn gather_f64(&self, mine: &[f64], all: &mut [f64]) {
        all.copy_from_slice(mine);
    }

    fn broadcast(&self, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }
}
