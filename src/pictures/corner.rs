use kuva::plot::legend::LegendShape;
use kuva::plot::{ContourPlot, Histogram};
use kuva::render::figure::Figure;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;

use crate::matrix::Matrix;

use super::Picture;
use super::axes::{DATA, Interval, MODEL, axes, bars, dots, entry, evenly, lines, plain};
use super::smooth;
use super::ticks::Ticks;

/// Dots in all panels together, and in one.
const DOTS: usize = 12_000;
const DOTS_EACH: usize = 2500;

/// Parts of an axis that the model's rows are counted in, alone and with another's, and how far counts are smoothed, in parts.
const FINE: usize = 160;
const PARTS: usize = 72;
const SMOOTHING: f64 = 1.4;

/// Fractions of the model's mass that contours enclose.
const FRACTIONS: [f64; 3] = [0.5, 0.9, 0.99];

/// The fraction of the rows on either side that an axis may leave out.
const LEFT_OUT: f64 = 0.005;

/// Every column and every pair of columns: rows of data against the model's. `sample` are rows drawn from the model; both have the
/// named columns, one after the other.
pub fn corner(columns: &[String], data: Option<&Matrix<f64>>, sample: &Matrix<f64>) -> Picture {
    let count = columns.len();
    // The model may have rows far from all data; they are counted, not shown.
    let seen = data.unwrap_or(sample);
    let span = |j| Interval::of(seen.column(j).iter().copied(), LEFT_OUT);
    let spans: Vec<Interval> = (0..count).map(span).collect();
    let each = DOTS_EACH.min(DOTS / (count * (count - 1) / 2).max(1));
    let grid = Grid::new(count);
    let (mut plots, mut layouts, mut structure) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..count {
        for column in 0..=row {
            structure.push(vec![row * count + column]);
            let pair = [spans[column], spans[row]];
            let (panel, heights) = match row == column {
                true => one(
                    data.map(|data| data.column(row)),
                    sample.column(row),
                    pair[0],
                ),
                false => (two(data, sample, [column, row], pair, each), pair[1]),
            };
            plots.push(panel);
            layouts.push(grid.layout([column, row], pair[0], heights, columns));
        }
    }
    let mut legend = Vec::new();
    if data.is_some() {
        legend.push(entry("data", DATA, LegendShape::Circle));
    }
    legend.push(entry("model", MODEL, LegendShape::Line));
    let figure = Figure::new(count, count)
        .with_structure(structure)
        .with_plots(plots)
        .with_layouts(layouts)
        .with_shared_legend_entries(legend);
    let (rows, fractions) = (sample.rows(), "50%, 90% and 99%");
    let caption = match data {
        Some(data) => format!(
            "Each column, and each pair of columns: {} rows of data in blue{}; in orange the model's density, as {rows} rows drawn from \
             it tell, with lines that enclose {fractions} of it.",
            data.rows(),
            if data.rows() > each {
                ", some of them as dots"
            } else {
                ""
            },
        ),
        None => format!(
            "Each column, and each pair of columns: the model's density, as {rows} rows drawn from it tell, with lines that enclose \
             {fractions} of it."
        ),
    };
    Picture {
        name: "corner",
        caption,
        scene: grid.sized(figure).render(),
    }
}

/// How the panels lie: all of one size, names and numbers at the outer edges alone.
struct Grid {
    count: usize,
    /// Of a panel, without what stands beside it.
    side: f64,
    label: u32,
    tick: u32,
    ticks: usize,
    /// Characters of a name.
    longest: usize,
}

/// Beside the panels at the edge, and around each of them.
const EDGE: f64 = 66.0;
const GAP: f64 = 5.0;

impl Grid {
    fn new(count: usize) -> Self {
        let side = (760.0 / count as f64).clamp(96.0, 320.0);
        let (label, tick, ticks) = match count {
            0..=2 => (13, 11, 5),
            3..=5 => (12, 10, 4),
            _ => (11, 9, 3),
        };
        Grid {
            count,
            side,
            label,
            tick,
            ticks,
            longest: (side / (0.55 * f64::from(label))) as usize,
        }
    }

    fn layout(
        &self,
        [column, row]: [usize; 2],
        x: Interval,
        y: Interval,
        columns: &[String],
    ) -> Layout {
        let (is_left, is_low, is_diagonal) = (column == 0, row + 1 == self.count, row == column);
        let [of_x, of_y] = Ticks::of(x, y, self.side, self.tick, self.ticks);
        let name = |j: usize, ticks: Ticks, shown| match shown {
            true => plain(&ticks.name(&columns[j]), self.longest),
            false => String::new(),
        };
        let mut layout = axes(x, y, "", "")
            .with_x_label(name(column, of_x, is_low))
            .with_y_label(name(row, of_y, is_left && !is_diagonal))
            .with_label_size(self.label)
            .with_tick_size(self.tick)
            .with_ticks(of_x.count)
            .with_x_tick_format(of_x.format())
            .with_y_tick_format(of_y.format())
            .with_force_margins(if is_left { EDGE } else { GAP }, GAP)
            .with_force_margins_y(GAP, if is_low { 0.75 * EDGE } else { GAP });
        layout.suppress_x_ticks = !is_low;
        // A density's numbers say little here.
        layout.suppress_y_ticks = !is_left || is_diagonal;
        layout
    }

    fn sized(&self, figure: Figure) -> Figure {
        let panel = self.side + 2.0 * GAP;
        let last = self.count - 1;
        let figure = figure
            .with_cell_size(panel, panel)
            .with_col_width(0, self.side + EDGE + GAP)
            .with_row_height(last, self.side + GAP + 0.75 * EDGE)
            .with_spacing(0.0);
        // Above the diagonal there is room; with one column there is none.
        let right = self.side + EDGE + GAP + 30.0;
        match self.count {
            1 => figure.with_shared_legend_right_top(),
            _ => figure.with_shared_legend_at(right, 30.0),
        }
    }
}

/// A column's histogram.
fn one(data: Option<&[f64]>, sample: &[f64], span: Interval) -> (Vec<Plot>, Interval) {
    let mut plots: Vec<Plot> = Vec::new();
    // Both as densities: a fraction of all rows, over a length.
    let mut highest = 0.0f64;
    if let Some(data) = data {
        let parts = bars(data.len());
        let counts = span.densities(data, parts);
        highest = counts.iter().copied().fold(highest, f64::max);
        plots.push(
            Histogram::from_bins(span.edges(parts), counts)
                .with_color(DATA)
                .into(),
        );
    }
    let smooth = smooth::line(sample, span, FINE, SMOOTHING);
    let scale = FINE as f64 / (sample.len() as f64 * span.length());
    let curve: Vec<(f64, f64)> = (0..FINE)
        .map(|k| (span.middle(k, FINE), smooth[k] * scale))
        .collect();
    highest = curve.iter().map(|p| p.1).fold(highest, f64::max);
    plots.extend(lines(&curve, MODEL, 2.0).into_iter().map(Plot::from));
    let heights = Interval {
        low: 0.0,
        high: 1.08 * highest.max(f64::MIN_POSITIVE),
    };
    (plots, heights)
}

/// Two columns against one another.
fn two(
    data: Option<&Matrix<f64>>,
    sample: &Matrix<f64>,
    [a, b]: [usize; 2],
    spans: [Interval; 2],
    each: usize,
) -> Vec<Plot> {
    let mut plots: Vec<Plot> = Vec::new();
    if let Some(data) = data {
        let points = evenly(data.rows(), each).map(|row| (data.get(row, a), data.get(row, b)));
        let inside = points.filter(|p| spans[0].holds(p.0) && spans[1].holds(p.1));
        let (size, opacity) = match data.rows() {
            0..=100 => (2.6, 0.9),
            101..=1000 => (1.6, 0.6),
            _ => (1.2, 0.35),
        };
        plots.push(dots(inside.collect(), DATA, size, opacity).into());
    }
    let points = sample.column(a).iter().copied();
    let points = points.zip(sample.column(b).iter().copied());
    let cells = smooth::plane(points, spans, PARTS, SMOOTHING);
    let mut levels = FRACTIONS
        .map(|fraction| smooth::level(&cells, fraction))
        .to_vec();
    levels.retain(|&level| level > 0.0);
    let middles = |span: Interval| (0..PARTS).map(|k| span.middle(k, PARTS)).collect();
    let contours = ContourPlot::new()
        .with_grid(cells, middles(spans[0]), middles(spans[1]))
        .with_levels(&levels)
        .with_line_color(MODEL)
        .with_line_width(1.4);
    if !levels.is_empty() {
        plots.push(contours.into());
    }
    plots
}
