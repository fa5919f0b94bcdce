use crate::matrix::Matrix;
use crate::numeric::log_sum_exp;

use super::number_column::wrap;
use super::{Kind, NumberColumn};

/// The real numbers that become those of some rows of a table, and what each counts for: the density of a row is the sum of what a flow
/// says of them. Of a cell of a grid a few numbers stand for all.
pub(crate) struct Preimages {
    /// Real numbers, then the context, a row for each.
    pub rows: Matrix<f64>,
    /// The row of the table that each of them becomes.
    of_row: Vec<u32>,
    log_weight: Vec<f64>,
    count: usize,
}

/// Numbers of a cell, for one column with cells, for two, and for three; of each a few in cells narrower than the first of
/// [`WIDTHS`], more in those narrower than the next, and the last in those without an end.
const NODES: [[usize; LEVELS]; 3] = [[8, 24, 48, 48], [4, 8, 16, 24], [4, 6, 8, 12]];
const WIDTHS: [f64; LEVELS - 1] = [0.2, 0.5, f64::INFINITY];
const LEVELS: usize = 4;
/// Points in the cells of more columns than that: a rank-1 lattice (Sloan and Joe 1994, "Lattice methods for multiple integration"),
/// with a generator of Korobov's form.
const POINTS: usize = 128;
const GENERATOR: usize = 37;

/// Cells narrower than this, as flows see them, have the density of their middles.
const NARROW: f64 = 0.02;

impl Preimages {
    /// Of rows that are all in the columns' support, with context behind the modelled columns. `widths` are those of the columns on
    /// the real line, where they are known.
    pub fn of(columns: &[NumberColumn], rows: &Matrix<f64>, widths: Option<&[f64]>) -> Self {
        let rules = NODES.map(|nodes| nodes.map(legendre));
        let mut found = Found::default();
        let mut row = Vec::with_capacity(rows.columns());
        for index in 0..rows.rows() {
            row.clear();
            row.extend(rows.row(index));
            found.add(columns, &rules, &mut row, index as u32, widths);
        }
        let count = found.log_weight.len();
        Preimages {
            rows: Matrix::from_fn(count, rows.columns(), |k, j| {
                found.values[k * rows.columns() + j]
            }),
            of_row: found.of_row,
            log_weight: found.log_weight,
            count: rows.rows(),
        }
    }

    /// The log-density of each row of the table, from those of its real numbers.
    pub fn log_sums(&self, log_prob: &[f64]) -> Vec<f64> {
        let mut sums = vec![f64::NEG_INFINITY; self.count];
        let mut first = 0;
        for of_row in self.of_row.chunk_by(|a, b| a == b) {
            let range = first..first + of_row.len();
            first = range.end;
            let terms = self.log_weight[range.clone()].iter().zip(&log_prob[range]);
            sums[of_row[0] as usize] = log_sum_exp(terms.map(|(weight, p)| weight + p));
        }
        sums
    }

    /// How many there are to a row, at most.
    pub fn most(columns: &[NumberColumn]) -> usize {
        let angles = columns
            .iter()
            .filter(|it| matches!(it.kind, Kind::Circular { .. }));
        let cells = columns.iter().filter(|it| it.step > 0.0).count();
        let folds = columns.iter().filter(|it| it.edge > 0.0).count();
        let points = match cells {
            0 => 1,
            _ => NODES
                .get(cells - 1)
                .map_or(POINTS, |nodes| nodes[LEVELS - 1].pow(cells as u32)),
        };
        points * 3usize.pow(angles.count() as u32) * 2usize.pow(folds as u32)
    }
}

/// The nodes and weights of as many as [`NODES`] says.
type Rules = [[Vec<(f64, f64)>; LEVELS]; NODES.len()];

/// Preimages row by row.
#[derive(Default)]
struct Found {
    values: Vec<f64>,
    of_row: Vec<u32>,
    log_weight: Vec<f64>,
}

impl Found {
    fn add(
        &mut self,
        columns: &[NumberColumn],
        rules: &Rules,
        row: &mut Vec<f64>,
        index: u32,
        widths: Option<&[f64]>,
    ) {
        // How wide its cell is, in the width of the column.
        let width = |j: usize| {
            let column = &columns[j];
            let (first, last) = column.cell(row[j]);
            let cell = column.to_real(last) - column.to_real(first);
            widths.map_or(cell, |widths| cell / widths[j])
        };
        let is_wide = |j: &usize| columns[*j].step > 0.0 && width(*j) >= NARROW;
        let wide: Vec<usize> = (0..columns.len()).filter(is_wide).collect();
        // Of whole numbers the density over the cell adds up to a probability, of angles on a grid it is averaged.
        let of_angles =
            (0..columns.len()).filter(|&j| wide.contains(&j) && !columns[j].is_discrete());
        let of_middles =
            (0..columns.len()).filter(|j| !wide.contains(j) && columns[*j].is_discrete());
        let log_size = of_middles.map(|j| columns[j].step.ln()).sum::<f64>()
            - of_angles.map(|j| columns[j].step.ln()).sum::<f64>();
        let middle = row.clone();
        match wide.len() {
            0 => self.add_images(columns, 0, row, index, log_size),
            count if count <= NODES.len() => {
                let rule = |j: &usize| {
                    let cell = width(*j);
                    let level = WIDTHS.iter().position(|width| cell < *width);
                    &rules[count - 1][level.unwrap_or(WIDTHS.len())]
                };
                let rules: Vec<_> = wide.iter().map(rule).collect();
                let points: usize = rules.iter().map(|rule| rule.len()).product();
                for point in 0..points {
                    let (mut rest, mut weight) = (point, log_size);
                    for (&j, rule) in wide.iter().zip(&rules) {
                        let (at, of_node) = rule[rest % rule.len()];
                        let (v, log_density) = columns[j].node_in_cell(middle[j], at);
                        row[j] = v;
                        weight += of_node.ln() - log_density;
                        rest /= rule.len();
                    }
                    self.add_images(columns, 0, row, index, weight);
                }
            }
            _ => {
                for point in 0..POINTS {
                    let (mut factor, mut weight) = (1, log_size - (POINTS as f64).ln());
                    for &j in &wide {
                        let at = ((point * factor) as f64 + 0.5) / POINTS as f64;
                        // Folded, since densities are not periodic (Hickernell 2002).
                        let at = 1.0 - (2.0 * at.fract() - 1.0).abs();
                        let (v, log_density) = columns[j].node_in_cell(middle[j], at);
                        row[j] = v;
                        weight -= log_density;
                        factor = factor * GENERATOR % POINTS;
                    }
                    self.add_images(columns, 0, row, index, weight);
                }
            }
        }
    }

    /// All that the numbers of columns from `first` on stand for.
    fn add_images(
        &mut self,
        columns: &[NumberColumn],
        first: usize,
        row: &mut Vec<f64>,
        index: u32,
        weight: f64,
    ) {
        let Some(column) = columns.get(first) else {
            self.values.extend_from_slice(row);
            self.of_row.push(index);
            self.log_weight.push(weight);
            return;
        };
        let x = row[first];
        match column.kind {
            Kind::Circular { period } => {
                let v = wrap(column.cut, x, period);
                for image in [v - period, v, v + period] {
                    row[first] = image;
                    self.add_images(columns, first + 1, row, index, weight);
                }
            }
            Kind::Bounded { low, high } => {
                self.add_images(columns, first + 1, row, index, weight);
                for bound in [low, high].into_iter().flatten() {
                    if (x - bound).abs() < column.edge {
                        row[first] = 2.0 * bound - x;
                        self.add_images(columns, first + 1, row, index, weight);
                    }
                }
            }
            _ => self.add_images(columns, first + 1, row, index, weight),
        }
        row[first] = x;
    }
}

/// Nodes on [0, 1] and weights of Gauss and Legendre's rule.
fn legendre(nodes: usize) -> Vec<(f64, f64)> {
    let n = nodes as f64;
    let node = |k: usize| {
        let mut x = (std::f64::consts::PI * (k as f64 + 0.75) / (n + 0.5)).cos();
        let mut slope = 1.0;
        // Newton's method.
        for _ in 0..100 {
            let (mut before, mut p) = (1.0, x);
            for i in 2..=nodes {
                let i = i as f64;
                (before, p) = (p, ((2.0 * i - 1.0) * x * p - (i - 1.0) * before) / i);
            }
            slope = n * (x * p - before) / (x * x - 1.0);
            let step = p / slope;
            x -= step;
            if step.abs() < 1e-15 {
                break;
            }
        }
        (0.5 * (1.0 - x), 1.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..nodes).map(node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::RowNumbers;

    fn column(kind: &str, numbers: &[f64]) -> NumberColumn {
        NumberColumn::of(kind.parse().unwrap(), numbers, RowNumbers::All, "x").unwrap()
    }

    /// ln of a density over the real line, skewed and with two modes.
    fn log_density(v: f64, scale: f64) -> f64 {
        let normal = |mean: f64, width: f64| {
            let z = (v - mean * scale) / (width * scale);
            (-0.5 * z * z).exp() / (width * scale * (2.0 * std::f64::consts::PI).sqrt())
        };
        (0.4 * normal(-0.4, 0.3) + 0.6 * normal(0.3, 0.6)).ln()
    }

    fn of(columns: &[NumberColumn], rows: &Matrix<f64>, scale: f64) -> Vec<f64> {
        let preimages = Preimages::of(columns, rows, None);
        let most = Preimages::most(columns);
        assert!(preimages.rows.rows() <= most * rows.rows());
        let log_prob: Vec<f64> = (0..preimages.rows.rows())
            .map(|k| {
                let row = preimages.rows.row(k);
                row.map(|v| log_density(v, scale)).sum()
            })
            .collect();
        preimages.log_sums(&log_prob)
    }

    #[test]
    fn probabilities_of_whole_numbers_add_up() {
        for (count, tolerance) in [(1, 1e-9), (2, 1e-6), (3, 1e-5)] {
            let columns = vec![column("integer", &[0.0, 1.0]); count];
            let side = 17usize;
            let rows = Matrix::from_fn(side.pow(count as u32), count, |row, j| {
                (row / side.pow(j as u32) % side) as f64 - 8.0
            });
            let sum: f64 = of(&columns, &rows, 1.5).iter().map(|p| p.exp()).sum();
            assert!((sum - 1.0).abs() < tolerance, "{count}: {sum}");
        }
    }

    /// Of five columns a cell has the mean of the lattice's points.
    #[test]
    fn cells_of_many_columns_are_averaged() {
        let columns = vec![column("integer", &[0.0, 1.0]); 5];
        let rows = Matrix::from_fn(200, 5, |row, j| ((row * (j + 3)) % 5) as f64 - 2.0);
        let one = |x: f64| of(&columns[..1], &Matrix::from_values(1, 1, vec![x]), 3.0)[0];
        let worst = of(&columns, &rows, 3.0)
            .iter()
            .enumerate()
            .map(|(row, p)| (p - rows.row(row).map(one).sum::<f64>()).abs())
            .fold(0.0, f64::max);
        assert!(worst < 0.01, "{worst}");
    }

    #[test]
    fn densities_on_circles_and_between_folds_integrate_to_one() {
        let angle = column("circular(3)", &[0.1, 0.2, 2.9]);
        let folded = column("bounded(-1,1)", &[-1.0, 0.0, 0.7, 1.0]);
        assert!(folded.edge > 0.0);
        let cells = 6000;
        let integral = |column: &NumberColumn, low: f64, high: f64| {
            let width = (high - low) / f64::from(cells);
            let points = (0..cells).map(|k| low + width * (f64::from(k) + 0.5));
            let rows = Matrix::from_values(cells as usize, 1, points.collect());
            of(std::slice::from_ref(column), &rows, 0.4)
                .iter()
                .map(|p| p.exp() * width)
                .sum::<f64>()
        };
        let sum = integral(&angle, 0.0, 3.0);
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        // What lies beyond the folds has no density there, on the real line.
        let within = 1.0 + folded.edge;
        let beyond: f64 = (0..100_000)
            .map(|k| f64::from(k) * 1e-4)
            .map(|off| {
                (log_density(within + off, 0.4).exp() + log_density(-within - off, 0.4).exp())
                    * 1e-4
            })
            .sum();
        let sum = integral(&folded, -1.0, 1.0) + beyond;
        assert!((sum - 1.0).abs() < 1e-3, "{sum}");
    }

    #[test]
    fn the_ends_of_a_circle_have_one_density() {
        let angle = column("circular(360)", &[0.0, 90.0, 200.0]);
        let rows = Matrix::from_values(4, 1, vec![0.0, 360.0, -720.0, 1e-9]);
        let found = of(&[angle], &rows, 100.0);
        assert!(
            found.iter().all(|p| (p - found[0]).abs() < 1e-9),
            "{found:?}"
        );
    }

    #[test]
    fn the_rule_is_exact_for_polynomials() {
        for nodes in [3, 8, 12, 48] {
            for power in 0..2 * nodes as i32 {
                let sum: f64 = legendre(nodes).iter().map(|(x, w)| w * x.powi(power)).sum();
                assert!(
                    (sum * f64::from(power + 1) - 1.0).abs() < 1e-12,
                    "{nodes} {power}"
                );
            }
        }
    }
}
