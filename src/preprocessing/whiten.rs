use serde::{Deserialize, Serialize};

use crate::matrix::Matrix;

/// The Cholesky factor of the correlation matrix of the training data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Whiten {
    /// Row by row; row i holds i + 1 numbers.
    pub lower: Vec<Vec<f64>>,
}

/// The mean of the products of two columns.
pub(super) fn mean_product(a: &[f64], b: &[f64], weights: &[f64]) -> f64 {
    let products = a.iter().zip(b).map(|(a, b)| a * b);
    if weights.is_empty() {
        return products.sum::<f64>() / a.len() as f64;
    }
    let weighted = products.zip(weights).map(|(product, w)| product * w);
    weighted.sum::<f64>() / weights.iter().sum::<f64>()
}

impl Whiten {
    /// What of a column's deviation the columns before it must leave: less is stretched no further. Copies of a column
    /// leave nothing.
    const LEAST_REST: f64 = 1e-6;

    /// The factor for standardized columns, a weight for each row where they do not all count the same.
    pub fn of(values: &Matrix<f64>, weights: &[f64]) -> Self {
        let mut lower: Vec<Vec<f64>> = Vec::with_capacity(values.columns());
        for i in 0..values.columns() {
            let mut row: Vec<f64> = Vec::with_capacity(i + 1);
            for j in 0..=i {
                let correlation = mean_product(values.column(i), values.column(j), weights);
                let known: f64 = match lower.get(j) {
                    Some(other) => row.iter().zip(other).map(|(a, b)| a * b).sum(),
                    None => row.iter().map(|a| a * a).sum(),
                };
                let rest = correlation - known;
                row.push(match lower.get(j) {
                    Some(other) => rest / other[j],
                    None => rest.max(Self::LEAST_REST * Self::LEAST_REST).sqrt(),
                });
            }
            lower.push(row);
        }
        Whiten { lower }
    }

    /// Whether some column follows from those before it, up to rounding.
    pub(super) fn is_singular(&self) -> bool {
        let mut rests = self.lower.iter().enumerate().map(|(i, row)| row[i]);
        rests.any(|rest| rest <= Self::LEAST_REST)
    }

    pub(super) fn apply(&self, mut values: Matrix<f64>) -> Matrix<f64> {
        for (i, row) in self.lower.iter().enumerate() {
            let mut column = values.column(i).to_vec();
            for (j, fraction) in row[..i].iter().enumerate() {
                for (x, z) in column.iter_mut().zip(values.column(j)) {
                    *x -= fraction * z;
                }
            }
            for (z, x) in values.column_mut(i).iter_mut().zip(column) {
                *z = x / row[i];
            }
        }
        values
    }

    pub(super) fn undo(&self, mut values: Matrix<f64>) -> Matrix<f64> {
        for (i, row) in self.lower.iter().enumerate().rev() {
            let mut column: Vec<f64> = values.column(i).iter().map(|z| z * row[i]).collect();
            for (j, fraction) in row[..i].iter().enumerate() {
                for (x, z) in column.iter_mut().zip(values.column(j)) {
                    *x += fraction * z;
                }
            }
            values.column_mut(i).copy_from_slice(&column);
        }
        values
    }

    pub(super) fn is_valid(&self, dims: usize) -> bool {
        self.lower.len() == dims
            && self.lower.iter().enumerate().all(|(i, row)| {
                row.len() == i + 1 && row.iter().all(|l| l.is_finite()) && row[i] > 0.0
            })
    }
}
