use kuva::plot::legend::LegendShape;
use kuva::plot::{BandPlot, Histogram};
use kuva::render::plots::Plot;
use kuva::render::render::render_multiple;

use crate::fit::kolmogorov_distance;

use super::Picture;
use super::axes::{DATA, Interval, KNOWN, MODEL, axes, bars, entry, lines, over_legend};

/// The probabilities below rows of data, each under its own conditional density: a histogram that is flat where the densities are
/// true.
pub fn calibration(probabilities: &[f64]) -> Picture {
    uniform(
        "probability below the row's number",
        &format!(
            "The probability that the model gives to numbers below the true one, of {} rows, each given its context. Where every \
             conditional density is true the bars are flat; a U says that the densities are too narrow, a hump that they are too \
             broad.",
            probabilities.len()
        ),
        probabilities,
    )
}

/// Probabilities that are uniform where a model is calibrated: a histogram that is flat then. `label` says what they are, `caption` what
/// other histograms say.
pub fn uniform(label: &str, caption: &str, probabilities: &[f64]) -> Picture {
    let span = Interval {
        low: 0.0,
        high: 1.0,
    };
    let parts = bars(probabilities.len()).min(20);
    let heights = span.densities(probabilities, parts);
    // 1.96 deviations of a bar's count.
    let count = probabilities.len() as f64;
    let chance = 1.0 / parts as f64;
    let error = 1.96 * (chance * (1.0 - chance) / count).sqrt() / chance;
    let highest = heights.iter().copied().fold(1.0 + error, f64::max);
    let layout = axes(
        span,
        Interval {
            low: 0.0,
            high: 1.08 * highest,
        },
        label,
        "density",
    );
    let legend = vec![
        entry("rows", DATA, LegendShape::Rect),
        entry("calibrated", MODEL, LegendShape::Line),
        entry("95% by chance", KNOWN, LegendShape::Rect),
    ];
    let bars = Histogram::from_bins(span.edges(parts), heights).with_color(DATA);
    let edges = vec![span.low, span.high];
    let band = BandPlot::new(edges, vec![1.0 - error; 2], vec![1.0 + error; 2]);
    let flat = [(span.low, 1.0), (span.high, 1.0)];
    let mut plots: Vec<Plot> = vec![bars.into()];
    plots.push(band.with_color(KNOWN).with_opacity(0.4).into());
    plots.extend(lines(&flat, MODEL, 2.0).into_iter().map(Plot::from));
    let distance = kolmogorov_distance(probabilities, &[]);
    Picture {
        name: "calibration",
        caption: format!("{caption} Kolmogorov distance from flat: {distance:.4}."),
        scene: render_multiple(plots, over_legend(layout, legend, 380.0)),
    }
}
