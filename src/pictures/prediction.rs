use kuva::plot::legend::LegendShape;
use kuva::render::plots::Plot;
use kuva::render::render::render_multiple;

use crate::matrix::Matrix;

use super::Picture;
use super::axes::{DATA, Interval, KNOWN, MODEL, axes, dots, entry, evenly, lines, over_legend};

/// The probabilities of the quantiles that a [`Prediction`] has.
pub const PROBABILITIES: [f64; 3] = [0.05, 0.5, 0.95];

/// What a flow over one column predicts for rows of data, given their context.
pub struct Prediction<'a> {
    /// The column's name.
    pub column: &'a str,
    /// The true numbers.
    pub truth: &'a [f64],
    /// A row of quantiles of [`PROBABILITIES`] for each of them.
    pub quantiles: &'a Matrix<f64>,
}

/// Rows whose intervals are drawn.
const INTERVALS: usize = 120;

/// Rows that are drawn as dots, at most.
const DOTS: usize = 2500;

/// The fraction of the rows on either side that the axes may leave out.
const LEFT_OUT: f64 = 0.002;

/// True numbers against the medians that are predicted for them, with intervals of 90%.
pub fn prediction(prediction: &Prediction<'_>) -> Picture {
    let Prediction {
        column,
        truth,
        quantiles,
    } = prediction;
    let [low, median, high] = [0, 1, 2].map(|j| quantiles.column(j));
    let span = Interval::of(truth.iter().chain(median).copied(), LEFT_OUT);
    let mut order: Vec<usize> = (0..truth.len()).collect();
    order.sort_by(|&a, &b| truth[a].total_cmp(&truth[b]));
    // In the order of the true numbers, so that intervals stand all along the axis.
    let mut intervals = Vec::new();
    for index in evenly(order.len(), INTERVALS) {
        let row = order[index];
        if span.holds(truth[row]) {
            let inside = |x: f64| x.clamp(span.low, span.high);
            intervals.push((truth[row], inside(low[row])));
            intervals.push((truth[row], inside(high[row])));
            intervals.push((f64::NAN, f64::NAN));
        }
    }
    let points = evenly(truth.len(), DOTS).map(|row| (truth[row], median[row]));
    let points: Vec<_> = points
        .filter(|(x, y)| span.holds(*x) && span.holds(*y))
        .collect();
    let (size, opacity) = match truth.len() {
        0..=300 => (2.4, 0.9),
        _ => (1.4, 0.45),
    };
    let mut plots: Vec<Plot> = Vec::new();
    plots.extend(lines(&intervals, KNOWN, 0.8).into_iter().map(Plot::from));
    let diagonal = [(span.low, span.low), (span.high, span.high)];
    plots.push(dots(points, DATA, size, opacity).into());
    plots.extend(lines(&diagonal, MODEL, 1.6).into_iter().map(Plot::from));
    let legend = vec![
        entry("predicted median", DATA, LegendShape::Circle),
        entry("90% of the density", KNOWN, LegendShape::Line),
        entry("predicted = true", MODEL, LegendShape::Line),
    ];
    let layout = axes(
        span,
        span,
        &format!("true {column}"),
        &format!("predicted {column}"),
    );
    let inside = truth.iter().zip(low).zip(high);
    let inside = inside.filter(|((x, low), high)| low <= x && x <= high);
    let coverage = 100.0 * inside.count() as f64 / truth.len() as f64;
    Picture {
        name: "prediction",
        caption: format!(
            "The median that the model predicts for each of {} rows from its context, against the true number. Gray lines are 90% \
             intervals of some rows; of all rows {coverage:.1}% lie in theirs.",
            truth.len()
        ),
        scene: render_multiple(plots, over_legend(layout, legend, 560.0)),
    }
}
