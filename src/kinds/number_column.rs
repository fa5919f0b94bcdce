use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::flow::Density;
use crate::random::{Purpose, uniform, words};

use super::{Interval, Kind};

/// A column of numbers as an image of a real one: which real numbers become a number of the table, and which of them a flow is fitted
/// to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NumberColumn {
    /// What it holds: no categories.
    pub kind: Kind,
    /// The distance between neighbors on the grid that its numbers stand on; 0 where they stand on none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub step: f64,
    /// A number of the grid.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub origin: f64,
    /// How far beyond its bounds the real number may lie, which is folded back: half the distance to the numbers next to a bound that
    /// some rows have; 0 where no row has a bound.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub edge: f64,
    /// Numbers with one bound: whether they go by their logarithm, as where some are very many times as large as most.
    #[serde(default, skip_serializing_if = "is_false")]
    pub logarithmic: bool,
    /// Where they do not: the distance from the bound from which on they go straight.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub scale: f64,
    /// Where the circle is cut open: where the fewest rows are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cut: f64,
    /// The least of the angles that samples have.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start: f64,
}

fn is_false(is: &bool) -> bool {
    !is
}

fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

/// How far the real numbers that stand for angles overlap on either side of the cut, as a fraction of the period.
const OVERLAP: f64 = 0.125;

/// Where the logarithm of a number of steps ends: beyond it not every whole number has a 64-bit one.
const MOST: f64 = 34.0;

impl NumberColumn {
    /// Whether its numbers are separate: the log-density of one is a log-probability then.
    pub fn is_discrete(&self) -> bool {
        matches!(self.kind, Kind::Integer { .. })
    }

    /// Whether a number is one of the column's: elsewhere the density is 0.
    pub fn contains(&self, x: f64) -> bool {
        if !x.is_finite() {
            return false;
        }
        match self.kind {
            Kind::Real | Kind::Circular { .. } | Kind::Categorical => true,
            Kind::Positive => x > 0.0,
            // No real number stands for a bound that no row has.
            Kind::Bounded { low, high } => match self.edge > 0.0 {
                true => low.is_none_or(|low| x >= low) && high.is_none_or(|high| x <= high),
                false => low.is_none_or(|low| x > low) && high.is_none_or(|high| x < high),
            },
            Kind::Integer { low, high } => {
                low.is_none_or(|low| x >= low)
                    && high.is_none_or(|high| x <= high)
                    && self.image(x) == x
            }
        }
    }

    /// What real numbers stand for it lie in, before they become those of the whole line.
    pub fn interval(&self) -> Interval {
        let scale = (self.scale > 0.0).then_some(self.scale);
        match self.kind {
            Kind::Real | Kind::Circular { .. } | Kind::Categorical => Interval::default(),
            Kind::Positive => Interval {
                low: Some(0.0),
                high: None,
                scale,
            },
            Kind::Bounded { low, high } => Interval {
                low: low.map(|low| low - self.edge),
                high: high.map(|high| high + self.edge),
                scale,
            },
            // The least and the greatest have all that lies beyond them.
            Kind::Integer { .. } => Interval::default(),
        }
    }

    /// A number of the interval as any real number. Whole numbers from a least one on that go by their logarithm do so from the
    /// end of its cell on: y = ln(1 + t), t being the steps from there, and y = t below it.
    pub fn to_real(&self, v: f64) -> f64 {
        match self.open_end() {
            None => self.interval().to_real(v),
            Some((end, sign)) => {
                let t = sign * (v - end) / self.step;
                sign * if t > 0.0 { t.ln_1p() } else { t }
            }
        }
    }

    /// The number of the interval that any real number stands for.
    pub fn from_real(&self, y: f64) -> f64 {
        match self.open_end() {
            None => self.interval().from_real(y),
            Some((end, sign)) => {
                let y = sign * y;
                let t = if y > 0.0 { y.min(MOST).exp_m1() } else { y };
                end + sign * t * self.step
            }
        }
    }

    /// ln |dy/dv|, from y.
    pub fn log_slope(&self, y: f64) -> f64 {
        match self.open_end() {
            None => self.interval().log_slope(y),
            Some((_, sign)) => -(sign * y).max(0.0) - self.step.ln(),
        }
    }

    /// Of whole numbers with one bound: the inner end of the bound's cell, and 1 if the numbers go up from there, else -1.
    fn open_end(&self) -> Option<(f64, f64)> {
        match self.kind {
            _ if !self.logarithmic => None,
            Kind::Integer {
                low: Some(low),
                high: None,
            } => Some((low + 0.5 * self.step, 1.0)),
            Kind::Integer {
                low: None,
                high: Some(high),
            } => Some((high - 0.5 * self.step, -1.0)),
            _ => None,
        }
    }

    /// The cell of a whole number, or of an angle on a grid: all real numbers that become x. The cell of a bound has no other end.
    pub(crate) fn cell(&self, x: f64) -> (f64, f64) {
        let (mut first, mut last) = (x - 0.5 * self.step, x + 0.5 * self.step);
        if let Kind::Integer { low, high } = self.kind {
            // Bounds may lie between the numbers of a grid.
            if low.is_some_and(|low| x - self.step < low) {
                first = f64::NEG_INFINITY;
            }
            if high.is_some_and(|high| x + self.step > high) {
                last = f64::INFINITY;
            }
        }
        (first, last)
    }

    /// The number of x's cell that a number from 0 to 1 stands for, and ln of the density of such numbers where that is uniform: it is
    /// uniform in the cell, or half of a normal distribution in one without end, as wide as makes both densities meet.
    pub(super) fn in_cell(&self, x: f64, uniform: f64) -> (f64, f64) {
        let half_normal = |tail: f64| {
            let z = Density::Normal.quantile(0.5 * tail);
            let scale = self.step * (2.0 / PI).sqrt();
            (scale * z, -0.5 * z * z - self.step.ln())
        };
        match self.cell(x) {
            (f64::NEG_INFINITY, f64::INFINITY) => (x, 0.0),
            (f64::NEG_INFINITY, last) => {
                let (off, log_density) = half_normal(uniform);
                (last + off, log_density)
            }
            (first, f64::INFINITY) => {
                let (off, log_density) = half_normal(1.0 - uniform);
                (first - off, log_density)
            }
            (first, last) => (first + uniform * (last - first), -self.step.ln()),
        }
    }

    /// The number of x's cell at which a rule over (0, 1) has a node, and ln of the density of such numbers where the node is uniform: it
    /// is uniform in the cell, or exponential in one without end. A density that is half of a normal distribution there may have members
    /// that are wider, which a normal one would not reach.
    pub(super) fn node_in_cell(&self, x: f64, at: f64) -> (f64, f64) {
        let steps = -(1.0 - at).ln();
        let log_density = -steps - self.step.ln();
        match self.cell(x) {
            (f64::NEG_INFINITY, f64::INFINITY) => self.in_cell(x, at),
            (f64::NEG_INFINITY, last) => (last - steps * self.step, log_density),
            (first, f64::INFINITY) => (first + steps * self.step, log_density),
            _ => self.in_cell(x, at),
        }
    }

    /// The number of the table that a real number of the interval becomes.
    pub fn image(&self, v: f64) -> f64 {
        match self.kind {
            Kind::Real | Kind::Categorical => v,
            Kind::Positive => v.max(f64::MIN_POSITIVE),
            Kind::Bounded { low, high } => {
                let (least, most) = match self.edge > 0.0 {
                    true => (low, high),
                    false => (low.map(f64::next_up), high.map(f64::next_down)),
                };
                let folded = match (low, high) {
                    (Some(low), _) if v < low => 2.0 * low - v,
                    (_, Some(high)) if v > high => 2.0 * high - v,
                    _ => v,
                };
                let folded = least.map_or(folded, |least| folded.max(least));
                most.map_or(folded, |most| folded.min(most))
            }
            Kind::Integer { low, high } => {
                let steps = |x: f64| (x - self.origin) / self.step;
                let mut nearest = steps(v).round();
                if let Some(low) = low {
                    nearest = nearest.max(steps(low).ceil());
                }
                if let Some(high) = high {
                    nearest = nearest.min(steps(high).floor());
                }
                nearest * self.step + self.origin
            }
            Kind::Circular { period } => {
                let x = match self.step > 0.0 {
                    true => (v / self.step).round() * self.step,
                    false => v,
                };
                wrap(self.start, x, period)
            }
        }
    }

    /// The probability of at most x, of a column of its own: the sum of these factors times the probability of real numbers of at
    /// most these. There are as many for every x.
    pub(crate) fn cdf_terms(&self, x: f64) -> Vec<(f64, f64)> {
        match self.kind {
            Kind::Real | Kind::Positive | Kind::Categorical => vec![(1.0, x)],
            Kind::Bounded { low, high } if self.edge > 0.0 => {
                let x = x.clamp(
                    low.unwrap_or(f64::NEG_INFINITY),
                    high.unwrap_or(f64::INFINITY),
                );
                let mut terms = vec![(1.0, x)];
                terms.extend(low.map(|low| (-1.0, 2.0 * low - x)));
                terms.extend(high.map(|high| (-1.0, 2.0 * high - x)));
                // The mass above the upper bound.
                terms.extend(high.map(|_| (1.0, f64::INFINITY)));
                terms
            }
            Kind::Bounded { .. } => vec![(1.0, x)],
            Kind::Integer { low: Some(low), .. } if x < low => vec![(1.0, f64::NEG_INFINITY)],
            Kind::Integer { .. } => {
                let steps = ((x - self.origin) / self.step).floor();
                vec![(1.0, self.cell(self.origin + self.step * steps).1)]
            }
            Kind::Circular { period } => {
                let half = 0.5 * self.step;
                let (x, first) = (wrap(self.start, x, period) + half, self.start - half);
                let turns = [-2.0, -1.0, 0.0, 1.0, 2.0].map(|turn| turn * period);
                let terms = turns.map(|turn| [(1.0, x + turn), (-1.0, first + turn)]);
                terms.concat()
            }
        }
    }

    /// Whether all numbers are there and make sense, in a file.
    pub(crate) fn is_valid(&self) -> bool {
        let numbers = [
            self.step,
            self.origin,
            self.edge,
            self.scale,
            self.cut,
            self.start,
        ];
        let has_step = !self.is_discrete() || self.step > 0.0;
        self.kind != Kind::Categorical
            && numbers.iter().all(|number| number.is_finite())
            && self.step >= 0.0
            && self.edge >= 0.0
            && self.scale >= 0.0
            && has_step
    }

    /// A real number that becomes the number x of a row, at random: the one that a flow is fitted to.
    pub(crate) fn random_preimage(&self, x: f64, seed: u64, row: u64, column: usize) -> f64 {
        let [word, other, ..] = words(seed, Purpose::Preimage, row, column as u32);
        // In the middle of what the word says, so never at an end.
        let [u, other] = [word, other].map(|word| uniform(word) + 0.5 / 4_294_967_296.0);
        match self.kind {
            Kind::Real | Kind::Positive | Kind::Categorical => x,
            Kind::Bounded { low, high } => {
                let mirror = [low, high].into_iter().flatten();
                let mut mirror = mirror.filter(|bound| (x - bound).abs() < self.edge);
                match mirror.next() {
                    Some(bound) if u < 0.5 => 2.0 * bound - x,
                    _ => x,
                }
            }
            Kind::Integer { .. } => self.in_cell(x, u).0,
            Kind::Circular { period } => {
                let v = wrap(self.cut, x + self.step * (u - 0.5), period);
                let behind = v - self.cut;
                let beside = match behind < 0.5 * period {
                    // Shortly behind the cut: here, or beyond the other end.
                    true => v + period,
                    false => v - period,
                };
                let here = self.window(v).exp();
                if other < here { v } else { beside }
            }
        }
    }

    /// What to add to the log-density of a real number for a bound on that of the number that it becomes: a flow that is fitted to
    /// random ones has log p(x) >= E[ln q(v) - ln w(v)], with w the density that v is drawn from (Nielsen et al. 2020, eq. 4).
    pub(crate) fn log_bound(&self, v: f64) -> f64 {
        match self.is_discrete() {
            true => -self.log_density_in_cell(v),
            false => -self.window(v),
        }
    }

    /// ln of the density that [`NumberColumn::in_cell`] has at a number of a cell.
    fn log_density_in_cell(&self, v: f64) -> f64 {
        let inner = match self.cell(self.image(v)) {
            (f64::NEG_INFINITY, last) => last,
            (first, f64::INFINITY) => first,
            _ => v,
        };
        let z = (v - inner) / self.step * (0.5 * PI).sqrt();
        -0.5 * z * z - self.step.ln()
    }

    /// ln of the probability that [`NumberColumn::random_preimage`] takes a real number for the one that it becomes, and not another
    /// fold or turn.
    fn window(&self, v: f64) -> f64 {
        match self.kind {
            Kind::Bounded { low, high } => {
                let mut bounds = [low, high].into_iter().flatten();
                match bounds.any(|bound| (v - bound).abs() < self.edge) {
                    true => 0.5f64.ln(),
                    false => 0.0,
                }
            }
            Kind::Circular { period } => {
                let overlap = OVERLAP * period;
                let rising = smooth_step((v - self.cut) / overlap);
                let falling = smooth_step((self.cut + period - v) / overlap);
                (rising * falling).max(f64::MIN_POSITIVE).ln()
            }
            _ => 0.0,
        }
    }
}

/// Rises from 0 at -1 to 1 at 1, with smooth_step(t) + smooth_step(-t) = 1.
fn smooth_step(t: f64) -> f64 {
    let s = 0.5 * (t.clamp(-1.0, 1.0) + 1.0);
    s * s * (3.0 - 2.0 * s)
}

/// The number from `start` to below `start + period` that is a whole number of periods from x.
pub(crate) fn wrap(start: f64, x: f64, period: f64) -> f64 {
    let off = (x - start).rem_euclid(period);
    // Rounding can make a whole period of what is a little less than none.
    if off < period { start + off } else { start }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::RowNumbers;

    fn column(kind: &str, numbers: &[f64]) -> NumberColumn {
        NumberColumn::of(kind.parse().unwrap(), numbers, RowNumbers::All, "x").unwrap()
    }

    fn columns() -> Vec<(NumberColumn, Vec<f64>)> {
        let of = |kind: &str, numbers: &[f64]| (column(kind, numbers), numbers.to_vec());
        vec![
            of("real", &[-1.0, 0.0, 2.5]),
            of("positive", &[1e-300, 1.0, 1e300]),
            of("bounded(0,1)", &[0.25, 0.5, 0.75]),
            of("bounded(0,1)", &[0.0, 0.25, 0.9, 1.0]),
            of("bounded(0,)", &[0.0, 0.1, 7.0]),
            of("bounded(,3)", &[-5.0, 2.0, 3.0]),
            of("integer", &[-3.0, 0.0, 8.0]),
            of("integer(0,)", &[0.0, 1.0, 8.0]),
            of("integer(1,5)", &[1.0, 2.0, 5.0]),
            of("integer(0,)", &[5.0, 15.0, 35.0].repeat(40)),
            of("circular(360)", &[0.0, 17.0, 181.5, 359.9]),
            of("circular(6.5)", &[-3.2, 0.0, 3.1]),
        ]
    }

    #[test]
    fn real_numbers_become_what_they_stand_for() {
        for (column, numbers) in columns() {
            for &x in &numbers {
                for row in 0..200 {
                    let v = column.random_preimage(x, 5, row, 1);
                    let back = column.image(v);
                    let off = (back - x).abs();
                    assert!(off < 1e-12 * x.abs().max(1.0), "{column:?} {x} {v} {back}");
                    let y = column.to_real(v);
                    assert!(y.is_finite(), "{column:?} {x} {v}");
                    let near = column.from_real(y);
                    assert!((near - v).abs() < 1e-9 * v.abs().max(1.0));
                }
            }
        }
    }

    #[test]
    fn every_image_is_in_the_support() {
        for (column, _) in columns() {
            for k in -4000..4000 {
                let y = f64::from(k) * 0.37;
                let x = column.image(column.from_real(y));
                assert!(column.contains(x), "{column:?} {y} {x}");
                assert_eq!(column.image(x), x, "{column:?} {y}");
            }
        }
    }

    /// So often as the window says: the parts of a number's turns and folds add up to one.
    #[test]
    fn windows_are_a_partition() {
        let circular = column("circular(360)", &[10.0, 350.0, 100.0, 20.0]);
        for k in 0..720 {
            let x = f64::from(k) * 0.5;
            let parts = [-2.0, -1.0, 0.0, 1.0, 2.0].map(|turn| circular.window(x + turn * 360.0));
            let sum: f64 = parts.iter().map(|part| part.exp()).sum();
            assert!((sum - 1.0).abs() < 1e-12, "{x}: {sum}");
        }
        let at = circular.cut + 7.0;
        let here = (0..20_000).filter(|&row| circular.random_preimage(at, 1, row, 0) < at + 1.0);
        let part = here.count() as f64 / 20_000.0;
        assert!((part - circular.window(at).exp()).abs() < 0.02, "{part}");
    }
}
