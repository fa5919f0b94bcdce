use kuva::plot::legend::LegendShape;
use kuva::plot::{ContourPlot, Histogram};
use kuva::render::figure::Figure;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;

use crate::matrix::Matrix;

use super::Picture;
use super::axes::{DATA, Interval, MODEL, axes, dots, entry, evenly, lines, plain};
use super::column_axis::{ColumnAxis, Scale};
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

/// Every column and every pair of columns: rows of data against the model's. `sample` are rows drawn from the model; both have these
/// columns, one after the other.
pub fn corner(columns: &[ColumnAxis], data: Option<&Matrix<f64>>, sample: &Matrix<f64>) -> Picture {
    let count = columns.len();
    let positions = |j: usize| {
        let data = data.map(|data| data.column(j));
        Positions::of(&columns[j], data, sample.column(j))
    };
    let positions: Vec<Positions<'_>> = (0..count).map(positions).collect();
    let spread = positions.iter().enumerate();
    let spread: Vec<Positions<'_>> = spread.map(|(j, it)| it.spread(j)).collect();
    let each = DOTS_EACH.min(DOTS / (count * (count - 1) / 2).max(1));
    let grid = Grid::new(columns);
    let (mut plots, mut layouts, mut structure) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..count {
        for column in 0..=row {
            structure.push(vec![row * count + column]);
            let (panel, heights) = match row == column {
                true => one(&positions[row]),
                false => (two([&spread[column], &spread[row]], each), spread[row].span),
            };
            plots.push(panel);
            layouts.push(grid.layout([column, row], spread[column].span, heights, columns));
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
    let cells = match columns.iter().any(ColumnAxis::has_cells) {
        true => " Rows with a whole number or a level are spread at random around it.",
        false => "",
    };
    let caption = match data {
        Some(data) => format!(
            "Each column, and each pair of columns: {} rows of data in blue{}; in orange the model's density, as {rows} rows drawn from \
             it tell, with lines that enclose {fractions} of it.{cells}",
            data.rows(),
            if data.rows() > each {
                ", some of them as dots"
            } else {
                ""
            },
        ),
        None => format!(
            "Each column, and each pair of columns: the model's density, as {rows} rows drawn from it tell, with lines that enclose \
             {fractions} of it.{cells}"
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
    /// Below the panels.
    low: f64,
}

/// Beside the panels at the edge, and around each of them.
const EDGE: f64 = 66.0;
const GAP: f64 = 5.0;

/// The width of a letter, in sizes of type.
const LETTER: f64 = 0.6;

/// The letters of a level that there is room for beside the panels and, upright, below them.
const LETTERS: usize = 8;

impl Grid {
    fn new(columns: &[ColumnAxis]) -> Self {
        let count = columns.len();
        let side = (760.0 / count as f64).clamp(96.0, 320.0);
        let (label, tick, ticks) = match count {
            0..=2 => (13, 11, 5),
            3..=5 => (12, 10, 4),
            _ => (11, 9, 3),
        };
        let mut grid = Grid {
            count,
            side,
            label,
            tick,
            ticks,
            longest: (side / (0.55 * f64::from(label))) as usize,
            low: 0.75 * EDGE,
        };
        let is_upright = |column: &ColumnAxis| match &column.scale {
            Scale::Levels(levels) => grid.letters(levels.len()) < longest(levels),
            _ => false,
        };
        if columns.iter().any(is_upright) {
            grid.low += (LETTERS as f64 - 2.0) * LETTER * f64::from(tick);
        }
        grid
    }

    /// The letters of each of so many levels that have room side by side.
    fn letters(&self, levels: usize) -> usize {
        (self.side / levels as f64 / (LETTER * f64::from(self.tick))) as usize
    }

    /// The labels of levels, so long; of very many, some.
    fn labels(&self, levels: &[String], longest: usize) -> Vec<String> {
        let room = 1.2 * f64::from(self.tick) * levels.len() as f64 / self.side;
        let every = room.ceil().max(1.0) as usize;
        let each = levels.iter().enumerate();
        let label = each.map(|(k, level)| match k % every {
            0 => plain(level, longest),
            _ => String::new(),
        });
        label.collect()
    }

    fn layout(
        &self,
        [column, row]: [usize; 2],
        x: Interval,
        y: Interval,
        columns: &[ColumnAxis],
    ) -> Layout {
        let (is_left, is_low, is_diagonal) = (column == 0, row + 1 == self.count, row == column);
        let [of_x, of_y] = Ticks::of(x, y, self.side, self.tick, self.ticks);
        let name = |j: usize, ticks: Ticks, shown| match shown {
            true => plain(&ticks.name(&columns[j].name), self.longest),
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
            .with_force_margins_y(GAP, if is_low { self.low } else { GAP });
        if let Scale::Levels(levels) = &columns[column].scale {
            let room = self.letters(levels.len());
            layout = match room < longest(levels) {
                true => layout
                    .with_x_categories(self.labels(levels, LETTERS))
                    .with_x_tick_rotate(-90.0),
                false => {
                    layout.with_x_categories(levels.iter().map(|it| plain(it, room)).collect())
                }
            };
        }
        if let Scale::Levels(levels) = &columns[row].scale
            && !is_diagonal
        {
            layout = layout.with_y_categories(self.labels(levels, LETTERS));
        }
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
            .with_row_height(last, self.side + GAP + self.low)
            .with_spacing(0.0);
        // Above the diagonal there is room; with one column there is none.
        let right = self.side + EDGE + GAP + 30.0;
        match self.count {
            1 => figure.with_shared_legend_right_top(),
            _ => figure.with_shared_legend_at(right, 30.0),
        }
    }
}

/// The letters of the longest level.
fn longest(levels: &[String]) -> usize {
    let letters = levels.iter().map(|level| level.chars().count());
    letters.max().unwrap_or(0)
}

/// Where the rows are on a column's axis.
struct Positions<'a> {
    axis: &'a ColumnAxis,
    span: Interval,
    data: Option<Vec<f64>>,
    sample: Vec<f64>,
}

impl<'a> Positions<'a> {
    fn of(axis: &'a ColumnAxis, data: Option<&[f64]>, sample: &[f64]) -> Self {
        let on_axis = |values: &[f64]| values.iter().map(|&x| axis.position(x)).collect();
        let (data, sample): (Option<Vec<f64>>, Vec<f64>) = (data.map(on_axis), on_axis(sample));
        // The model may have rows far from all data; they are counted, not shown.
        let seen = data.as_ref().unwrap_or(&sample).iter().copied();
        Positions {
            axis,
            span: axis.interval(seen, LEFT_OUT),
            data,
            sample,
        }
    }

    /// Those in cells at random ones of them.
    fn spread(&self, column: usize) -> Self {
        let spread = |positions: &Vec<f64>| {
            let mut positions = positions.clone();
            self.axis.spread(&mut positions, self.span, column);
            positions
        };
        Positions {
            data: self.data.as_ref().map(spread),
            sample: spread(&self.sample),
            ..*self
        }
    }
}

/// A column's histogram.
fn one(column: &Positions<'_>) -> (Vec<Plot>, Interval) {
    let Positions { axis, span, .. } = *column;
    let mut plots: Vec<Plot> = Vec::new();
    // Both as densities: a fraction of all rows, over a length.
    let mut highest = 0.0f64;
    let filled = axis.filled(span);
    if let Some(data) = &column.data {
        let parts = axis.bars(span, data.len());
        let counts = span.densities(data, parts);
        highest = counts.iter().copied().fold(highest, f64::max);
        let (edges, counts) = with_gaps(span, &counts, 1.0 - filled);
        plots.push(Histogram::from_bins(edges, counts).with_color(DATA).into());
    }
    let sample = &column.sample;
    let curves = match axis.has_cells() {
        true => {
            let parts = axis.bars(span, sample.len());
            let densities = span.densities(sample, parts);
            highest = densities.iter().copied().fold(highest, f64::max);
            steps(span, &densities, filled)
        }
        false => {
            let smooth = smooth::line(sample, span, axis.is_circular(), FINE, SMOOTHING);
            let scale = FINE as f64 / (sample.len() as f64 * span.length());
            let curve: Vec<(f64, f64)> = (0..FINE)
                .map(|k| (span.middle(k, FINE), smooth[k] * scale))
                .collect();
            highest = curve.iter().map(|p| p.1).fold(highest, f64::max);
            curve
        }
    };
    plots.extend(lines(&curves, MODEL, 2.0).into_iter().map(Plot::from));
    let heights = Interval {
        low: 0.0,
        high: 1.08 * highest.max(f64::MIN_POSITIVE),
    };
    (plots, heights)
}

/// The edges and the heights of bars with gaps between them, each a fraction of what there is for a bar.
fn with_gaps(span: Interval, heights: &[f64], gap: f64) -> (Vec<f64>, Vec<f64>) {
    let edges = span.edges(heights.len());
    if gap == 0.0 {
        return (edges, heights.to_vec());
    }
    let half = 0.5 * gap * span.length() / heights.len() as f64;
    let inner = edges.windows(2);
    let inner: Vec<f64> = inner
        .flat_map(|edge| [edge[0] + half, edge[1] - half])
        .collect();
    let mut bars: Vec<f64> = heights.iter().flat_map(|&height| [height, 0.0]).collect();
    bars.pop();
    (inner, bars)
}

/// A flat line at the height of each bar: one with the next, or apart where bars fill a fraction of their cells.
fn steps(span: Interval, heights: &[f64], filled: f64) -> Vec<(f64, f64)> {
    let edges = span.edges(heights.len());
    let half = 0.5 * (1.0 - filled) * span.length() / heights.len() as f64;
    let mut line = Vec::new();
    for (edge, &height) in edges.windows(2).zip(heights) {
        line.extend([(edge[0] + half, height), (edge[1] - half, height)]);
        if half > 0.0 {
            line.push((f64::NAN, f64::NAN));
        }
    }
    line
}

/// Two columns against one another.
fn two([x, y]: [&Positions<'_>; 2], each: usize) -> Vec<Plot> {
    let mut plots: Vec<Plot> = Vec::new();
    let spans = [x.span, y.span];
    if let (Some(of_x), Some(of_y)) = (&x.data, &y.data) {
        let rows = of_x.len();
        let points = evenly(rows, each).map(|row| (of_x[row], of_y[row]));
        let inside = points.filter(|p| spans[0].holds(p.0) && spans[1].holds(p.1));
        let (size, opacity) = match rows {
            0..=100 => (2.6, 0.9),
            101..=1000 => (1.6, 0.6),
            _ => (1.2, 0.35),
        };
        plots.push(dots(inside.collect(), DATA, size, opacity).into());
    }
    let points = x.sample.iter().copied().zip(y.sample.iter().copied());
    let circular = [x.axis.is_circular(), y.axis.is_circular()];
    let cells = smooth::plane(points, spans, circular, PARTS, SMOOTHING);
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
