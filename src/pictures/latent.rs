use kuva::plot::legend::LegendShape;
use kuva::plot::{BandPlot, Histogram};
use kuva::render::figure::{Figure, FigureLegendPosition};
use kuva::render::plots::Plot;

use crate::flow::Density;
use crate::matrix::Matrix;

use super::Picture;
use super::axes::{DATA, Interval, KNOWN, MODEL, axes, bars, dots, entry, lines};

/// The latents of rows of data.
pub struct Latent {
    /// A number a dimension, less the base's location, over its spread: standard, if the flow is true.
    pub standardized: Matrix<f64>,
    /// What they should be distributed by.
    pub density: Density,
    /// The dimensions that are drawn.
    pub shown: Vec<usize>,
}

/// Points of a QQ plot, at most.
const POINTS: usize = 160;

/// How far from the middle latents are shown.
const REACH: f64 = 4.2;

/// Histograms and QQ plots of the latent: is it what the base says?
pub fn latent(latent: &Latent) -> Picture {
    let shown = &latent.shown;
    let reach = match latent.density {
        Density::Normal => REACH,
        Density::Logistic => 2.0 * REACH,
    };
    let span = Interval {
        low: -reach,
        high: reach,
    };
    let across = shown.len().clamp(1, 4);
    let down = 2 * shown.len().div_ceil(across);
    let (mut plots, mut layouts, mut structure) = (Vec::new(), Vec::new(), Vec::new());
    for (index, &dimension) in shown.iter().enumerate() {
        let mut z = latent.standardized.column(dimension).to_vec();
        z.sort_by(f64::total_cmp);
        let cell = 2 * (index / across) * across + index % across;
        let name = format!("z{dimension}");
        let first = index % across == 0;
        let (histogram, heights) = histogram(&z, latent.density, span);
        plots.push(histogram);
        layouts.push(axes(
            span,
            heights,
            &name,
            if first { "density" } else { "" },
        ));
        structure.push(vec![cell]);
        plots.push(qq(&z, latent.density, span));
        let of_base = match latent.density {
            Density::Normal => "standard normal",
            Density::Logistic => "standard logistic",
        };
        layouts.push(axes(span, span, of_base, if first { "latent" } else { "" }));
        structure.push(vec![cell + across]);
    }
    let legend = vec![
        entry("data in the latent", DATA, LegendShape::Rect),
        entry("the base", MODEL, LegendShape::Line),
    ];
    let side = (960.0 / across as f64).clamp(200.0, 320.0);
    let scene = Figure::new(down, across)
        .with_structure(structure)
        .with_plots(plots)
        .with_layouts(layouts)
        .with_cell_size(side, 0.8 * side)
        .with_shared_legend_entries(legend)
        .with_shared_legend_position(FigureLegendPosition::BottomCenter)
        .render();
    let rows = latent.standardized.rows();
    Picture {
        name: "latent",
        caption: format!(
            "Where {rows} rows of data come to lie in the latent, less the base's location and over its spread. If the flow is true, \
             bars follow the curve, and points the diagonal; of 100 points, the gray band leaves out 5 by chance."
        ),
        scene,
    }
}

fn histogram(z: &[f64], density: Density, span: Interval) -> (Vec<Plot>, Interval) {
    let parts = bars(z.len());
    let counts = span.densities(z, parts);
    let curve: Vec<(f64, f64)> = (0..120)
        .map(|k| span.middle(k, 120))
        .map(|z| (z, density.pdf(z)))
        .collect();
    let highest = counts.iter().copied().chain(curve.iter().map(|p| p.1));
    let high = 1.08 * highest.fold(0.0, f64::max);
    let bars = Histogram::from_bins(span.edges(parts), counts).with_color(DATA);
    let mut plots: Vec<Plot> = vec![bars.into()];
    plots.extend(lines(&curve, MODEL, 2.0).into_iter().map(Plot::from));
    (plots, Interval { low: 0.0, high })
}

/// Quantiles of sorted numbers against those of the base, with the band that 95% of true ones would lie in, each by itself.
fn qq(sorted: &[f64], density: Density, span: Interval) -> Vec<Plot> {
    let count = sorted.len();
    let mut plots: Vec<Plot> = Vec::new();
    let indices: Vec<usize> = match count <= POINTS {
        true => (0..count).collect(),
        // As many in the tails as in the middle: by the quantile, not by the fraction.
        false => {
            let mut indices: Vec<usize> = (0..POINTS)
                .map(|k| span.middle(k, POINTS))
                .map(|z| density.cdf(z) * count as f64)
                .map(|index| (index as usize).min(count - 1))
                .collect();
            indices.dedup();
            indices
        }
    };
    let fraction = |index: usize| (index as f64 + 0.5) / count as f64;
    let inside = |z: f64| z.clamp(span.low, span.high);
    let mut band = (Vec::new(), Vec::new(), Vec::new());
    let mut points = Vec::new();
    for index in indices {
        let p = fraction(index);
        let expected = density.quantile(p);
        if !span.holds(expected) {
            continue;
        }
        // The deviation of an order statistic, and 1.96 of them.
        let error = (p * (1.0 - p) / count as f64).sqrt() / density.pdf(expected);
        band.0.push(expected);
        band.1.push(inside(expected - 1.96 * error));
        band.2.push(inside(expected + 1.96 * error));
        if span.holds(sorted[index]) {
            points.push((expected, sorted[index]));
        }
    }
    if band.0.len() > 1 {
        let band = BandPlot::new(band.0, band.1, band.2);
        plots.push(band.with_color(KNOWN).with_opacity(0.3).into());
    }
    let diagonal = [(span.low, span.low), (span.high, span.high)];
    plots.extend(lines(&diagonal, MODEL, 1.6).into_iter().map(Plot::from));
    plots.push(dots(points, DATA, 2.2, 0.9).into());
    plots
}
