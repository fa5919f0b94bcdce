use std::sync::{Mutex, PoisonError};

use crate::flow::Plan;

use super::block::Block;
use super::real::Real;

/// A block for each thread, made once.
pub struct Workers<T>(Vec<Mutex<Block<T>>>);

impl<T: Real> Workers<T> {
    pub fn new(plan: &Plan) -> Self {
        let threads = rayon::current_num_threads();
        Workers((0..threads).map(|_| Mutex::new(Block::new(plan))).collect())
    }

    /// Calls `work` with the block of the thread that it runs on.
    pub fn with<R>(&self, work: impl FnOnce(&mut Block<T>) -> R) -> R {
        let thread = rayon::current_thread_index().unwrap_or(0);
        let block = &self.0[thread % self.0.len()];
        // A thread that panicked within its block has taken the whole process with it.
        let mut block = block.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut block)
    }
}
