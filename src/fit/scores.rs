use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::fmt;

use serde_json::{Map, Value, json};

use crate::data::Part;
use crate::error::{escape_control, format_row};
use crate::random::{Purpose, words};

/// Statistics of the log-densities of many rows.
#[derive(Default)]
pub struct Scores {
    /// Rows seen.
    pub rows: usize,
    /// The sum of the finite scores, and that of their squared distances from their mean so far (Welford 1962).
    mean: f64,
    squares: f64,
    finite: usize,
    /// Scores that quantiles are of, if they are wanted.
    some: Option<SomeScores>,
    /// As many of the lowest as are wanted, the highest of them on top.
    lowest: BinaryHeap<Scored>,
    most: usize,
    /// Rows whose score is not finite, and the first of them.
    pub overflows: usize,
    /// The first of those rows.
    pub first_overflow: Option<Scored>,
}

/// Scores of all rows, or of a sample where these are many: each row is in it or not by its number.
#[derive(Default)]
struct SomeScores {
    numbered: Vec<(u64, f64)>,
    mask: u32,
}

impl SomeScores {
    /// Scores that are kept, at most.
    const MOST: usize = 1 << 21;

    fn note(&mut self, number: u64, score: f64) {
        let is_kept = |number: u64, mask: u32| words(0, Purpose::Sample, number, 1)[0] & mask == 0;
        if self.mask > 0 && !is_kept(number, self.mask) {
            return;
        }
        if self.numbered.len() == Self::MOST {
            self.mask = 2 * self.mask + 1;
            let mask = self.mask;
            self.numbered.retain(|(number, _)| is_kept(*number, mask));
            return self.note(number, score);
        }
        self.numbered.push((number, score));
    }
}

/// A row and its log-density.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// In nats.
    pub log_prob: f64,
    /// The row's number in its file, from 1 on.
    pub number: u64,
    /// The row, a number a column.
    pub values: Vec<f64>,
}

impl Eq for Scored {}

impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_score = self.log_prob.total_cmp(&other.log_prob);
        by_score.then(self.number.cmp(&other.number))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Scores {
    /// Keeps the `lowest` rows of that number, and scores if `quantiles` are needed.
    pub fn new(lowest: usize, quantiles: bool) -> Self {
        Scores {
            some: quantiles.then(SomeScores::default),
            most: lowest,
            ..Scores::default()
        }
    }

    /// Takes in rows and their scores.
    pub fn note(&mut self, part: &Part, scores: &[f64]) {
        for (row, &log_prob) in scores.iter().enumerate() {
            let scored = || Scored {
                log_prob,
                number: part.numbers[row],
                values: part.values.row(row).collect(),
            };
            if log_prob.is_finite() {
                self.finite += 1;
                let off = log_prob - self.mean;
                self.mean += off / self.finite as f64;
                self.squares += off * (log_prob - self.mean);
            } else {
                self.overflows += 1;
                self.first_overflow.get_or_insert_with(scored);
            }
            let is_low = |top: &Scored| log_prob < top.log_prob;
            if self.lowest.len() < self.most {
                self.lowest.push(scored());
            } else if self.lowest.peek().is_some_and(is_low) {
                self.lowest.pop();
                self.lowest.push(scored());
            }
        }
        self.rows += scores.len();
        if let Some(some) = &mut self.some {
            for (number, score) in part.numbers.iter().zip(scores) {
                some.note(*number, *score);
            }
        }
    }

    /// The mean of the finite scores and its standard error, in nats; none where there is no such score.
    pub fn mean(&self) -> Option<(f64, f64)> {
        let count = self.finite as f64;
        let error = (self.squares / (count - 1.0).max(1.0) / count).sqrt();
        (self.finite > 0).then_some((self.mean, error))
    }

    /// The score that each fraction of the rows lies below, interpolated linearly; of more than two million rows those of a sample. None
    /// where they were not asked for, or there are no rows.
    pub fn quantiles<const N: usize>(&self, fractions: [f64; N]) -> Option<[f64; N]> {
        let some = self.some.as_ref().filter(|it| !it.numbered.is_empty())?;
        let mut all: Vec<f64> = some.numbered.iter().map(|(_, score)| *score).collect();
        all.sort_unstable_by(f64::total_cmp);
        Some(fractions.map(|fraction| {
            let index = fraction * (all.len() - 1) as f64;
            let (below, above) = (all[index.floor() as usize], all[index.ceil() as usize]);
            let weight = index.fract();
            // Nothing lies between minus infinity and a number.
            match weight > 0.0 && below.is_finite() {
                true => below + weight * (above - below),
                false => below,
            }
        }))
    }

    /// The summary of the scores, of rows of these columns, with the levels of each, if it has any.
    pub fn summary<'a>(self, columns: &'a [String], levels: &'a [Vec<String>]) -> ScoreSummary<'a> {
        ScoreSummary {
            columns,
            levels,
            rows: self.rows,
            overflows: self.overflows,
            mean: self.mean(),
            quantiles: self.quantiles(FRACTIONS),
            quantile_rows: self.some.as_ref().map_or(0, |it| it.numbered.len()),
            lowest: self.into_lowest(),
        }
    }

    /// The lowest rows, the lowest first.
    pub fn into_lowest(self) -> Vec<Scored> {
        self.lowest.into_sorted_vec()
    }
}

/// The fractions of the rows whose scores a summary names.
const FRACTIONS: [f64; 7] = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99];

/// The log-densities of many rows, in a few numbers.
pub struct ScoreSummary<'a> {
    columns: &'a [String],
    levels: &'a [Vec<String>],
    rows: usize,
    overflows: usize,
    mean: Option<(f64, f64)>,
    quantiles: Option<[f64; FRACTIONS.len()]>,
    /// Rows that they are of.
    quantile_rows: usize,
    lowest: Vec<Scored>,
}

impl fmt::Display for ScoreSummary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "rows       {}", self.rows)?;
        if let Some((mean, error)) = self.mean {
            writeln!(
                f,
                "mean       {mean:.5} +- {error:.5} nats (the standard error)"
            )?;
        }
        if let Some(quantiles) = self.quantiles {
            f.write_str("quantiles ")?;
            for (fraction, value) in FRACTIONS.iter().zip(quantiles) {
                write!(f, " {:.0}%: {value:.3} ", 100.0 * fraction)?;
            }
            if self.quantile_rows < self.rows {
                write!(
                    f,
                    " (of {} rows from all over the table)",
                    self.quantile_rows
                )?;
            }
            writeln!(f)?;
        }
        writeln!(f, "\nthe lowest rows\n       row     log_prob")?;
        for row in &self.lowest {
            let values = format_row(self.columns, self.values(row));
            writeln!(f, "{:>10} {:>12.5}   {values}", row.number, row.log_prob)?;
        }
        Ok(())
    }
}

/// What a row has in a column.
enum CellText<'a> {
    Number(f64),
    Level(&'a str),
}

/// As [`format_row`] writes it.
impl fmt::Debug for CellText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CellText::Number(number) => fmt::Debug::fmt(number, f),
            CellText::Level(level) => f.write_str(&escape_control(level)),
        }
    }
}

impl ScoreSummary<'_> {
    fn values<'s>(&'s self, row: &'s Scored) -> impl Iterator<Item = CellText<'s>> {
        row.values.iter().enumerate().map(|(j, &x)| {
            let level = self.levels.get(j).and_then(|levels| levels.get(x as usize));
            match level {
                Some(level) => CellText::Level(level),
                None => CellText::Number(x),
            }
        })
    }

    /// The summary as a JSON object, with scores as `round` has them.
    pub fn to_json(&self, round: impl Fn(f64) -> f64) -> Value {
        // JSON has no infinity.
        let number = |value: f64| match value.is_finite() {
            true => json!(round(value)),
            false => json!("-inf"),
        };
        let (mean, error) = self.mean.unzip();
        let quantiles = FRACTIONS
            .iter()
            .zip(self.quantiles.into_iter().flatten())
            .map(|(fraction, value)| json!([fraction, number(value)]));
        let lowest = self.lowest.iter().map(|row| {
            let values = self
                .columns
                .iter()
                .cloned()
                .zip(self.values(row).zip(&row.values))
                .map(|(name, (text, x))| match text {
                    CellText::Level(level) => (name, json!(level)),
                    CellText::Number(_) => (name, json!(x)),
                });
            let values: Map<_, _> = values.collect();
            json!({ "row": row.number, "log_prob": number(row.log_prob), "values": values })
        });
        json!({
            "rows": self.rows,
            "overflows": self.overflows,
            "mean": mean,
            "standard_error": error,
            "quantiles": quantiles.collect::<Vec<_>>(),
            "quantile_rows": self.quantile_rows,
            "lowest": lowest.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Matrix;

    #[test]
    fn the_lowest_come_first_and_the_mean_knows_its_error() {
        let mut scores = Scores::new(3, true);
        for first in [1u64, 51] {
            let part = Part {
                values: Matrix::from_fn(50, 2, |row, j| (row + 100 * j) as f64),
                numbers: (first..first + 50).collect(),
                rows: first..first + 50,
                texts: Vec::new(),
                table: None,
            };
            let of = |number: &u64| (number * 37 % 101) as f64;
            let log_prob: Vec<f64> = part.numbers.iter().map(of).collect();
            scores.note(&part, &log_prob);
        }
        let [low, middle, high] = scores.quantiles([0.0, 0.5, 1.0]).unwrap();
        assert_eq!([low, middle, high], [1.0, 50.5, 100.0]);
        let (mean, error) = scores.mean().unwrap();
        // Of 1 to 100 the variance is 101 * 100 / 12.
        assert!((mean - 50.5).abs() < 1e-12 && (error - (101.0f64 / 12.0).sqrt()).abs() < 1e-12);
        let lowest = scores.into_lowest();
        let log_probs: Vec<f64> = lowest.iter().map(|row| row.log_prob).collect();
        assert_eq!(log_probs, [1.0, 2.0, 3.0]);
        assert_eq!(lowest[0].number * 37 % 101, 1);
    }

    #[test]
    fn quantiles_of_many_rows_are_those_of_a_sample() {
        let mut some = SomeScores::default();
        let rows = 5 * SomeScores::MOST as u64;
        for number in 1..=rows {
            some.note(number, (number * 7919 % rows) as f64 / rows as f64);
        }
        let kept = some.numbered.len();
        assert!(
            (SomeScores::MOST / 2..=SomeScores::MOST).contains(&kept),
            "{kept}"
        );
        let scores = Scores {
            some: Some(some),
            ..Scores::default()
        };
        let found = scores.quantiles([0.01, 0.5, 0.99]).unwrap();
        for (found, expected) in found.iter().zip([0.01, 0.5, 0.99]) {
            assert!((found - expected).abs() < 0.002, "{found} {expected}");
        }
    }

    #[test]
    fn what_overflows_is_apart() {
        let mut scores = Scores::new(1, true);
        let part = Part {
            values: Matrix::from_values(3, 1, vec![7.0, 8.0, 9.0]),
            numbers: vec![4, 5, 6],
            rows: 4..7,
            texts: Vec::new(),
            table: None,
        };
        scores.note(&part, &[-1.0, f64::NEG_INFINITY, -3.0]);
        assert_eq!(scores.mean(), Some((-2.0, 1.0)));
        assert_eq!(scores.overflows, 1);
        assert_eq!(
            scores.first_overflow.as_ref().map(|row| row.number),
            Some(5)
        );
        assert_eq!(
            scores.quantiles([0.0, 0.3, 0.75, 1.0]),
            Some([f64::NEG_INFINITY, f64::NEG_INFINITY, -2.0, -1.0])
        );
        assert_eq!(scores.into_lowest()[0].number, 5);
    }
}
