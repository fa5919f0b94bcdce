use std::sync::Arc;

use kuva::render::layout::TickFormat;
use kuva::render::render_utils::generate_ticks;

use super::axes::Interval;

/// How the ticks of an axis are labeled: a few digits each, whatever the numbers. Where all numbers are alike in their first
/// digits, labels say how far they are from a round number, which the axis' name has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ticks {
    offset: f64,
    /// The exponent of ten that labels have, or none; and their digits behind the point.
    exponent: Option<i32>,
    decimals: usize,
    /// As many ticks are asked for; there may be a few more.
    pub count: usize,
}

/// Numbers that are so many times as large as they vary have an offset.
const ALIKE: f64 = 1e3;
/// Numbers from here to there are written out.
const SMALL: f64 = 1e-2;
const LARGE: f64 = 1e5;

impl Ticks {
    /// For a picture's two axes, which have as many ticks: up to `count`, whose labels, in this size of type, have room side
    /// by side where the horizontal one is so many pixels long.
    pub fn of(x: Interval, y: Interval, pixels: f64, size: u32, count: usize) -> [Self; 2] {
        let mut of_x = Ticks::with_count(x, count);
        while !of_x.fit(x, pixels, size) && of_x.count > 1 {
            of_x = Ticks::with_count(x, of_x.count - 1);
        }
        [of_x, Ticks::with_count(y, of_x.count)]
    }

    /// With so many ticks.
    fn with_count(span: Interval, count: usize) -> Self {
        let largest = span.low.abs().max(span.high.abs());
        let length = span.length();
        // A step of ten that the whole axis is about as long as.
        let round = 10f64.powf(length.log10().ceil());
        let offset = match largest > ALIKE * length && round.is_normal() {
            true => (span.low / round).round() * round,
            false => 0.0,
        };
        let mut ticks = Ticks {
            offset,
            exponent: None,
            decimals: 0,
            count,
        };
        let all = generate_ticks(span.low, span.high, count);
        let [first, second, ..] = all[..] else {
            return ticks;
        };
        let step = second - first;
        let far = |x: &f64| (x - offset).abs();
        let largest = all.iter().map(far).fold(0.0, f64::max);
        let exponent = largest.max(step).log10().floor() as i32;
        ticks.exponent = (!(SMALL..LARGE).contains(&largest)).then_some(exponent);
        ticks.decimals = decimals(step / 10f64.powi(ticks.exponent.unwrap_or(0)));
        ticks
    }

    /// Whether the labels have room side by side.
    fn fit(self, span: Interval, pixels: f64, size: u32) -> bool {
        /// The width of a digit, and the room between two labels, in sizes of type.
        const DIGIT: f64 = 0.58;
        const GAP: f64 = 1.4;
        let ticks = generate_ticks(span.low, span.high, self.count);
        let [first, second, ..] = ticks[..] else {
            return true;
        };
        let step = second - first;
        let longest = ticks.iter().map(|&x| self.label(x).chars().count()).max();
        let width = (DIGIT * longest.unwrap_or(0) as f64 + GAP) * f64::from(size);
        width <= pixels * step / span.length()
    }

    fn label(self, x: f64) -> String {
        let x = x - self.offset;
        let (scaled, end) = match self.exponent {
            Some(exponent) if x != 0.0 => (x / 10f64.powi(exponent), format!("e{exponent}")),
            _ => (x, String::new()),
        };
        let decimals = if x == 0.0 { 0 } else { self.decimals };
        let digits = format!("{scaled:.decimals$}");
        // No minus sign before a zero.
        let digits = match digits.trim_start_matches('-').trim_matches(['0', '.']) {
            "" => "0",
            _ => &digits,
        };
        format!("{digits}{end}")
    }

    /// For a picture's axis.
    pub fn format(self) -> TickFormat {
        TickFormat::Custom(Arc::new(move |x| self.label(x)))
    }

    /// The axis' name, with what the labels are to be added to.
    pub fn name(self, name: &str) -> String {
        let (sign, offset) = match self.offset {
            0.0 => return name.into(),
            offset if offset < 0.0 => ('+', -offset),
            offset => ('−', offset),
        };
        format!("{name} {sign} {offset:.digits$}", digits = decimals(offset))
    }
}

/// The digits behind the point of a round number: two of 0.25.
fn decimals(number: f64) -> usize {
    let is_whole = |digits: &i32| {
        let scaled = number * 10f64.powi(*digits);
        (scaled - scaled.round()).abs() < 1e-6 * scaled.abs().min(1.0)
    };
    (0..15).find(is_whole).unwrap_or(15) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64, pixels: f64, count: usize) -> (Vec<String>, String) {
        let span = Interval { low, high };
        let [ticks, other] = Ticks::of(span, span, pixels, 11, count);
        assert_eq!(ticks, other);
        let all = generate_ticks(low, high, ticks.count);
        let labels: Vec<String> = all.iter().map(|&x| ticks.label(x)).collect();
        // As wide as they are, with a space between them; one alone has room.
        let room = match all[..] {
            [first, second, ..] => pixels / (high - low) * (second - first),
            _ => pixels,
        };
        let longest = labels.iter().map(|it| it.chars().count()).max().unwrap();
        assert!(6.0 * longest as f64 <= room, "{labels:?} in {room} each");
        let mut different = labels.clone();
        different.dedup();
        assert_eq!(different.len(), labels.len(), "{labels:?}");
        (labels, ticks.name("t"))
    }

    #[test]
    fn labels_are_short_differ_and_do_not_touch() {
        let (seconds, name) = labels(1.7e9 - 2.0, 1.7e9 + 62.0, 320.0, 5);
        assert_eq!(name, "t − 1700000000");
        assert!(seconds.contains(&"20".to_string()), "{seconds:?}");
        for (low, high) in [
            (-2.6e-9, 2.6e-9),
            (0.0, 1.0),
            (-3.0, 3.0),
            (20.0001, 20.0009),
            (-1.7e9 - 60.0, -1.7e9),
            (1e12, 3e12),
            (123_456.0, 987_654.0),
            (1e-300, 5e-300),
            (0.001, 0.0035),
            (-1e5, 2e5),
        ] {
            for (pixels, count) in [(320.0, 5), (190.0, 4), (96.0, 3)] {
                labels(low, high, pixels, count);
            }
        }
        assert_eq!(labels(0.0, 1.0, 320.0, 5).0[1], "0.2");
        assert_eq!(labels(-2.0, 2.0, 320.0, 4).0, ["-2", "-1", "0", "1", "2"]);
    }
}
