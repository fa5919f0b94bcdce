use kuva::plot::legend::LegendShape;
use kuva::render::plots::Plot;
use kuva::render::render::render_multiple;

use super::Picture;
use super::axes::{Interval, axes, entry, lines, over_legend, plain};

/// Colors that differ in lightness, from dark to light.
const COLORS: [&str; 6] = [
    "#222255", "#004488", "#7a2f6f", "#bb5566", "#e07b00", "#b0a000",
];

/// Contexts that a picture has room for.
pub const MOST_CONTEXTS: usize = COLORS.len();

/// A conditional density of one column.
pub struct Curve {
    /// What is given, in words.
    pub given: String,
    /// Numbers of the column, ascending, and the density there.
    pub points: Vec<(f64, f64)>,
}

/// The density of a column for some contexts.
pub fn conditional(column: &str, curves: &[Curve]) -> Picture {
    const LONGEST: usize = 60;
    let x = curves
        .iter()
        .flat_map(|curve| curve.points.iter().map(|p| p.0));
    let (low, high) = x.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| {
        (low.min(x), high.max(x))
    });
    let heights = curves
        .iter()
        .flat_map(|curve| curve.points.iter().map(|p| p.1));
    let highest = heights.fold(f64::MIN_POSITIVE, f64::max);
    let span = Interval { low, high };
    let layout = axes(
        span,
        Interval {
            low: 0.0,
            high: 1.08 * highest,
        },
        column,
        "density",
    );
    let (mut plots, mut legend) = (Vec::<Plot>::new(), Vec::new());
    for (curve, color) in curves.iter().zip(COLORS) {
        plots.extend(lines(&curve.points, color, 2.0).into_iter().map(Plot::from));
        legend.push(entry(
            plain(&curve.given, LONGEST),
            color,
            LegendShape::Line,
        ));
    }
    Picture {
        name: "conditional",
        caption: format!(
            "The density of {column} that the model gives for each of {} contexts.",
            curves.len()
        ),
        scene: render_multiple(plots, over_legend(layout, legend, 420.0)),
    }
}
