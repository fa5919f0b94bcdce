//! Threads to compute with. Rayon's own would not survive a fork, and the child would wait for them for ever: a process makes
//! its own.

use std::collections::HashMap;
use std::process;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

type Pools = HashMap<usize, Arc<ThreadPool>>;

/// The pools of the process of this number. Only who is attached to Python locks it, so that no fork finds it locked.
static POOLS: Mutex<Option<(u32, Pools)>> = Mutex::new(None);

/// A pool of so many threads; by default as many as the machine has cores, or as RAYON_NUM_THREADS says.
pub fn pool(_: Python<'_>, threads: Option<usize>) -> PyResult<Arc<ThreadPool>> {
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    if pools.as_ref().is_none_or(|(pid, _)| *pid != process::id()) {
        // Those of the parent have no threads here: nothing may wait for them, not even their end.
        std::mem::forget(pools.replace((process::id(), Pools::new())));
    }
    let (_, pools) = pools.as_mut().expect("was just set");
    let threads = threads.unwrap_or(0);
    if let Some(pool) = pools.get(&threads) {
        return Ok(pool.clone());
    }
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|index| format!("couplet-{index}"))
        .build()
        .map_err(|error| PyRuntimeError::new_err(format!("threads={threads}: {error}")))?;
    Ok(pools.entry(threads).or_insert(Arc::new(pool)).clone())
}
