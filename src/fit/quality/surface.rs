use faer::Side;

use crate::data::{Repeats, default_names, take};
use crate::matrix::Matrix;
use crate::preprocessing::{Preprocessing, PreprocessingConfig};

/// Rows that neighbors are sought for, rows that they are sought among, and columns.
const PROBES: usize = 200;
const ROWS: usize = 50_000;
const MAX_COLUMNS: usize = 24;
/// Fewer rows show no shape.
const MIN_ROWS: usize = 60;

/// Neighbors are flat where they are so much thinner than they are wide, and lie on a surface where four times as many are
/// so much thicker for their width.
const FLAT: f64 = 0.1;
const GROWTH: f64 = 1.4;
/// So flat that nothing is left to grow.
const NO_WIDTH: f64 = 1e-6;
/// The part of the rows that must be so.
const PART: f64 = 0.36;

/// Whether many rows seem to lie on curves or surfaces, which have no density: the nearest neighbors of such a row are flat, and the
/// less so the more of them are taken, as a surface bends; what is thin but has a width is the flatter the more are taken.
/// (A local principal component analysis at two scales, as in Little, Maggioni and Rosasco 2017, "Multiscale geometric methods
/// for data sets I".)
pub(super) fn is_on_surface(values: &Matrix<f64>) -> bool {
    let columns = values.columns();
    if !(2..=MAX_COLUMNS).contains(&columns) {
        return false;
    }
    let Some(rows) = whitened(values) else {
        return false;
    };
    let few = 2 * columns + 4;
    let many = 4 * few;
    if rows.len() < MIN_ROWS.max(2 * many) {
        return false;
    }
    let probes = rows.len().min(PROBES);
    let is_flat = |probe: &usize| {
        let row = &rows[probe * rows.len() / probes];
        let near = nearest(row, &rows, many);
        let [of_few, of_many] = [few, many].map(|count| flatness(&near[..count]));
        of_few < FLAT && (of_many > GROWTH * of_few || of_few < NO_WIDTH)
    };
    let flat = (0..probes).filter(is_flat).count();
    flat as f64 > PART * probes as f64
}

/// Different rows, from all over the table, with uncorrelated columns; none where a column follows from others by a line.
fn whitened(values: &Matrix<f64>) -> Option<Vec<Vec<f64>>> {
    let step = values.rows().div_ceil(ROWS).max(1);
    let sample: Vec<u32> = (0..values.rows() as u32).step_by(step).collect();
    let sample = take(values, &sample);
    let repeats = Repeats::of(&sample);
    let is_first = |row: &u32| repeats.is_first(*row);
    let rows: Vec<u32> = (0..sample.rows() as u32).filter(is_first).collect();
    let values = take(&sample, &rows);
    let linear = PreprocessingConfig {
        standardize: true,
        whiten: true,
        robust: false,
    };
    let names = default_names(values.columns());
    let map = Preprocessing::fit(&values, &names, linear).ok()?;
    if map.is_singular() {
        return None;
    }
    let seen = map.apply(&values);
    Some(
        (0..seen.rows())
            .map(|row| seen.row(row).collect())
            .collect(),
    )
}

/// So many of the rows that are nearest to one, itself among them, the nearest first.
fn nearest<'a>(row: &[f64], rows: &'a [Vec<f64>], count: usize) -> Vec<&'a [f64]> {
    let distance = |other: &[f64]| -> f64 {
        let off = row.iter().zip(other).map(|(a, b)| (a - b) * (a - b));
        off.sum()
    };
    let mut all: Vec<(f64, usize)> = (rows.iter().enumerate())
        .map(|(index, other)| (distance(other), index))
        .collect();
    let order = |a: &(f64, usize), b: &(f64, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
    all.select_nth_unstable_by(count, order);
    all.truncate(count);
    all.sort_unstable_by(order);
    all.iter().map(|(_, index)| &rows[*index][..]).collect()
}

/// How wide points are in their narrowest direction, for their width in the widest.
fn flatness(points: &[&[f64]]) -> f64 {
    let columns = points[0].len();
    let count = points.len() as f64;
    let mean = |j: usize| points.iter().map(|point| point[j]).sum::<f64>() / count;
    let means: Vec<f64> = (0..columns).map(mean).collect();
    let covariance = faer::Mat::from_fn(columns, columns, |i, j| {
        let products = points
            .iter()
            .map(|point| (point[i] - means[i]) * (point[j] - means[j]));
        products.sum::<f64>() / count
    });
    let Ok(variances) = covariance.self_adjoint_eigenvalues(Side::Lower) else {
        return 1.0;
    };
    let (narrow, wide) = (variances[0].max(0.0), variances[columns - 1]);
    match wide > 0.0 {
        true => (narrow / wide).sqrt(),
        false => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, normal_at};

    fn z(row: usize, j: usize) -> f64 {
        f64::from(normal_at(6, Purpose::TargetRows, row as u64, j))
    }

    fn table<const D: usize>(rows: usize, row: impl Fn(usize) -> [f64; D]) -> Matrix<f64> {
        Matrix::from_fn(rows, D, |i, j| row(i)[j])
    }

    #[test]
    fn curves_and_surfaces_are_recognized() {
        let parabola = |row| [z(row, 0), z(row, 0).powi(2)];
        let circle = |row| [z(row, 0).sin(), z(row, 0).cos()];
        let helix = |row: usize| {
            let t = 3.0 * z(row, 0);
            [t.cos(), t.sin(), t]
        };
        let sphere = |row| {
            let x = [0, 1, 2].map(|j| z(row, j));
            let length = x.iter().map(|x| x * x).sum::<f64>().sqrt();
            x.map(|x| x / length)
        };
        let product = |row| [z(row, 0), z(row, 1), z(row, 0) * z(row, 1)];
        let among_others = |row| [z(row, 1), z(row, 2), z(row, 0), z(row, 0).powi(2)];
        let half = |row| match row % 2 {
            0 => parabola(row),
            _ => [z(row, 1), z(row, 2)],
        };
        assert!(is_on_surface(&table(300, parabola)));
        assert!(is_on_surface(&table(3000, parabola)));
        assert!(is_on_surface(&table(1000, circle)));
        assert!(is_on_surface(&table(1000, helix)));
        assert!(is_on_surface(&table(1000, sphere)));
        assert!(is_on_surface(&table(1000, product)));
        assert!(is_on_surface(&table(3000, among_others)));
        assert!(is_on_surface(&table(3000, half)));
    }

    #[test]
    fn what_has_a_width_is_not_taken_for_a_surface() {
        for width in [0.1, 0.01, 0.003] {
            let ring = |row| {
                let r = 2.0 + width * z(row, 1);
                [r * (3.0 * z(row, 0)).sin(), r * (3.0 * z(row, 0)).cos()]
            };
            assert!(!is_on_surface(&table(3000, ring)), "{width}");
        }
        for rows in [80, 500, 3000] {
            assert!(!is_on_surface(&table(rows, |row| [0, 1].map(|j| z(row, j)))));
            assert!(!is_on_surface(
                &table(rows, |row| [0, 1, 2, 3, 4].map(|j| z(row, j)))
            ));
            let skewed = |row| [0, 1, 2].map(|j| (1.5 * z(row, j)).exp());
            assert!(!is_on_surface(&table(rows, skewed)));
        }
        let wide: [usize; 12] = std::array::from_fn(|j| j);
        assert!(!is_on_surface(&table(500, |row| wide.map(|j| z(row, j)))));
        // What is repeated is one point.
        assert!(!is_on_surface(
            &table(4000, |row| [0, 1].map(|j| z(row % 200, j)))
        ));
    }
}
