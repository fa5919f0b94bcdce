use kuva::plot::Histogram;
use kuva::plot::legend::LegendShape;
use kuva::render::annotations::ReferenceLine;
use kuva::render::render::render_multiple;

use super::Picture;
use super::axes::{DATA, Interval, MODEL, axes, bars, entry, over_legend};

/// The fraction of the rows that lie below the line, where there are enough of them to have one.
const LOWEST: f64 = 0.01;

/// The fraction of the scores on either side that the axis may leave out.
const LEFT_OUT: f64 = 0.001;

/// A histogram of log-densities, with a line that the lowest percent lies below.
pub fn scores(log_prob: &[f64]) -> Picture {
    let mut sorted: Vec<f64> = log_prob.iter().copied().filter(|p| p.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let span = Interval::of(sorted.iter().copied(), LEFT_OUT);
    let parts = bars(sorted.len());
    let counts = span.counts(&sorted, parts);
    let high = 1.08 * counts.iter().copied().fold(1.0, f64::max);
    let below = (LOWEST * sorted.len() as f64).ceil() as usize;
    let has_line = sorted.len() as f64 * LOWEST >= 1.0;
    let threshold = sorted.get(below).filter(|_| has_line).copied();
    let mut layout = axes(
        span,
        Interval { low: 0.0, high },
        "log_prob in nats",
        "rows",
    );
    let mut legend = vec![entry("rows", DATA, LegendShape::Rect)];
    if let Some(threshold) = threshold {
        let label = format!("lowest 1%: below {threshold:.2}");
        let mut line = entry(label, MODEL, LegendShape::Line);
        line.dasharray = Some("6 4".into());
        legend.push(line);
        let line = ReferenceLine::vertical(threshold).with_color(MODEL);
        layout = layout.with_reference_line(line.with_stroke_width(2.0).with_dasharray("6 4"));
    }
    let layout = over_legend(layout, legend, 380.0);
    let bars = Histogram::from_bins(span.edges(parts), counts).with_color(DATA);
    let beyond = sorted.iter().filter(|p| !span.holds(**p)).count();
    let overflows = log_prob.len() - sorted.len();
    let mut caption = format!("The log-densities of {} rows.", sorted.len());
    if threshold.is_some() {
        caption += " Left of the line are the lowest percent.";
    }
    if beyond > 0 {
        let lie = if beyond == 1 { "lies" } else { "lie" };
        caption += &format!(" {beyond} {lie} beyond the picture.");
    }
    if overflows > 0 {
        caption += &format!(" Of {overflows} more rows the density is 0 in 32-bit numbers.");
    }
    Picture {
        name: "scores",
        caption,
        scene: render_multiple(vec![bars.into()], layout),
    }
}
