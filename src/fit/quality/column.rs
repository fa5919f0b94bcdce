use crate::data::{RowNumbers, selector};
use crate::error::{Message, Remedy};

use super::{QualityKind, QualityWarning};

/// The part of the rows with one and the same number from which a column counts as nearly constant.
const NEARLY_ALL: f64 = 0.9;
/// Rows that are looked at for what takes sorting: from all over the table.
const ROWS: usize = 100_000;
/// How many deviations from the mean of the others are too far for one value.
const FAR: f64 = 30.0;

/// How often one number must stand in a column to be more than its neighbors let expect: in so many rows, in so large a
/// part of all, and so many times as often as its neighbors, of which so many are counted on either side.
const SPIKE_ROWS: usize = 8;
const SPIKE_PART: f64 = 0.01;
const SPIKE_RATIO: f64 = 5.0;
const SPIKE_NEIGHBORS: usize = 5;

/// From how many rows a level on, on average, a column takes levels rather than numbers, and with how many levels in the
/// middle half of its rows. Fewer rows count where the levels are an even step apart, and that is wide.
const LEVEL_ROWS: f64 = 10.0;
const GRID_ROWS: f64 = 5.0;
const COARSE_GRID_ROWS: f64 = 3.0;
const MAX_LEVELS: f64 = 250.0;
const MAX_COARSE_LEVELS: f64 = 64.0;
/// Fewer rows show no levels.
const MIN_ROWS: usize = 30;

/// What in a column speaks against fitting a density to it; `distinct` are its numbers in the rows that differ.
pub(super) fn warnings(
    column: &[f64],
    numbers: RowNumbers<'_>,
    distinct: &[f64],
    index: usize,
    names: &[String],
) -> Vec<QualityWarning> {
    let out = &selector(index, names);
    let mut found: Vec<QualityWarning> = Vec::new();
    match row_index(column, numbers, out) {
        Some(warning) => found.push(warning),
        None => {
            found.extend(repeated_number(column, out));
            let is_constant = found
                .iter()
                .any(|it| it.kind == QualityKind::NearlyConstant);
            if !is_constant && let Some(levels) = levels(distinct, out) {
                // Of levels one is often far more frequent than the others.
                found.retain(|_| is_in_most(column));
                found.push(levels);
            }
        }
    }
    found.extend(far_value(column, numbers));
    found
}

fn leave_out(column: &str) -> Remedy {
    Remedy::new("leave it out", "exclude", column)
}

/// A running number, as tools write it before the columns of a table.
fn row_index(column: &[f64], numbers: RowNumbers<'_>, out: &str) -> Option<QualityWarning> {
    let step = |row: usize| (numbers.of(row + 1) - numbers.of(row)) as f64;
    let mut pairs = column.windows(2).enumerate();
    let counts = column.len() >= 10 && pairs.all(|(row, pair)| pair[1] - pair[0] == step(row));
    counts.then(|| {
        let message = Message::new("counts the rows: it looks like an index, not a measurement");
        QualityWarning::new(QualityKind::RowIndex, message.remedy(leave_out(out)))
    })
}

/// Whether one number stands in so many rows that it is more than a level among others.
fn is_in_most(column: &[f64]) -> bool {
    const PART: f64 = 0.4;
    let levels = Levels::of(column);
    let most = levels.levels.iter().map(|(_, count)| *count).max();
    most.is_some_and(|most| most as f64 >= PART * levels.count as f64)
}

/// Equal numbers of a column, in ascending order: the number, and how often it stands there.
struct Levels {
    levels: Vec<(f64, usize)>,
    /// Numbers in all.
    count: usize,
    /// Levels in the middle half of the numbers, and the length of that half.
    in_half: f64,
    half: f64,
}

impl Levels {
    fn of(column: &[f64]) -> Self {
        let step = column.len().div_ceil(ROWS).max(1);
        // Both zeros are one number.
        let mut sorted: Vec<f64> = column.iter().step_by(step).map(|x| x + 0.0).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let runs = sorted.chunk_by(|a, b| a == b);
        let levels: Vec<(f64, usize)> = runs.map(|run| (run[0], run.len())).collect();
        let count = sorted.len();
        let (low, high) = (sorted[count / 4], sorted[(3 * count / 4).min(count - 1)]);
        let in_half = levels.iter().filter(|(x, _)| (low..=high).contains(x));
        Levels {
            in_half: in_half.count() as f64,
            half: high - low,
            levels,
            count,
        }
    }

    /// The step that all levels are a multiple of apart, if there is one.
    fn step(&self) -> Option<f64> {
        let gaps = || self.levels.windows(2).map(|pair| pair[1].0 - pair[0].0);
        let step = gaps().reduce(f64::min).filter(|step| *step > 0.0)?;
        let is_multiple = |gap: f64| {
            let steps = gap / step;
            (steps - steps.round()).abs() < 1e-3
        };
        (self.levels.len() > 2 && gaps().all(is_multiple)).then_some(step)
    }

    /// The number that stands there most often, if that is far more often than its neighbors.
    fn spike(&self) -> Option<(f64, usize)> {
        let most = self.levels.iter().enumerate();
        let (index, &(number, count)) = most.max_by_key(|(_, (_, count))| *count)?;
        let begin = index.saturating_sub(SPIKE_NEIGHBORS);
        let end = (index + SPIKE_NEIGHBORS + 1).min(self.levels.len());
        let around: usize = self.levels[begin..end].iter().map(|(_, count)| count).sum();
        let neighbors = end - begin - 1;
        let neighbor_mean = (around - count) as f64 / neighbors.max(1) as f64;
        let is_spike = count >= SPIKE_ROWS
            && count as f64 >= SPIKE_PART * self.count as f64
            && count as f64 > SPIKE_RATIO * neighbor_mean
            && neighbors > 1;
        is_spike.then_some((number, count))
    }
}

/// One number too often.
fn repeated_number(column: &[f64], out: &str) -> Option<QualityWarning> {
    let rows = column.len();
    if rows == 0 {
        return None;
    }
    let levels = Levels::of(column);
    let (count, different) = (levels.count, levels.levels.len());
    // A constant column is refused elsewhere.
    if different == 1 {
        return None;
    }
    let constant = |text: String| {
        let message = Message::new(text).remedy(leave_out(out));
        Some(QualityWarning::new(QualityKind::NearlyConstant, message))
    };
    let most = levels.levels.iter().max_by_key(|(_, count)| *count);
    if let Some(&(number, most)) = most
        && most as f64 >= NEARLY_ALL * count as f64
        && count >= 10
    {
        let most = (most * rows.div_ceil(ROWS)).min(rows - 1);
        return constant(format!(
            "is nearly constant: {number} in {most} of {rows} rows; a density cannot describe such a column well"
        ));
    }
    let (low, high) = (levels.levels[0].0, levels.levels[different - 1].0);
    if high - low < 1e-9 * low.abs().max(high.abs()) {
        return constant(format!(
            "is nearly constant: it varies by {:e} around {low}, in its last digits only",
            high - low
        ));
    }
    let (number, often) = levels.spike()?;
    let message = Message::new(format!(
        "is {number} in {:.0}% of the rows: no density describes one number that often",
        (100.0 * often as f64 / count as f64).max(1.0)
    ))
    .remedy(Remedy::by_hand("model those rows apart"))
    .remedy(leave_out(out));
    Some(QualityWarning::new(QualityKind::RepeatedNumber, message))
}

/// Levels instead of numbers.
fn levels(column: &[f64], out: &str) -> Option<QualityWarning> {
    if column.len() < MIN_ROWS {
        return None;
    }
    let levels = Levels::of(column);
    let (count, different) = (levels.count, levels.levels.len());
    let each = count as f64 / different as f64;
    let step = levels.step();
    let is_discrete = match step {
        Some(step) => {
            let steps = levels.half / step;
            (each >= GRID_ROWS && steps <= MAX_LEVELS)
                || (each >= COARSE_GRID_ROWS && steps <= MAX_COARSE_LEVELS)
        }
        None => each >= LEVEL_ROWS && levels.in_half <= MAX_LEVELS,
    };
    if !is_discrete {
        return None;
    }
    let apart = match step {
        Some(step) => format!(", {} apart", short(step)),
        None => String::new(),
    };
    let noise = step.map(|step| {
        Remedy::by_hand(format!(
            "add noise to it that is uniform between {} and {}",
            short(-0.5 * step),
            short(0.5 * step)
        ))
    });
    let message = Message::new(format!(
        "has only {different} different numbers{apart}, each in {each:.0} rows on average: a density can grow without bound \
         at them, and says little of what lies between"
    ))
    .remedies(noise)
    .remedy(leave_out(out));
    Some(QualityWarning::new(QualityKind::Discrete, message))
}

/// A number without the rounding errors of a difference.
fn short(number: f64) -> f64 {
    format!("{number:.3e}").parse().unwrap_or(number)
}

/// A value further from all others than any density that fits them would put it.
fn far_value(column: &[f64], numbers: RowNumbers<'_>) -> Option<QualityWarning> {
    let rows = column.len();
    let n = rows as f64;
    let mean = column.iter().map(|x| x / n).sum::<f64>();
    let (row, value) = column
        .iter()
        .enumerate()
        .max_by(|(_, a), (_, b)| (*a - mean).abs().total_cmp(&(*b - mean).abs()))?;
    if rows < 10 {
        return None;
    }
    // Of the others: the far one would widen the measure that it is measured by.
    let others = || column.iter().enumerate().filter(|(other, _)| *other != row);
    let mean = others().map(|(_, x)| x / (n - 1.0)).sum::<f64>();
    let square = others()
        .map(|(_, x)| (x - mean) * (x - mean) / (n - 1.0))
        .sum::<f64>();
    let far = (value - mean).abs() / square.sqrt();
    (far > FAR && far.is_finite()).then(|| {
        let far = match far < 1e6 {
            true => format!("{far:.0}"),
            false => format!("{far:.0e}"),
        };
        let message = format!(
            "has {value:?} in row {}, {far} deviations from the mean of the others; if it is an error, remove the row, and \
             if such numbers belong there, take the column's logarithm",
            numbers.of(row)
        );
        QualityWarning::new(QualityKind::FarValue, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, normal_at};

    fn z(row: usize) -> f64 {
        f64::from(normal_at(5, Purpose::TargetRows, row as u64, 0))
    }

    /// A number from 0 to 1, unlike its neighbors'.
    fn uniform(row: usize) -> f64 {
        (row as f64 * 0.618_033_988_749_894_9).fract()
    }

    fn found(rows: usize, number: impl Fn(usize) -> f64) -> Vec<(QualityKind, String)> {
        let column: Vec<f64> = (0..rows).map(number).collect();
        let names = ["a".to_string(), "b".to_string()];
        let warnings = warnings(&column, RowNumbers::All, &column, 1, &names).into_iter();
        warnings
            .map(|it| (it.kind, it.message.to_string()))
            .collect()
    }

    #[track_caller]
    fn one(kind: QualityKind, part: &str, rows: usize, number: impl Fn(usize) -> f64) {
        let found = found(rows, number);
        assert!(
            found.len() == 1 && found[0].0 == kind && found[0].1.contains(part),
            "{part}: {found:?}"
        );
    }

    #[test]
    fn columns_without_a_density_are_named() {
        use QualityKind::*;
        let near = |row: usize| f64::from(row == 3) * 0.1;
        assert_eq!(found(200, near)[0].0, NearlyConstant);
        one(NearlyConstant, "last digits", 200, |row| {
            1e6 + 1e-7 * z(row)
        });
        one(RowIndex, "counts the rows", 200, |row| row as f64 + 1.0);
        let far = |row| if row == 7 { 40.0 } else { z(row) };
        one(FarValue, "has 40.0 in row 8", 1000, far);
        for text in found(200, |row| (row % 4) as f64).iter().map(|it| &it.1) {
            assert!(text.contains("exclude = b"), "{text}");
        }
    }

    /// Whole numbers, halves, hours, percents, days of a year, logarithms of counts: by their spacing and how often they
    /// repeat, whatever the number of levels.
    #[test]
    fn grids_are_recognized_at_any_number_of_levels() {
        use QualityKind::Discrete;
        let only =
            |part: &str, rows, number: &dyn Fn(usize) -> f64| one(Discrete, part, rows, number);
        only("only 4 different numbers, 1 apart", 200, &|row| {
            (row % 4) as f64
        });
        only("1 apart", 5000, &|row| (20.0 + 4.0 * z(row)).round());
        only("only 24 different numbers, 1 apart", 5000, &|row| {
            (24.0 * uniform(row)).floor()
        });
        only("0.5 apart", 5000, &|row| (8.0 * z(row)).round() / 2.0);
        only("0.1 apart", 3000, &|row| {
            (30.0 + 10.0 * z(row)).round() / 10.0
        });
        only("101 different", 4000, &|row| (100.0 * uniform(row)).round());
        only("366 different", 5000, &|row| (366.0 * uniform(row)).floor());
        only("900 apart", 2000, &|row| {
            1.7e9 + 900.0 * (96.0 * uniform(row)).floor()
        });
        only("different numbers, each", 5000, &|row| {
            (1.0 + (40.0 * uniform(row)).floor()).ln()
        });
        // Twice as few rows as levels would take, but far apart.
        only("1 apart", 200, &|row| (row * row % 97) as f64);
    }

    #[test]
    fn numbers_that_vary_are_not_warned_of() {
        for rows in [50, 1000, 20_000] {
            assert_eq!(found(rows, z), []);
            assert_eq!(found(rows, |row| f64::from(z(row) as f32)), []);
            assert_eq!(found(rows, |row| (1e4 * z(row)).round() / 1e4), []);
            assert_eq!(found(rows, uniform), []);
        }
        // Minutes of a day: finer than any density would follow.
        assert_eq!(found(5000, |row| (1440.0 * uniform(row)).floor()), []);
        assert_eq!(found(200_000, |row| (1e4 * uniform(row)).round() / 1e4), []);
    }

    /// A number of which there is more than a density would give, at any part of the rows and wherever it lies.
    #[test]
    fn one_number_too_often_is_named() {
        use QualityKind::RepeatedNumber;
        for every in [2, 5, 20, 50] {
            let at_zero = |row: usize| {
                if row.is_multiple_of(every) {
                    0.0
                } else {
                    z(row)
                }
            };
            let part = format!("is 0 in {}%", 100 / every);
            one(RepeatedNumber, &part, 2000, at_zero);
            let capped = |row: usize| {
                if row.is_multiple_of(every) {
                    9.0
                } else {
                    z(row)
                }
            };
            one(RepeatedNumber, "is 9 in", 2000, capped);
        }
        // Counts with too many zeros have both.
        let counts = found(5000, |row| match row % 2 {
            0 => 0.0,
            _ => (20.0 + 4.0 * z(row)).round(),
        });
        assert_eq!(counts.len(), 2, "{counts:?}");
        // Of few rows, two that are equal say nothing.
        assert_eq!(found(100, |row| if row < 3 { 0.0 } else { z(row) }), []);
    }
}
