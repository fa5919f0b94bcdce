//! What happens to a row before the flow sees it: a linear map fitted to the training data, part of the model, whose
//! log-determinant keeps log-densities in the units of the data.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, column_place};
use crate::matrix::Matrix;

/// Columns are scaled and shifted, then mixed, or left as they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// u = (x - mean) / deviation, column by column; none leaves rows as they are.
    pub standardize: Option<Standardize>,
    /// z with L z = u, L lower triangular; none leaves u. L L^T is the correlation matrix of the training data, so that
    /// the columns of z are uncorrelated: the flow begins where a Gaussian fit ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whiten: Option<Whiten>,
}

/// Mean and standard deviation of each column of the training data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standardize {
    pub mean: Vec<f64>,
    pub deviation: Vec<f64>,
}

/// The Cholesky factor of the correlation matrix of the training data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Whiten {
    /// Row by row; row i holds i + 1 numbers.
    pub lower: Vec<Vec<f64>>,
}

impl Standardize {
    /// The statistics of a table's columns.
    ///
    /// # Errors
    /// [`Error::Data`] names a column that does not vary.
    pub fn of(values: &Matrix<f64>, names: &[String]) -> Result<Self> {
        let rows = values.rows() as f64;
        if values.rows() == 1 {
            return Err(Error::Data(
                "there is 1 row to train on: nothing varies in it; more rows are needed".into(),
            ));
        }
        let (mut mean, mut deviation) = (Vec::new(), Vec::new());
        let constant: Vec<usize> = (0..values.columns())
            .filter(|&j| values.column(j).iter().all(|&x| x == values.get(0, j)))
            .collect();
        if !constant.is_empty() {
            const TOLD: usize = 8;
            let told: Vec<String> = constant
                .iter()
                .take(TOLD)
                .map(|&j| format!("{} is {:?}", column_place(j, names), values.get(0, j)))
                .collect();
            let more = match constant.len().saturating_sub(TOLD) {
                0 => String::new(),
                more => format!(", and {more} more columns are like this,"),
            };
            return Err(Error::Data(format!(
                "{}{more} in every row trained on: it has no density; leave it out with --exclude",
                told.join(", ")
            )));
        }
        for j in 0..values.columns() {
            let column = values.column(j);
            let m = column.iter().map(|x| x / rows).sum::<f64>();
            let d = column
                .iter()
                .map(|x| (x - m) * (x - m) / rows)
                .sum::<f64>()
                .sqrt();
            if !m.is_finite() || !d.is_normal() {
                return Err(Error::Data(format!(
                    "{} has mean {m:e} and standard deviation {d:e}, beyond what 64-bit numbers can square; rescale it",
                    column_place(j, names)
                )));
            }
            mean.push(m);
            deviation.push(d);
        }
        Ok(Standardize { mean, deviation })
    }

    fn apply(&self, values: &Matrix<f64>) -> Matrix<f64> {
        Matrix::from_fn(values.rows(), values.columns(), |row, j| {
            (values.get(row, j) - self.mean[j]) / self.deviation[j]
        })
    }
}

impl Whiten {
    /// What of a column's deviation the columns before it must leave: less is stretched no further. Copies of a column
    /// leave nothing.
    const LEAST_REST: f64 = 1e-6;

    /// The factor for standardised columns.
    pub fn of(values: &Matrix<f64>) -> Self {
        let rows = values.rows() as f64;
        let mut lower: Vec<Vec<f64>> = Vec::with_capacity(values.columns());
        for i in 0..values.columns() {
            let mut row: Vec<f64> = Vec::with_capacity(i + 1);
            for j in 0..=i {
                let products = values.column(i).iter().zip(values.column(j));
                let correlation = products.map(|(a, b)| a * b).sum::<f64>() / rows;
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

    fn apply(&self, mut values: Matrix<f64>) -> Matrix<f64> {
        for (i, row) in self.lower.iter().enumerate() {
            let mut column = values.column(i).to_vec();
            for (j, share) in row[..i].iter().enumerate() {
                for (x, z) in column.iter_mut().zip(values.column(j)) {
                    *x -= share * z;
                }
            }
            for (z, x) in values.column_mut(i).iter_mut().zip(column) {
                *z = x / row[i];
            }
        }
        values
    }

    fn undo(&self, mut values: Matrix<f64>) -> Matrix<f64> {
        for (i, row) in self.lower.iter().enumerate().rev() {
            let mut column: Vec<f64> = values.column(i).iter().map(|z| z * row[i]).collect();
            for (j, share) in row[..i].iter().enumerate() {
                for (x, z) in column.iter_mut().zip(values.column(j)) {
                    *x += share * z;
                }
            }
            values.column_mut(i).copy_from_slice(&column);
        }
        values
    }
}

impl Preprocessing {
    /// Fitted to the rows to train on. `whiten` has an effect where columns are standardised.
    ///
    /// # Errors
    /// As [`Standardize::of`].
    pub fn fit(
        values: &Matrix<f64>,
        names: &[String],
        standardize: bool,
        whiten: bool,
    ) -> Result<Self> {
        if !standardize {
            return Ok(Self::default());
        }
        let standardize = Standardize::of(values, names)?;
        let whiten = whiten.then(|| Whiten::of(&standardize.apply(values)));
        Ok(Preprocessing {
            standardize: Some(standardize),
            whiten,
        })
    }

    /// Data to what the flow sees.
    pub fn apply(&self, values: &Matrix<f64>) -> Matrix<f64> {
        let values = match &self.standardize {
            None => values.clone(),
            Some(standardize) => standardize.apply(values),
        };
        match &self.whiten {
            None => values,
            Some(whiten) => whiten.apply(values),
        }
    }

    /// What the flow sees back to data.
    pub fn undo(&self, values: &Matrix<f64>) -> Matrix<f64> {
        let values = match &self.whiten {
            None => values.clone(),
            Some(whiten) => whiten.undo(values.clone()),
        };
        match &self.standardize {
            None => values,
            Some(s) => Matrix::from_fn(values.rows(), values.columns(), |row, j| {
                values.get(row, j) * s.deviation[j] + s.mean[j]
            }),
        }
    }

    /// The width in each column, given those before it, that becomes 1; none where rows stay as they are.
    pub fn widths(&self) -> Option<Vec<f64>> {
        let mut widths = self.standardize.as_ref()?.deviation.clone();
        if let Some(whiten) = &self.whiten {
            for (i, (width, row)) in widths.iter_mut().zip(&whiten.lower).enumerate() {
                *width *= row[i];
            }
        }
        Some(widths)
    }

    /// The log-determinant of [`Preprocessing::apply`], in nats: what to add to the flow's log-density.
    pub fn log_det(&self) -> f64 {
        let widths = self.widths().unwrap_or_default();
        // Added up, not multiplied: a product of many may not be a number.
        0.0 - widths.iter().map(|d| d.ln()).sum::<f64>()
    }

    /// What the flow sees of training data, as f32.
    ///
    /// # Errors
    /// [`Error::Data`] names the first number that is too large for f32.
    pub fn training_rows(&self, values: &Matrix<f64>, names: &[String]) -> Result<Matrix<f32>> {
        let rows = self.apply(values).map(|x| x as f32);
        for j in 0..rows.columns() {
            if let Some(row) = rows.column(j).iter().position(|x| !x.is_finite()) {
                return Err(Error::Data(format!(
                    "row {}, {}: {} is too large for 32-bit numbers; rescale the column, or set standardize = true",
                    row + 1,
                    column_place(j, names),
                    values.get(row, j)
                )));
            }
        }
        Ok(rows)
    }

    /// Whether all numbers are there, finite, and positive where they must be, and whitened columns are standardised.
    pub fn is_valid(&self, dims: usize) -> bool {
        let standardize = self.standardize.as_ref().is_none_or(|s| {
            s.mean.len() == dims
                && s.deviation.len() == dims
                && s.mean.iter().all(|m| m.is_finite())
                && s.deviation.iter().all(|d| d.is_finite() && *d > 0.0)
        });
        let whiten = self.whiten.as_ref().is_none_or(|whiten| {
            whiten.lower.len() == dims
                && whiten.lower.iter().enumerate().all(|(i, row)| {
                    row.len() == i + 1 && row.iter().all(|l| l.is_finite()) && row[i] > 0.0
                })
        });
        // Whitening is of standardised columns; `widths`, and so the density, would be those of other numbers.
        let in_order = self.whiten.is_none() || self.standardize.is_some();
        standardize && whiten && in_order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, normal_at};

    fn table() -> Matrix<f64> {
        let z = |row: usize, j| f64::from(normal_at(1, Purpose::TargetRows, row as u64, j));
        Matrix::from_fn(500, 4, |row, j| match j {
            0 => 1e6 * z(row, 0) + 3e6,
            1 => 1e-3 * z(row, 0) + 1e-6 * z(row, 1),
            2 => z(row, 2) - z(row, 1),
            // A copy.
            _ => 2.0 * z(row, 2) - 2.0 * z(row, 1) + 7.0,
        })
    }

    #[test]
    fn whitened_columns_are_uncorrelated_and_lead_back() {
        let table = table();
        let names: Vec<String> = ["a", "b", "c", "d"].map(String::from).to_vec();
        let preprocessing = Preprocessing::fit(&table, &names, true, true).unwrap();
        assert!(preprocessing.is_valid(4) && !preprocessing.is_valid(3));
        let whitened_alone = Preprocessing {
            standardize: None,
            ..preprocessing.clone()
        };
        assert!(!whitened_alone.is_valid(4));
        let z = preprocessing.apply(&table);
        for i in 0..3 {
            for j in 0..3 {
                let product: f64 = z
                    .column(i)
                    .iter()
                    .zip(z.column(j))
                    .map(|(a, b)| a * b)
                    .sum();
                let expected = if i == j { 1.0 } else { 0.0 };
                assert!(
                    (product / 500.0 - expected).abs() < 1e-6,
                    "{i} {j}: {product}"
                );
            }
        }
        // The copy is left with rounding alone.
        assert!(z.column(3).iter().all(|z| z.abs() < 1e-6));
        let back = preprocessing.undo(&z);
        for j in 0..4 {
            let scale = table.column(j).iter().fold(0.0f64, |a, x| a.max(x.abs()));
            for (a, b) in back.column(j).iter().zip(table.column(j)) {
                assert!((a - b).abs() < 1e-12 * scale, "{a} {b}");
            }
        }
    }

    /// Against the determinant by differences: the map is linear.
    #[test]
    fn the_log_determinant_is_that_of_the_map() {
        let table = table();
        let names: Vec<String> = ["a", "b", "c", "d"].map(String::from).to_vec();
        let preprocessing = Preprocessing::fit(&table, &names, true, true).unwrap();
        let at = |values: [f64; 4]| {
            let row = Matrix::from_fn(1, 4, |_, j| values[j]);
            preprocessing.undo(&row).values().to_vec()
        };
        let origin = at([0.0; 4]);
        // z to x is lower triangular as well: its determinant is the product of the diagonal.
        let log_det: f64 = (0..4)
            .map(|j| {
                let mut unit = [0.0; 4];
                unit[j] = 1.0;
                (at(unit)[j] - origin[j]).ln()
            })
            .sum();
        assert!((log_det + preprocessing.log_det()).abs() < 1e-6);
    }
}
