//! The invertible map applied to a row before the flow: fitted to the training data and saved with the model. Its
//! log-determinant keeps log-densities in the units of the data.

mod alone;
mod bulk;
mod context;
mod fit;
mod regression;
mod standardize;
mod steps;
mod tails;
mod whiten;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::data::RowNumbers;
use crate::error::{Error, Result, column_label};
use crate::kinds::NumberColumn;
use crate::matrix::Matrix;

pub(crate) use context::check_levels;
pub use context::{ContextColumn, ContextPreprocessing};
pub use regression::{LinearPart, Regression};
pub use standardize::Standardize;
use steps::Steps;
pub use tails::Tails;
pub use whiten::Whiten;

/// Columns are standardized, then whitened, then outliers are compressed; each step is optional. Columns that are not any real number
/// become real first. Where there is context, its linear part is taken away then, and it follows the modelled columns of every row,
/// before and after.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// What each modelled column holds; none where all are real.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<NumberColumn>,
    /// u = (x - mean) / deviation, column by column; none leaves rows as they are.
    pub standardize: Option<Standardize>,
    /// z with L z = u, L lower triangular; none leaves u. L L^T is the correlation matrix of the training data, so that
    /// the columns of z are uncorrelated: the flow begins where a Gaussian fit ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whiten: Option<Whiten>,
    /// Distances beyond a bound by their logarithm; none leaves them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tails: Option<Tails>,
    /// What is done to the context, where there is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextPreprocessing>,
}

/// What of [`Preprocessing`] is fitted: `[data]` of a configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PreprocessingConfig {
    /// Shift and scale each column to mean 0 and standard deviation 1. The model remembers how; log-densities stay in the
    /// units of the data.
    pub standardize: bool,
    /// Then take the linear correlations between the columns away. Has an effect where columns are standardized, as `robust` has.
    pub whiten: bool,
    /// Fit both to the bulk of the rows, without the one in 200 that are farthest out, and compress what lies more than
    /// 4 deviations out: a few far rows, often errors, would otherwise set the scale for all others.
    pub robust: bool,
}

impl Preprocessing {
    /// Whether a whitened column follows from those before it, up to rounding: there is no density then.
    pub fn is_singular(&self) -> bool {
        self.whiten.as_ref().is_some_and(Whiten::is_singular)
    }

    /// What of it was fitted.
    pub fn steps(&self) -> PreprocessingConfig {
        PreprocessingConfig {
            standardize: self.standardize.is_some(),
            whiten: self.whiten.is_some(),
            robust: self.tails.is_some(),
        }
    }

    /// The modelled columns of rows, and the context behind them, if there is any; `seen` says whether they are as the flow sees
    /// them.
    fn split(&self, values: &Matrix<f64>, seen: bool) -> Option<(Matrix<f64>, Matrix<f64>)> {
        let context = self.context.as_ref()?;
        let count = if seen {
            context.width()
        } else {
            context.columns.len()
        };
        let dims = values.columns() - count;
        let behind = values.select_columns(dims..values.columns());
        Some((values.select_columns(0..dims), behind))
    }

    /// Data to what the flow sees: the modelled columns, then the context.
    pub fn apply(&self, values: &Matrix<f64>) -> Matrix<f64> {
        let (Some(context), Some((x, c))) = (&self.context, self.split(values, false)) else {
            return self.of_modelled().apply(&self.to_real(values));
        };
        let c = context.apply(&c);
        let x = self.to_real(&x);
        let x = match &context.regression {
            None => self.of_modelled().apply(&x),
            Some(regression) => self.of_modelled().apply(&regression.residual(&x, &c)),
        };
        x.concat_columns(&c)
    }

    /// What is done to the modelled columns.
    fn of_modelled(&self) -> Steps<'_> {
        Steps {
            standardize: self.standardize.as_ref(),
            whiten: self.whiten.as_ref(),
            tails: self.tails.as_ref(),
        }
    }

    /// Numbers of the columns' intervals as real numbers.
    pub(crate) fn to_real<'v>(&self, values: &'v Matrix<f64>) -> Cow<'v, Matrix<f64>> {
        match self.kinds.is_empty() {
            true => Cow::Borrowed(values),
            false => Cow::Owned(Matrix::from_fn(
                values.rows(),
                values.columns(),
                |row, j| {
                    let x = values.get(row, j);
                    self.kinds.get(j).map_or(x, |it| it.to_real(x))
                },
            )),
        }
    }

    /// What the flow sees back to data: the modelled columns, from rows of these and the context. Columns that are not any real number
    /// are left as the numbers that become theirs ([`Preprocessing::images`]).
    pub fn undo(&self, seen: &Matrix<f64>) -> Matrix<f64> {
        let real = self.undo_to_real(seen);
        match self.kinds.is_empty() {
            true => real,
            false => Matrix::from_fn(real.rows(), real.columns(), |row, j| {
                self.kinds[j].from_real(real.get(row, j))
            }),
        }
    }

    /// Rows whose first columns are the modelled ones, with the numbers of the table that those become.
    pub fn images(&self, mut rows: Matrix<f64>) -> Matrix<f64> {
        for (j, column) in self.kinds.iter().enumerate() {
            rows.column_mut(j)
                .iter_mut()
                .for_each(|v| *v = column.image(*v));
        }
        rows
    }

    /// The same, but for the intervals of the columns.
    fn undo_to_real(&self, seen: &Matrix<f64>) -> Matrix<f64> {
        let (Some(context), Some((x, c))) = (&self.context, self.split(seen, true)) else {
            return self.of_modelled().undo(seen);
        };
        let x = self.of_modelled().undo(&x);
        let Some(regression) = &context.regression else {
            return x;
        };
        let mean = regression.mean(&c);
        Matrix::from_fn(x.rows(), x.columns(), |row, j| {
            x.get(row, j) + mean.get(row, j)
        })
    }

    /// Context to what the flow sees of it.
    pub fn apply_to_context(&self, context: &Matrix<f64>) -> Matrix<f64> {
        match &self.context {
            None => context.clone(),
            Some(given) => given.apply(context),
        }
    }

    /// The context of rows, from what the flow sees of it; without columns where there is none.
    pub fn context_of(&self, seen: &Matrix<f64>) -> Matrix<f64> {
        match (&self.context, self.split(seen, true)) {
            (Some(context), Some((_, c))) => context.undo(&c),
            _ => Matrix::zeros(seen.rows(), 0),
        }
    }

    /// The width in each column on the real line, given those before it, that becomes 1 (in the bulk of the rows, where outliers are compressed);
    /// none where rows stay as they are.
    pub fn widths(&self) -> Option<Vec<f64>> {
        let mut widths = self.standardize.as_ref()?.deviation.clone();
        if let Some(whiten) = &self.whiten {
            for (i, (width, row)) in widths.iter_mut().zip(&whiten.lower).enumerate() {
                *width *= row[i];
            }
        }
        Some(widths)
    }

    /// The log-determinant of [`Preprocessing::apply`] at each row, in nats: what to add to the flow's log-density. From
    /// the rows as the flow sees them.
    pub fn log_det<T: Copy + Default + Into<f64>>(&self, seen: &Matrix<T>) -> Vec<f64> {
        let widths = self.widths().unwrap_or_default();
        // Added up, not multiplied: a product of many may not be a number.
        let linear = 0.0 - widths.iter().map(|d| d.ln()).sum::<f64>();
        let mut log_det = vec![linear; seen.rows()];
        if let Some(tails) = &self.tails {
            // Context has no part in it.
            for j in 0..widths.len() {
                for (sum, &y) in log_det.iter_mut().zip(seen.column(j)) {
                    *sum += tails.log_slope(y.into());
                }
            }
        }
        if !self.kinds.is_empty() {
            let real = self.undo_to_real(&seen.map(Into::into));
            for (j, column) in self.kinds.iter().enumerate() {
                for (sum, &y) in log_det.iter_mut().zip(real.column(j)) {
                    *sum += column.log_slope(y);
                }
            }
        }
        log_det
    }

    /// What to add to [`Preprocessing::log_det`] for a bound on the log-density of the row of the table that a row becomes, from one of
    /// its real numbers alone.
    pub(crate) fn log_bound<T: Copy + Default + Into<f64>>(&self, seen: &Matrix<T>) -> Vec<f64> {
        let mut log_bound = self.log_det(seen);
        if !self.kinds.is_empty() {
            let of_images = self.log_bound_of_images(&seen.map(Into::into));
            for (sum, of_image) in log_bound.iter_mut().zip(of_images) {
                *sum += of_image;
            }
        }
        log_bound
    }

    /// The part of it that comes from numbers becoming others.
    pub(crate) fn log_bound_of_images(&self, seen: &Matrix<f64>) -> Vec<f64> {
        let v = self.undo(seen);
        let mut log_bound = vec![0.0; seen.rows()];
        for (j, column) in self.kinds.iter().enumerate() {
            for (sum, &v) in log_bound.iter_mut().zip(v.column(j)) {
                *sum += column.log_bound(v);
            }
        }
        log_bound
    }

    /// What the flow sees of training data, as f32.
    ///
    /// # Errors
    /// [`Error::Data`] names the first number that is too large for f32.
    pub(crate) fn training_rows(
        &self,
        values: &Matrix<f64>,
        numbers: RowNumbers<'_>,
        names: &[String],
    ) -> Result<Matrix<f32>> {
        let rows = self.apply(values).map(|x| x as f32);
        for j in 0..rows.columns() {
            if let Some(row) = rows.column(j).iter().position(|x| !x.is_finite()) {
                return Err(Error::data(format!(
                    "row {}, {}: {} is too large for 32-bit numbers; rescale the column, or set standardize = true",
                    numbers.of(row),
                    column_label(j, names),
                    values.get(row, j)
                )));
            }
        }
        Ok(rows)
    }

    /// Whether all numbers are there, finite, and positive where they must be, and that what is whitened or
    /// compressed is standardized.
    pub fn is_valid(&self, dims: usize) -> bool {
        // `widths`, and so the density, would be those of other numbers.
        let in_order =
            self.standardize.is_some() || (self.whiten.is_none() && self.tails.is_none());
        in_order
            && (self.kinds.is_empty() || self.kinds.len() == dims)
            && self.kinds.iter().all(NumberColumn::is_valid)
            && self.standardize.as_ref().is_none_or(|s| s.is_valid(dims))
            && self.whiten.as_ref().is_none_or(|w| w.is_valid(dims))
            && self.tails.as_ref().is_none_or(Tails::is_valid)
            && self.context.as_ref().is_none_or(|c| c.is_valid(dims))
    }

    /// The columns of context.
    pub fn context_columns(&self) -> &[ContextColumn] {
        self.context
            .as_ref()
            .map_or(&[], |context| &context.columns)
    }

    /// The columns of context that the flow sees.
    pub fn context_width(&self) -> usize {
        self.context.as_ref().map_or(0, ContextPreprocessing::width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, normal_at};

    const LINEAR: PreprocessingConfig = PreprocessingConfig {
        standardize: true,
        whiten: true,
        robust: false,
    };

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
        let preprocessing = Preprocessing::fit(&table, &names, LINEAR).unwrap();
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
        let preprocessing = Preprocessing::fit(&table, &names, LINEAR).unwrap();
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
        assert!((log_det + preprocessing.log_det(&table)[0]).abs() < 1e-6);
    }

    /// A few rows far out, in a direction that the others have no width in, do not set its scale.
    #[test]
    fn the_bulk_sets_the_scale_and_the_tails_lead_back() {
        let z = |row: usize, j| f64::from(normal_at(2, Purpose::TargetRows, row as u64, j));
        let table = Matrix::from_fn(2000, 2, |row, j| match (row % 400, j) {
            (7, 1) => 50.0 * z(row, 1).signum(),
            (_, 0) => z(row, 0),
            _ => z(row, 0) + 1e-3 * z(row, 1),
        });
        let names: Vec<String> = ["a", "b"].map(String::from).to_vec();
        let robust = PreprocessingConfig {
            robust: true,
            ..LINEAR
        };
        let [all, bulk] =
            [LINEAR, robust].map(|steps| Preprocessing::fit(&table, &names, steps).unwrap());
        assert!(bulk.is_valid(2));
        let [of_all, of_bulk] = [&all, &bulk].map(|p| p.widths().unwrap()[1]);
        assert!(of_all > 1.0, "{of_all}");
        assert!((of_bulk - 1e-3).abs() < 1e-4, "{of_bulk}");

        let seen = bulk.apply(&table);
        let farthest = seen.values().iter().fold(0.0f64, |a, z| a.max(z.abs()));
        assert!((12.0..18.0).contains(&farthest), "{farthest}");
        let back = bulk.undo(&seen);
        for (a, b) in back.values().iter().zip(table.values()) {
            assert!((a - b).abs() < 1e-11 * (1.0 + b.abs()), "{a} {b}");
        }

        // The log-determinant against differences, near and far: x1 moves z1 alone, x0 moves both.
        let log_det = bulk.log_det(&seen);
        for row in [0, 1, 7, 407] {
            let slope = |j: usize| {
                let step = 1e-7 * (1.0 + table.get(row, j).abs());
                let at = |sign: f64| {
                    let moved = Matrix::from_fn(1, 2, |_, k| {
                        table.get(row, k) + if k == j { sign * step } else { 0.0 }
                    });
                    let moved = bulk.apply(&moved);
                    [moved.get(0, 0), moved.get(0, 1)]
                };
                let (above, below) = (at(1.0), at(-1.0));
                [0, 1].map(|i| (above[i] - below[i]) / (2.0 * step))
            };
            let (by_x0, by_x1) = (slope(0), slope(1));
            let determinant = (by_x0[0] * by_x1[1] - by_x0[1] * by_x1[0]).abs();
            assert!((determinant.ln() - log_det[row]).abs() < 1e-4, "row {row}");
        }
    }

    /// A column that is constant but for a few rows has no bulk to measure by; short tables leave nothing out.
    #[test]
    fn a_bulk_without_width_measures_nothing() {
        let names: Vec<String> = ["a", "b"].map(String::from).to_vec();
        let robust = PreprocessingConfig {
            robust: true,
            ..LINEAR
        };
        for rows in [150, 2000] {
            let table = Matrix::from_fn(rows, 2, |row, j| match j {
                0 => f64::from(normal_at(3, Purpose::TargetRows, row as u64, 0)),
                _ => f64::from(u8::from(row % 400 == 7)),
            });
            let [all, bulk] =
                [LINEAR, robust].map(|steps| Preprocessing::fit(&table, &names, steps).unwrap());
            assert_eq!(all.standardize, bulk.standardize);
        }
    }
}
