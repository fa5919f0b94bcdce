//! What a column of a kind is like, found from its numbers: grids, heavy tails, where to cut the circle.

use crate::data::RowNumbers;
use crate::error::{Message, Result};

use super::number_column::wrap;
use super::{Kind, NumberColumn};

/// From how many times the median on, in distance from a bound, one number in a hundred makes a column go by its logarithm.
const HEAVY: f64 = 20.0;

/// The bins that the circle is cut open in the emptiest of.
const BINS: usize = 36;

/// Fewer rows do not tell that all whole numbers are multiples of another one.
const ROWS_OF_A_STEP: usize = 100;

/// Rows that a step of a grid has at least, on average, for angles to stand on it.
const ROWS_TO_A_STEP: usize = 3;

impl NumberColumn {
    /// A column of this kind with these numbers; `rows` and `name` are for messages.
    ///
    /// # Errors
    /// Names the first row whose number cannot be of the kind.
    pub(crate) fn of(
        kind: Kind,
        numbers: &[f64],
        rows: RowNumbers<'_>,
        name: &str,
    ) -> Result<Self, Message> {
        let mut column = NumberColumn {
            kind,
            ..NumberColumn::default()
        };
        match kind {
            Kind::Bounded { low, high } => {
                let is_edge = |x: &f64| Some(*x) == low || Some(*x) == high;
                if numbers.iter().any(is_edge) {
                    column.edge = 0.5 * step_between(numbers).unwrap_or(0.0);
                }
            }
            Kind::Integer { .. } => {
                column.step = 1.0;
                if numbers.len() >= ROWS_OF_A_STEP && numbers.iter().all(|x| x.fract() == 0.0) {
                    column.step = common_step(numbers).max(1.0);
                    column.origin = numbers.first().map_or(0.0, |x| x.rem_euclid(column.step));
                }
            }
            Kind::Circular { period } => {
                let half = 0.5 * period;
                let is_from_half = numbers.iter().any(|x| *x < 0.0)
                    && numbers.iter().all(|x| (-half..=half).contains(x));
                column.start = if is_from_half { -half } else { 0.0 };
                column.cut = emptiest(numbers, period);
                column.step = grid_of_angles(numbers, period).unwrap_or(0.0);
            }
            Kind::Real | Kind::Positive | Kind::Categorical => {}
        }
        if let Some(distances) = column.distances(numbers) {
            let at = |part: f64| distances[((distances.len() - 1) as f64 * part) as usize];
            // No scale is left of numbers that nearly all are at the bound.
            column.scale = if at(0.5) > 0.0 { at(0.5) } else { column.step };
            column.logarithmic = column.scale == 0.0 || at(0.99) > HEAVY * column.scale;
            if column.logarithmic || column.is_discrete() {
                column.scale = 0.0;
            }
        }
        column.check(numbers, rows, name)?;
        Ok(column)
    }

    /// How far numbers are from the column's only bound, in ascending order.
    fn distances(&self, numbers: &[f64]) -> Option<Vec<f64>> {
        let (bound, sign) = match self.kind {
            Kind::Positive => (0.0, 1.0),
            Kind::Bounded { low, high } | Kind::Integer { low, high } => match (low, high) {
                (Some(low), None) => (low, 1.0),
                (None, Some(high)) => (high, -1.0),
                _ => return None,
            },
            _ => return None,
        };
        let mut distances: Vec<f64> = numbers.iter().map(|x| sign * (x - bound)).collect();
        distances.sort_unstable_by(f64::total_cmp);
        (!distances.is_empty()).then_some(distances)
    }
}

/// The smallest distance between two different numbers.
fn step_between(numbers: &[f64]) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let gaps = sorted.windows(2).map(|pair| pair[1] - pair[0]);
    gaps.filter(|gap| *gap > 0.0).reduce(f64::min)
}

/// The greatest number that all differences of whole numbers are multiples of; 0 where they are all the same.
fn common_step(numbers: &[f64]) -> f64 {
    let first = numbers.first().copied().unwrap_or(0.0);
    let mut step = 0.0f64;
    for x in numbers {
        let mut rest = (x - first).abs();
        // Euclid's algorithm.
        while rest > 0.0 {
            (step, rest) = (rest, step % rest);
        }
        if step == 1.0 {
            break;
        }
    }
    step
}

/// Where the fewest angles are: the middle of the emptiest bin, with its neighbors.
fn emptiest(numbers: &[f64], period: f64) -> f64 {
    let mut counts = [0usize; BINS];
    for &x in numbers {
        let bin = wrap(0.0, x, period) / period * BINS as f64;
        counts[(bin as usize).min(BINS - 1)] += 1;
    }
    let around = |bin: usize| -> usize {
        let near = [BINS - 2, BINS - 1, 0, 1, 2].into_iter();
        near.map(|off| counts[(bin + off) % BINS]).sum()
    };
    let bin = (0..BINS).min_by_key(|&bin| around(bin)).unwrap_or(0);
    (bin as f64 + 0.5) * period / BINS as f64
}

/// The step of the grid that angles stand on, where there are several rows to a step.
fn grid_of_angles(numbers: &[f64], period: f64) -> Option<f64> {
    let step = step_between(numbers)?;
    let steps = period / step;
    let is_whole = |steps: f64| (steps - steps.round()).abs() < 1e-6 * steps.abs().max(1.0);
    let many = numbers.len() as f64 >= ROWS_TO_A_STEP as f64 * steps;
    let is_grid = many && is_whole(steps) && numbers.iter().all(|x| is_whole(x / step));
    is_grid.then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: &str, numbers: &[f64]) -> NumberColumn {
        NumberColumn::of(kind.parse().unwrap(), numbers, RowNumbers::All, "x").unwrap()
    }

    #[test]
    fn grids_and_cuts_are_found() {
        let tens: Vec<f64> = (0..200).map(|k| f64::from(k % 36) * 10.0).collect();
        assert_eq!(column("circular(360)", &tens).step, 10.0);
        assert_eq!(column("integer", &tens).step, 10.0);
        assert_eq!(column("integer", &[3.0, 7.0, 5.0].repeat(40)).step, 2.0);
        assert_eq!(column("integer", &[3.0, 7.0, 5.0]).step, 1.0);
        assert_eq!(column("integer", &[4.0, 4.0]).step, 1.0);
        // Fewer than three rows to a step.
        assert_eq!(column("circular(360)", &tens[..40]).step, 0.0);
        let gap: Vec<f64> = (0..500).map(|k| 100.0 + f64::from(k) * 0.6).collect();
        let cut = column("circular(360)", &gap).cut;
        assert!((40.0..100.0).contains(&cut), "{cut}");
    }
}
