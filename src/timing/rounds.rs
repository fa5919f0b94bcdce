use web_time::Instant;

use crate::error::Result;
use crate::executor::Executor;

/// How long a round should take, in seconds: long against the clock's resolution and short against changes of the machine's load.
const ROUND: f64 = 0.3;

/// Seconds of one repetition.
pub struct Stats {
    /// Of all rounds.
    pub median: f64,
    /// Of the fastest.
    pub min: f64,
    /// Of the slowest.
    pub max: f64,
}

/// Warms up, then takes rounds of as many repetitions as fill a third of a second: `work` is told how many.
///
/// # Errors
/// Those of the work.
pub fn repeat(
    executor: &mut dyn Executor,
    rounds: usize,
    mut work: impl FnMut(&mut dyn Executor, usize) -> Result<()>,
) -> Result<Stats> {
    let mut count = 1;
    loop {
        let begin = Instant::now();
        work(executor, count)?;
        let taken = begin.elapsed().as_secs_f64().max(1e-9);
        if taken > ROUND / 2.0 {
            count = ((count as f64 * ROUND / taken) as usize).max(1);
            break;
        }
        count = (count * 2).max((count as f64 * ROUND / taken / 2.0) as usize);
    }
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let begin = Instant::now();
        work(executor, count)?;
        times.push(begin.elapsed().as_secs_f64() / count as f64);
    }
    times.sort_by(f64::total_cmp);
    Ok(Stats {
        median: times[times.len() / 2],
        min: times[0],
        max: times[times.len() - 1],
    })
}
