use pulp::{Simd, WithSimd};

use crate::cpu::dispatch;
use crate::matrix::Matrix;

use super::density::BLOCK_ROWS;
use super::kmeans::clusters;
use super::{Component, GaussianMixture, packed};

/// Rounds of EM, at most.
const ROUNDS: usize = 100;

/// EM ends where a round gains less than this, in nats a row.
const GAIN: f64 = 1e-3;

/// What a component's covariance may be: (S + a s^2 I) / (n + a), where S is the scatter of its n rows and s = K^(-1/d), the
/// width that each of K components would have if they shared the volume. So a component of few rows is round, and none
/// collapses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Any, with a = 1.
    Full,
    /// Any, with a = d + 2: rounder where rows are few.
    Round,
    /// Any, with a = 1 and a tenth of s: for rows that crowd on lines and about single numbers.
    Sharp,
    /// The same with a hundredth of s.
    Sharper,
    /// Diagonal, with a = 1.
    Diagonal,
    /// Any, the same of all components, with a = 1.
    Tied,
}

impl Shape {
    /// All of them.
    pub const ALL: [Shape; 6] = [
        Shape::Full,
        Shape::Round,
        Shape::Sharp,
        Shape::Sharper,
        Shape::Diagonal,
        Shape::Tied,
    ];

    /// The rows that the prior counts as.
    fn prior_rows(self, dims: usize) -> f64 {
        match self {
            Shape::Round => dims as f64 + 2.0,
            _ => 1.0,
        }
    }

    /// The square of the width s, where K components share the volume.
    fn width(self, dims: usize, count: usize) -> f64 {
        let width = (count as f64).powf(-2.0 / dims as f64);
        match self {
            Shape::Sharp => 1e-2 * width,
            Shape::Sharper => 1e-4 * width,
            _ => width,
        }
    }
}

impl GaussianMixture {
    /// Fits `count` components to rows that have a deviation of about 1 in every direction, by EM. `weights` of the rows are none
    /// where all count the same; `stream` is the one of the seed's random numbers that the start is drawn from.
    ///
    /// # Panics
    /// If there are no rows, or no components.
    pub fn fit(
        rows: &Matrix<f64>,
        weights: &[f64],
        shape: Shape,
        count: usize,
        seed: u64,
        stream: u64,
    ) -> Self {
        assert!(rows.rows() > 0 && count > 0, "rows and components");
        let nearest = clusters(rows, weights, count, seed, stream);
        let weight = |row: usize| weights.get(row).copied().unwrap_or(1.0);
        let mut responsibilities =
            Matrix::from_fn(rows.rows(), count, |row, k| match nearest[row] == k {
                true => weight(row),
                false => 0.0,
            });
        let total: f64 = (0..rows.rows()).map(weight).sum();
        let mut mixture = maximized(rows, &responsibilities, total, shape);
        let mut before = f64::NEG_INFINITY;
        for _ in 0..ROUNDS {
            let log_prob = mixture.expected(rows, weights, &mut responsibilities) / total;
            if log_prob < before + GAIN {
                break;
            }
            before = log_prob;
            mixture = maximized(rows, &responsibilities, total, shape);
        }
        mixture
    }

    /// The responsibilities of the components; returns the log-density of all rows by their weights.
    fn expected(
        &self,
        rows: &Matrix<f64>,
        weights: &[f64],
        responsibilities: &mut Matrix<f64>,
    ) -> f64 {
        let mut sum = 0.0;
        let mut highest = [f64::NEG_INFINITY; BLOCK_ROWS];
        let mut density = [0.0; BLOCK_ROWS];
        for first in (0..rows.rows()).step_by(BLOCK_ROWS) {
            let block = first..(first + BLOCK_ROWS).min(rows.rows());
            let mut terms = self.log_terms(rows, block.clone());
            highest.fill(f64::NEG_INFINITY);
            for of_component in &terms {
                let both = highest.iter_mut().zip(of_component);
                both.for_each(|(highest, term)| *highest = highest.max(*term));
            }
            density.fill(0.0);
            for of_component in &mut terms {
                let rows = of_component.iter_mut().zip(&highest).zip(&mut density);
                for ((term, highest), density) in rows {
                    // Far components add nothing that f64 could hold.
                    let below = *term - highest;
                    *term = if below > -40.0 { below.exp() } else { 0.0 };
                    *density += *term;
                }
            }
            for (k, of_component) in terms.iter().enumerate() {
                let responsibilities = &mut responsibilities.column_mut(k)[block.clone()];
                for (index, responsibility) in responsibilities.iter_mut().enumerate() {
                    *responsibility = of_component[index] / density[index];
                }
                if let Some(weights) = weights.get(block.clone()) {
                    let both = responsibilities.iter_mut().zip(weights);
                    both.for_each(|(responsibility, weight)| *responsibility *= weight);
                }
            }
            for (index, row) in block.enumerate() {
                let weight = weights.get(row).copied().unwrap_or(1.0);
                if weight > 0.0 {
                    sum += weight * (highest[index] + density[index].ln());
                }
            }
        }
        sum
    }
}

/// The components that suit the responsibilities (the part of each row's weight that falls to each component).
fn maximized(
    rows: &Matrix<f64>,
    responsibilities: &Matrix<f64>,
    total: f64,
    shape: Shape,
) -> GaussianMixture {
    let (dims, count) = (rows.columns(), responsibilities.columns());
    let prior_rows = shape.prior_rows(dims);
    let width = shape.width(dims, count);
    let mut of_all = vec![0.0; packed(dims)];
    let mut components = Vec::with_capacity(count);
    let mut work = Matrix::zeros(rows.rows(), dims);
    for k in 0..count {
        let responsibilities = responsibilities.column(k);
        let mass: f64 = responsibilities.iter().sum();
        // A component that no row falls to is dropped.
        let mean: Vec<f64> = match mass > 1e-8 * total {
            true => (0..dims)
                .map(|j| dot(responsibilities, rows.column(j)) / mass)
                .collect(),
            false => continue,
        };
        let mut scatter = scatter(rows, responsibilities, &mean, shape, &mut work);
        if shape == Shape::Tied {
            of_all
                .iter_mut()
                .zip(&scatter)
                .for_each(|(sum, s)| *sum += s);
        } else {
            regularize(&mut scatter, dims, prior_rows, width, mass);
            factorize(&mut scatter, dims);
        }
        components.push(Component {
            weight: mass,
            mean,
            lower: scatter,
        });
    }
    if shape == Shape::Tied {
        regularize(&mut of_all, dims, prior_rows, width, total);
        factorize(&mut of_all, dims);
        for component in &mut components {
            component.lower.clone_from(&of_all);
        }
    }
    let all: f64 = components.iter().map(|component| component.weight).sum();
    components
        .iter_mut()
        .for_each(|component| component.weight /= all);
    GaussianMixture::new(components)
}

/// The sum of responsibility (x - mean) (x - mean)^T, its lower triangle row by row; of a diagonal shape its diagonal alone.
fn scatter(
    rows: &Matrix<f64>,
    responsibilities: &[f64],
    mean: &[f64],
    shape: Shape,
    work: &mut Matrix<f64>,
) -> Vec<f64> {
    for (j, mean) in mean.iter().enumerate() {
        let centered = work
            .column_mut(j)
            .iter_mut()
            .zip(rows.column(j))
            .zip(responsibilities);
        centered.for_each(|((y, x), responsibility)| *y = (x - mean) * responsibility.sqrt());
    }
    dispatch(Products {
        columns: work,
        diagonal: shape == Shape::Diagonal,
    })
}

/// The dot products of all columns, the lower triangle row by row, or its diagonal alone; in the widest vectors that the processor has.
struct Products<'a> {
    columns: &'a Matrix<f64>,
    diagonal: bool,
}

impl WithSimd for Products<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<f64> {
        let dims = self.columns.columns();
        let mut products = vec![0.0; packed(dims)];
        for i in 0..dims {
            let first = if self.diagonal { i } else { 0 };
            for j in first..=i {
                products[packed(i) + j] = dot(self.columns.column(i), self.columns.column(j));
            }
        }
        products
    }
}

/// (S + a s^2 I) / (n + a).
fn regularize(scatter: &mut [f64], dims: usize, prior_rows: f64, width: f64, rows: f64) {
    for i in 0..dims {
        scatter[packed(i) + i] += prior_rows * width;
    }
    scatter.iter_mut().for_each(|s| *s /= rows + prior_rows);
}

/// A covariance to its Cholesky factor, in place. It is positive definite, since the prior is.
fn factorize(a: &mut [f64], dims: usize) {
    for i in 0..dims {
        for j in 0..=i {
            let (row_i, row_j) = (packed(i), packed(j));
            let sum: f64 = (0..j).map(|k| a[row_i + k] * a[row_j + k]).sum();
            let rest = a[row_i + j] - sum;
            a[row_i + j] = match i == j {
                true => rest.max(f64::MIN_POSITIVE).sqrt(),
                false => rest / a[row_j + j],
            };
        }
    }
}

/// A dot product in eight sums, which vectors of any width add alike.
#[inline(always)]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a_chunks, a_rest) = a.as_chunks::<8>();
    let (b_chunks, b_rest) = b.as_chunks::<8>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, normal_at};

    fn normal(row: usize, column: usize) -> f64 {
        f64::from(normal_at(3, Purpose::TargetRows, row as u64, column))
    }

    /// One component is the Gaussian of the rows, but for the prior's part.
    #[test]
    fn one_component_is_the_gaussian_of_the_rows() {
        let rows = Matrix::from_fn(2000, 2, |row, j| match j {
            0 => normal(row, 0),
            _ => 0.8 * normal(row, 0) + 0.6 * normal(row, 1),
        });
        let mixture = GaussianMixture::fit(&rows, &[], Shape::Full, 1, 1, 0);
        let [component] = mixture.components() else {
            panic!("{mixture:?}")
        };
        let [a, b, c] = component.lower[..] else {
            panic!()
        };
        for (found, expected) in [(a * a, 1.0), (a * b, 0.8), (b * b + c * c, 1.0)] {
            assert!((found - expected).abs() < 0.06, "{found} {expected}");
        }
        assert_eq!(component.weight, 1.0);
    }

    /// Each round raises the likelihood, and the components are those that the rows came from.
    #[test]
    fn components_are_found() {
        let rows = Matrix::from_fn(3000, 2, |row, j| {
            let (center, width) = if row % 3 == 0 {
                (-2.0, 0.2)
            } else {
                (1.0, 0.5)
            };
            if j == 0 {
                center + width * normal(row, 0)
            } else {
                0.7 * normal(row, 1)
            }
        });
        for shape in Shape::ALL {
            let mixture = GaussianMixture::fit(&rows, &[], shape, 2, 1, 0);
            let mut found: Vec<(f64, f64)> = mixture
                .components()
                .iter()
                .map(|it| (it.mean[0], it.weight))
                .collect();
            found.sort_by(|a, b| a.0.total_cmp(&b.0));
            for ((mean, weight), expected) in
                found.iter().zip([(-2.0, 1.0 / 3.0), (1.0, 2.0 / 3.0)])
            {
                assert!((mean - expected.0).abs() < 0.05, "{shape:?} {mean}");
                assert!((weight - expected.1).abs() < 0.02, "{shape:?} {weight}");
            }
        }
    }

    /// A row of weight 2 is a row that stands twice; one of weight 0 is none.
    #[test]
    fn weights_count_rows() {
        let rows = Matrix::from_fn(300, 2, normal);
        let weights: Vec<f64> = (0..300).map(|row| (row % 3) as f64).collect();
        let numbers: Vec<u32> = (0..300)
            .flat_map(|row| vec![row; row as usize % 3])
            .collect();
        let copies = crate::data::take(&rows, &numbers);
        let weighted = GaussianMixture::fit(&rows, &weights, Shape::Full, 1, 1, 0);
        let copied = GaussianMixture::fit(&copies, &[], Shape::Full, 1, 1, 0);
        let (one, other) = (weighted.log_prob(&rows), copied.log_prob(&rows));
        for (one, other) in one.iter().zip(other) {
            assert!((one - other).abs() < 1e-9, "{one} {other}");
        }
    }

    /// Rows on a line, or all alike, make no component collapse.
    #[test]
    fn components_keep_a_width() {
        for rows in [
            Matrix::from_fn(50, 3, |row, _| row as f64 / 25.0 - 1.0),
            Matrix::from_fn(50, 3, |_, _| 0.5),
            Matrix::from_fn(5, 3, normal),
        ] {
            for shape in Shape::ALL {
                let mixture = GaussianMixture::fit(&rows, &[], shape, 4, 1, 0);
                let all = mixture.log_prob(&rows);
                assert!(all.iter().all(|p| p.is_finite()), "{shape:?} {all:?}");
            }
        }
    }
}
