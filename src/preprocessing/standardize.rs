use serde::{Deserialize, Serialize};

use crate::data::selector;
use crate::error::{Error, Message, Remedy, Result, column_label};
use crate::matrix::Matrix;

/// Mean and standard deviation of each column of the training data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standardize {
    /// What is taken away, a number a column.
    pub mean: Vec<f64>,
    /// What is divided by, a number a column.
    pub deviation: Vec<f64>,
}

impl Standardize {
    /// The statistics of a table's columns, a weight for each row where they do not all count the same.
    ///
    /// # Errors
    /// [`Error::Data`] names a column that does not vary.
    pub fn of(values: &Matrix<f64>, weights: &[f64], names: &[String]) -> Result<Self> {
        let rows = values.rows() as f64;
        let total: f64 = weights.iter().sum();
        // A row's part of a mean.
        let part = |row: usize, x: f64| match weights.get(row) {
            None => x / rows,
            Some(weight) => x * (weight / total),
        };
        if values.rows() == 1 {
            return Err(Error::data(
                "there is 1 row to train on: nothing varies in it; more rows are needed",
            ));
        }
        let (mut mean, mut deviation) = (Vec::new(), Vec::new());
        let constant: Vec<usize> = (0..values.columns())
            .filter(|&j| values.column(j).iter().all(|&x| x == values.get(0, j)))
            .collect();
        if !constant.is_empty() {
            const SHOWN: usize = 8;
            let told: Vec<String> = constant
                .iter()
                .take(SHOWN)
                .map(|&j| format!("{} is {:?}", column_label(j, names), values.get(0, j)))
                .collect();
            let more = match constant.len().saturating_sub(SHOWN) {
                0 => String::new(),
                more => format!(", and {more} more columns are like this,"),
            };
            let text = format!(
                "{}{more} in every row trained on: it has no density",
                told.join(", ")
            );
            let columns: Vec<String> = constant.iter().map(|&j| selector(j, names)).collect();
            let remedy = Remedy::new("leave it out", "exclude", columns.join(","));
            return Err(Error::Data(
                Message::new(text)
                    .in_column(&names[constant[0]])
                    .remedy(remedy),
            ));
        }
        for j in 0..values.columns() {
            let column = values.column(j);
            let parts = |of: &dyn Fn(f64) -> f64| -> f64 {
                let column = column.iter().enumerate();
                column.map(|(row, &x)| part(row, of(x))).sum()
            };
            let m = parts(&|x| x);
            let d = parts(&|x| (x - m) * (x - m)).sqrt();
            if !m.is_finite() || !d.is_normal() {
                return Err(Error::data(format!(
                    "{} has mean {m:e} and standard deviation {d:e}, beyond what 64-bit numbers can square; rescale it",
                    column_label(j, names)
                )));
            }
            mean.push(m);
            deviation.push(d);
        }
        Ok(Standardize { mean, deviation })
    }

    pub(super) fn apply(&self, values: &Matrix<f64>) -> Matrix<f64> {
        Matrix::from_fn(values.rows(), values.columns(), |row, j| {
            (values.get(row, j) - self.mean[j]) / self.deviation[j]
        })
    }

    pub(super) fn undo(&self, values: &Matrix<f64>) -> Matrix<f64> {
        Matrix::from_fn(values.rows(), values.columns(), |row, j| {
            values.get(row, j) * self.deviation[j] + self.mean[j]
        })
    }

    pub(super) fn is_valid(&self, dims: usize) -> bool {
        self.mean.len() == dims
            && self.deviation.len() == dims
            && self.mean.iter().all(|m| m.is_finite())
            && self.deviation.iter().all(|d| d.is_finite() && *d > 0.0)
    }
}
