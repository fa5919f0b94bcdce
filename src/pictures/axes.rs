//! Parts that all plots share: colors, axes and histograms.

use kuva::plot::legend::{LegendEntry, LegendPosition, LegendShape};
use kuva::plot::{LinePlot, MarkerShape, ScatterPlot};
use kuva::render::layout::Layout;
use kuva::render::theme::Theme;

use super::ticks::Ticks;

/// Data are blue, what the model makes of them is orange: two colors that differ in lightness as well, so that they can be told
/// apart in gray and by color-blind readers.
pub const DATA: &str = "#004488";
pub const MODEL: &str = "#e07b00";
/// What is drawn for comparison.
pub const KNOWN: &str = "#767676";
/// Text and axes.
pub const INK: &str = "#222222";
pub const GRID: &str = "#e4e4e4";
/// Behind what lies on the picture: a white that is not that of dots.
const PAPER: &str = "#fefefe";

/// An interval of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

impl Interval {
    /// Holds all but the farthest fraction on either side, with a margin. Numbers that are all the same get some room.
    pub fn of(numbers: impl IntoIterator<Item = f64>, left_out: f64) -> Self {
        Self::without_margin(numbers, left_out).wider(0.04)
    }

    /// Holds all but the farthest fraction on either side, and no more.
    pub fn without_margin(numbers: impl IntoIterator<Item = f64>, left_out: f64) -> Self {
        let mut sorted: Vec<f64> = numbers.into_iter().filter(|x| x.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else {
            return Interval {
                low: 0.0,
                high: 1.0,
            };
        };
        let cut = (left_out * last as f64) as usize;
        let (low, high) = (sorted[cut], sorted[last - cut]);
        Interval { low, high }
    }

    /// With a margin on either side, a fraction of its length.
    pub fn wider(self, fraction: f64) -> Self {
        let length = self.high - self.low;
        let least = 1e-9 * self.low.abs().max(self.high.abs()).max(f64::MIN_POSITIVE);
        let margin = match length > least {
            true => fraction * length,
            false => 0.5 * self.low.abs().max(1e-3),
        };
        Interval {
            low: self.low - margin,
            high: self.high + margin,
        }
    }

    pub fn length(self) -> f64 {
        self.high - self.low
    }

    pub fn holds(self, x: f64) -> bool {
        (self.low..=self.high).contains(&x)
    }

    /// The middle of the k-th of so many equal parts.
    pub fn middle(self, k: usize, parts: usize) -> f64 {
        self.low + self.length() * (k as f64 + 0.5) / parts as f64
    }

    /// Which of so many equal parts holds a number.
    pub fn part(self, x: f64, parts: usize) -> Option<usize> {
        let index = (x - self.low) / self.length() * parts as f64;
        self.holds(x).then(|| (index as usize).min(parts - 1))
    }

    /// How many of the numbers lie in each of so many equal parts.
    pub fn counts(self, numbers: &[f64], parts: usize) -> Vec<f64> {
        let mut counts = vec![0.0; parts];
        for part in numbers.iter().filter_map(|&x| self.part(x, parts)) {
            counts[part] += 1.0;
        }
        counts
    }

    /// The same as a density: the fraction of all numbers, over the length of a part.
    pub fn densities(self, numbers: &[f64], parts: usize) -> Vec<f64> {
        let scale = parts as f64 / (numbers.len().max(1) as f64 * self.length());
        let counts = self.counts(numbers, parts);
        counts.into_iter().map(|count| count * scale).collect()
    }

    /// The edges of so many equal parts.
    pub fn edges(self, parts: usize) -> Vec<f64> {
        (0..=parts)
            .map(|k| self.low + self.length() * k as f64 / parts as f64)
            .collect()
    }
}

/// Bars for a histogram of so many numbers.
pub fn bars(count: usize) -> usize {
    ((count as f64).sqrt() as usize).clamp(5, 40)
}

/// Characters of a name that fit beside an axis.
const LONGEST: usize = 40;

/// The least that a picture's axis is long, in pixels, its ticks, and the size of their labels.
const LENGTH: f64 = 200.0;
const TICKS: usize = 4;
const LABEL: u32 = 11;

/// Axes with these names over these intervals.
pub fn axes(x: Interval, y: Interval, x_name: &str, y_name: &str) -> Layout {
    let [of_x, of_y] = Ticks::of(x, y, LENGTH, LABEL, TICKS);
    let mut layout = Layout::new((x.low, x.high), (y.low, y.high))
        .with_x_axis_min(x.low)
        .with_x_axis_max(x.high)
        .with_y_axis_min(y.low)
        .with_y_axis_max(y.high)
        .with_theme(theme())
        .with_ticks(of_x.count)
        .with_x_tick_format(of_x.format())
        .with_y_tick_format(of_y.format())
        .with_label_size(13)
        .with_tick_size(LABEL)
        .with_body_size(12)
        .with_title_size(14);
    if !x_name.is_empty() {
        layout = layout.with_x_label(plain(&of_x.name(x_name), LONGEST));
    }
    if !y_name.is_empty() {
        layout = layout.with_y_label(plain(&of_y.name(y_name), LONGEST));
    }
    layout
}

fn theme() -> Theme {
    Theme {
        axis_color: INK.into(),
        tick_color: INK.into(),
        text_color: INK.into(),
        grid_color: GRID.into(),
        legend_bg: PAPER.into(),
        legend_border: GRID.into(),
        colorbar_border: INK.into(),
        ..Theme::light()
    }
}

/// A name as it stands, whatever signs it has, cut to so many characters.
pub fn plain(name: &str, longest: usize) -> String {
    let mut text: String = name.chars().take(longest).collect();
    if name.chars().count() > longest {
        text.pop();
        text.push('…');
    }
    // Between two dollars would be mathematics.
    text.replace('$', "\\$")
}

/// A line through points; what is not finite parts it.
pub fn lines(points: &[(f64, f64)], color: &str, width: f64) -> Vec<LinePlot> {
    points
        .split(|(x, y)| !x.is_finite() || !y.is_finite())
        .filter(|piece| !piece.is_empty())
        .map(|piece| {
            LinePlot::new()
                .with_data(piece.to_vec())
                .with_color(color)
                .with_stroke_width(width)
        })
        .collect()
}

/// Small dots.
pub fn dots(points: Vec<(f64, f64)>, color: &str, size: f64, opacity: f64) -> ScatterPlot {
    ScatterPlot::new()
        .with_data(points)
        .with_color(color)
        .with_size(size)
        .with_marker(MarkerShape::Circle)
        .with_marker_opacity(opacity)
}

/// A picture of one panel, so high, with a legend below it.
pub fn over_legend(layout: Layout, legend: Vec<LegendEntry>, height: f64) -> Layout {
    layout
        .with_legend_entries(legend)
        .with_legend_position(LegendPosition::OutsideBottomColumns)
        .with_legend_box(false)
        .with_force_margins(70.0, 30.0)
        .with_x_label_offset(0.0, -10.0)
        .with_width(720.0)
        .with_height(height)
}

/// An entry of a legend.
pub fn entry(label: impl Into<String>, color: &str, shape: LegendShape) -> LegendEntry {
    LegendEntry {
        label: label.into(),
        color: color.into(),
        shape,
        dasharray: None,
    }
}

/// At most so many of the indices 0..count, evenly from all of them.
pub fn evenly(count: usize, most: usize) -> impl Iterator<Item = usize> + Clone {
    let taken = count.min(most);
    (0..taken).map(move |k| (k as u64 * count as u64 / taken as u64) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_leaves_out_what_is_far_and_has_room_for_what_is_one() {
        let mut numbers: Vec<f64> = (0..10_000).map(f64::from).collect();
        numbers.push(1e9);
        let span = Interval::of(numbers, 0.001);
        assert!(span.holds(0.0) && span.holds(9_980.0) && !span.holds(12_000.0));
        let one = Interval::of([7.0; 5], 0.1);
        assert!(one.holds(7.0) && one.length() > 1.0);
        assert!(Interval::of([], 0.1).length() > 0.0);
        assert!(Interval::of([f64::NAN, 0.0], 0.0).length() > 0.0);
    }

    #[test]
    fn every_number_of_a_span_has_a_part() {
        let span = Interval {
            low: -1.0,
            high: 1.0,
        };
        assert_eq!(span.part(-1.0, 4), Some(0));
        assert_eq!(span.part(1.0, 4), Some(3));
        assert_eq!(span.part(1.1, 4), None);
        assert_eq!(span.counts(&[-1.0, 0.1, 0.2, 5.0], 2), [1.0, 2.0]);
        assert_eq!(span.middle(0, 4), -0.75);
    }

    #[test]
    fn places_are_taken_from_all_over() {
        assert_eq!(evenly(3, 10).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(evenly(10, 5).collect::<Vec<_>>(), [0, 2, 4, 6, 8]);
        assert_eq!(evenly(0, 5).count(), 0);
    }

    #[test]
    fn names_are_neither_mathematics_nor_endless() {
        assert_eq!(plain("cost $ and $", 40), "cost \\$ and \\$");
        assert_eq!(plain(&"é".repeat(30), 9).chars().count(), 9);
    }
}
