use crate::kinds::{Kind, NumberColumn, wrap};
use crate::model::Model;
use crate::random::{Purpose, uniform, words};

use super::axes::{Interval, bars};

/// A column as the axis of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnAxis {
    /// The column's name.
    pub name: String,
    /// Its values.
    pub scale: Scale,
}

/// What the values of an axis are.
#[derive(Clone, Debug, PartialEq)]
pub enum Scale {
    /// Real numbers.
    Real,
    /// The numbers `origin + k step`, each drawn as a cell that is a step wide.
    Grid {
        /// The distance between two neighbors.
        step: f64,
        /// One of the numbers.
        origin: f64,
    },
    /// Angles: the axis is one period long, and its ends are neighbors.
    Circle {
        /// Where the axis begins.
        start: f64,
        /// How long it is.
        period: f64,
        /// The distance between two neighbors of those on a grid, each drawn as a cell; else 0.
        step: f64,
    },
    /// Levels: level k is drawn as a cell around k + 1.
    Levels(Vec<String>),
}

/// Cells that are drawn as a bar each; of more, several share a bar.
const CELLS: f64 = 40.0;

/// Up to so many cells are drawn apart from each other, with a gap between them that is this fraction of a cell.
const APART: f64 = 12.0;
const GAP: f64 = 0.3;

impl ColumnAxis {
    /// The axes of a model's modelled columns: those of numbers, then those of categories.
    pub fn of(model: &Model) -> Vec<Self> {
        let kinds = &model.preprocessing.kinds;
        let numbers = model
            .columns
            .iter()
            .enumerate()
            .map(|(j, name)| ColumnAxis {
                name: name.clone(),
                scale: kinds.get(j).map_or(Scale::Real, Scale::of),
            });
        let categories = model.categories().iter().map(|column| ColumnAxis {
            name: column.name.clone(),
            scale: Scale::Levels(column.levels.clone()),
        });
        numbers.chain(categories).collect()
    }

    /// Where on the axis the value of a row is: a number, or the index of a level.
    pub fn position(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Real | Scale::Grid { .. } => value,
            Scale::Circle {
                start,
                period,
                step,
            } => wrap(start - 0.5 * step, value, period),
            Scale::Levels(_) => value + 1.0,
        }
    }

    /// The part of the axis that holds all but the farthest fraction of these positions on either side, with a margin, or whole cells.
    pub fn interval(&self, positions: impl IntoIterator<Item = f64>, left_out: f64) -> Interval {
        match self.scale {
            Scale::Real => Interval::of(positions, left_out),
            Scale::Circle {
                start,
                period,
                step,
            } => Interval {
                low: start - 0.5 * step,
                high: start - 0.5 * step + period,
            },
            Scale::Levels(ref levels) => Interval {
                low: 0.5,
                high: levels.len() as f64 + 0.5,
            },
            Scale::Grid { step, origin } => {
                let inner = Interval::without_margin(positions, left_out);
                let first = ((inner.low - origin) / step).round();
                let cells = ((inner.high - origin) / step).round() - first + 1.0;
                let low = origin + step * (first - 0.5);
                let high = low + step * bars_of(cells) * (cells / CELLS).ceil();
                Interval { low, high }
            }
        }
    }

    /// How many bars a histogram of so many rows has on a part of the axis.
    pub fn bars(&self, interval: Interval, rows: usize) -> usize {
        match self.cells(interval) {
            None => bars(rows),
            Some(cells) => bars_of(cells) as usize,
        }
    }

    /// The cells of a part of the axis, where it has any.
    fn cells(&self, interval: Interval) -> Option<f64> {
        match self.scale {
            Scale::Real => None,
            Scale::Circle { step: 0.0, .. } => None,
            Scale::Grid { step, .. } | Scale::Circle { step, .. } => {
                Some((interval.length() / step).round())
            }
            Scale::Levels(ref levels) => Some(levels.len() as f64),
        }
    }

    /// Whether values are drawn as cells, not as points.
    pub fn has_cells(&self) -> bool {
        match self.scale {
            Scale::Real => false,
            Scale::Circle { step, .. } => step > 0.0,
            Scale::Grid { .. } | Scale::Levels(_) => true,
        }
    }

    /// Whether the ends of the axis are neighbors.
    pub fn is_circular(&self) -> bool {
        matches!(self.scale, Scale::Circle { .. })
    }

    /// The width of a bar, as a fraction of its cell.
    pub fn filled(&self, interval: Interval) -> f64 {
        match self.cells(interval) {
            Some(cells) if cells <= APART => 1.0 - GAP,
            _ => 1.0,
        }
    }

    /// Spreads positions over their cells at random, so that as many rows as there are can be seen. Other positions stay.
    pub fn spread(&self, positions: &mut [f64], interval: Interval, column: usize) {
        let width = match self.scale {
            Scale::Real => return,
            Scale::Grid { step, .. } | Scale::Circle { step, .. } => step,
            Scale::Levels(_) => 1.0,
        };
        let width = width * self.filled(interval);
        for (row, position) in positions.iter_mut().enumerate() {
            let [word, ..] = words(0, Purpose::Preimage, row as u64, column as u32);
            *position += width * (uniform(word) - 0.5);
        }
    }
}

/// The bars for so many cells, as many cells to each.
fn bars_of(cells: f64) -> f64 {
    (cells / (cells / CELLS).ceil()).ceil()
}

impl Scale {
    fn of(column: &NumberColumn) -> Self {
        match column.kind {
            Kind::Integer { .. } => Scale::Grid {
                step: column.step,
                origin: column.origin,
            },
            Kind::Circular { period } => Scale::Circle {
                start: column.start,
                period,
                step: column.step,
            },
            Kind::Real | Kind::Positive | Kind::Bounded { .. } | Kind::Categorical => Scale::Real,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(scale: Scale) -> ColumnAxis {
        let name = "x".into();
        ColumnAxis { name, scale }
    }

    #[test]
    fn bars_of_whole_numbers_hold_as_many_numbers_each() {
        for (step, origin, count) in [(1.0, 0.0, 7), (5.0, 3.0, 41), (1.0, 0.0, 1000)] {
            let axis = axis(Scale::Grid { step, origin });
            let numbers: Vec<f64> = (0..count).map(|k| origin + step * f64::from(k)).collect();
            let interval = axis.interval(numbers.iter().copied(), 0.0);
            let bars = axis.bars(interval, numbers.len());
            assert!(bars <= CELLS as usize, "{bars}");
            let to_a_bar = interval.length() / step / bars as f64;
            assert_eq!(to_a_bar, to_a_bar.round());
            let counts = interval.counts(&numbers, bars);
            let full = counts.iter().filter(|&&count| count == to_a_bar).count();
            assert!(full + 1 >= bars, "{counts:?}");
            assert_eq!(counts.iter().sum::<f64>(), f64::from(count));
        }
    }

    #[test]
    fn rows_are_spread_over_their_cells_alone() {
        let axis = axis(Scale::Levels(vec!["a".into(), "b".into(), "c".into()]));
        let interval = axis.interval([], 0.0);
        let mut positions: Vec<f64> = (0..3000).map(|k| axis.position(f64::from(k % 3))).collect();
        axis.spread(&mut positions, interval, 0);
        for (k, position) in positions.iter().enumerate() {
            let level = (k % 3) as f64 + 1.0;
            assert!((position - level).abs() <= 0.5 * (1.0 - GAP));
        }
        let first = positions.iter().step_by(3);
        assert!(first.clone().any(|x| *x < 0.7) && first.clone().any(|x| *x > 1.3));
    }

    #[test]
    fn angles_are_drawn_within_one_period() {
        let axis = axis(Scale::Circle {
            start: -180.0,
            period: 360.0,
            step: 0.0,
        });
        assert_eq!(axis.position(270.0), -90.0);
        let interval = axis.interval([0.0, 10.0], 0.1);
        assert_eq!((interval.low, interval.high), (-180.0, 180.0));
        let tens = self::axis(Scale::Circle {
            start: 0.0,
            period: 360.0,
            step: 10.0,
        });
        assert_eq!(tens.position(359.0), -1.0);
        let interval = tens.interval([], 0.1);
        assert_eq!((interval.low, interval.high), (-5.0, 355.0));
        assert_eq!(tens.bars(interval, 100), 36);
    }
}
