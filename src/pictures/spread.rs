use kuva::render::render::render_multiple;

use crate::matrix::Matrix;

use super::Picture;
use super::axes::{DATA, Interval, axes, dots, evenly};
use super::density::{Field, dotted, map};

/// Dots, at most.
const DOTS: usize = 3000;

/// The fraction of the rows on either side that an axis may leave out.
const LEFT_OUT: f64 = 0.002;

/// The highest spread that the map tells apart, in nats: a factor of seven in the density.
const HIGHEST: f64 = 2.0;

/// How much the flows of an ensemble differ over two columns: `spread` is that of the field's points, in nats. Rows of data are dots
/// on it.
pub fn spread_map(
    columns: &[String],
    field: &Field,
    spread: &[f64],
    data: Option<&Matrix<f64>>,
) -> Picture {
    let values: Vec<f64> = spread.iter().map(|s| s.min(HIGHEST)).collect();
    Picture {
        name: "spread",
        caption: format!(
            "How much the flows differ: the standard deviation of log_prob over them{}. Where rows are few the density is a guess. All above {HIGHEST} \
             nats has the brightest color.",
            dotted(data)
        ),
        scene: map(columns, field, &values, "spread, nats", data),
    }
}

/// The same of rows, against their log-densities.
pub fn spread(log_prob: &[f64], spread: &[f64]) -> Picture {
    let both = evenly(log_prob.len(), DOTS).map(|row| (log_prob[row], spread[row]));
    let finite: Vec<(f64, f64)> = both
        .filter(|(p, s)| p.is_finite() && s.is_finite())
        .collect();
    let x = Interval::of(finite.iter().map(|(p, _)| *p), LEFT_OUT).wider(0.04);
    let highest = Interval::of(finite.iter().map(|(_, s)| *s), LEFT_OUT).high;
    let y = Interval {
        low: 0.0,
        high: 1.08 * highest,
    };
    let inside = finite.iter().filter(|p| x.holds(p.0) && y.holds(p.1));
    let size = if finite.len() > 300 { 1.6 } else { 2.6 };
    let dots = dots(inside.copied().collect(), DATA, size, 0.5);
    Picture {
        name: "spread",
        caption: "How much the flows differ at each row: the standard deviation of log_prob over them, against log_prob. Where it is large the density \
                  is a guess."
            .into(),
        scene: render_multiple(
            vec![dots.into()],
            axes(x, y, "log_prob in nats", "spread in nats"),
        ),
    }
}
