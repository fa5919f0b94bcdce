use kuva::plot::{ColorMap, Heatmap, ScatterPlot};
use kuva::render::plots::Plot;
use kuva::render::render::{Scene, render_multiple};

use crate::matrix::Matrix;

use super::Picture;
use super::axes::{Interval, axes, evenly};
use super::column_axis::ColumnAxis;

/// Parts of either axis.
const PARTS: usize = 100;

/// Dots, at most.
const DOTS: usize = 1500;

/// Nats below the highest density that are told apart, where data do not say how many it takes.
const DEPTH: f64 = 12.0;

/// The fraction of the rows on either side that an axis may leave out.
const LEFT_OUT: f64 = 0.001;

/// A grid over two columns, to be scored by a model.
pub struct Field {
    spans: [Interval; 2],
}

impl Field {
    /// Over these rows of two columns, with a margin; over the whole period of angles.
    pub fn over(columns: &[ColumnAxis], rows: &Matrix<f64>) -> Self {
        let span = |j: usize| {
            let span = columns[j].interval(rows.column(j).iter().copied(), LEFT_OUT);
            match columns[j].is_circular() {
                true => span,
                false => span.wider(0.06),
            }
        };
        Field {
            spans: [span(0), span(1)],
        }
    }

    /// The middles of its cells, a row each.
    pub fn points(&self) -> Matrix<f64> {
        let [x, y] = self.spans;
        Matrix::from_fn(PARTS * PARTS, 2, |index, column| match column {
            0 => x.middle(index % PARTS, PARTS),
            _ => y.middle(index / PARTS, PARTS),
        })
    }
}

/// A density over two columns: `log_prob` are the scores of the field's points, in nats. Rows of data are dots on it.
pub fn density(
    columns: &[String],
    field: &Field,
    log_prob: &[f64],
    data: Option<&Matrix<f64>>,
) -> Picture {
    let highest = log_prob.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let highest = if highest.is_finite() { highest } else { 0.0 };
    let floor = highest - DEPTH;
    let values: Vec<f64> = log_prob.iter().map(|p| p.max(floor)).collect();
    Picture {
        name: "density",
        caption: format!(
            "The model's log-density in nats{}. All that is {DEPTH:.0} nats or more below its highest has the darkest color.",
            dotted(data)
        ),
        scene: map(columns, field, &values, "log-density, nats", data),
    }
}

/// What a caption says of the dots.
pub(super) fn dotted(data: Option<&Matrix<f64>>) -> &'static str {
    match data {
        Some(_) => ", with rows of data as white dots",
        None => "",
    }
}

/// A number for each of the field's points in colors, and rows of data as dots on it.
pub(super) fn map(
    columns: &[String],
    field: &Field,
    values: &[f64],
    label: &str,
    data: Option<&Matrix<f64>>,
) -> Scene {
    let [x, y] = field.spans;
    let map = Heatmap::new()
        .with_data(
            values
                .chunks(PARTS)
                .map(<[f64]>::to_vec)
                .collect::<Vec<_>>(),
        )
        .with_x_range(x.low, x.high)
        .with_y_range(y.low, y.high)
        .with_color_map(ColorMap::Viridis)
        .with_cell_size(1.0)
        .with_legend(label);
    let mut plots: Vec<Plot> = vec![map.into()];
    if let Some(data) = data {
        let points = evenly(data.rows(), DOTS).map(|row| (data.get(row, 0), data.get(row, 1)));
        let inside = points.filter(|p| x.holds(p.0) && y.holds(p.1));
        let size = if data.rows() > 300 { 1.1 } else { 2.4 };
        let dots = ScatterPlot::new()
            .with_data(inside.collect::<Vec<_>>())
            .with_color("#ffffff")
            .with_size(size)
            .with_marker_opacity(0.75);
        plots.push(dots.into());
    }
    let mut layout = axes(x, y, &columns[0], &columns[1])
        // Cells of five units: their edges fall on those of pixels, and show no seams.
        .with_force_margins(66.0, 114.0)
        .with_force_margins_y(12.0, 48.0)
        .with_width(680.0)
        .with_height(560.0);
    layout.show_colorbar = true;
    render_multiple(plots, layout)
}
