//! Fits the preprocessing to the rows to train on.

use crate::data::{take, take_weights, weighted_mean};
use crate::error::{Error, Message, Remedy, Result, column_label};
use crate::matrix::Matrix;

use super::{
    ContextColumn, ContextPreprocessing, LinearPart, Preprocessing, PreprocessingConfig,
    Regression, Standardize, Tails, Whiten, bulk,
};

impl Preprocessing {
    /// Where the tails begin, in deviations of the bulk: where a spline's bins end, so that it can bend what is not compressed.
    pub(super) const BOUND: f64 = 4.0;
    /// Where they begin instead if more than this fraction of the rows lies beyond that: outside of its bins a spline is the identity,
    /// which knows nothing of the context, and without mixing no other column carries a number inside.
    const NEAR_BOUND: f64 = 1.0;
    const FAR_ROWS: f64 = 0.002;
    /// How often the bulk is sought, each time by the distances from that before; it settles sooner.
    const ROUNDS: usize = 8;
    /// Where the bulk of a column is narrower than this fraction of its deviation, it is a constant with exceptions, and no
    /// measure for them.
    const LEAST_BULK: f64 = 1e-6;
    /// What of a column's deviation the context must leave: less is rounding in 32-bit numbers.
    const LEAST_LEFT: f64 = 1e-7;

    /// Fitted to the rows to train on.
    ///
    /// # Errors
    /// As [`Standardize::of`].
    pub fn fit(values: &Matrix<f64>, names: &[String], steps: PreprocessingConfig) -> Result<Self> {
        Self::fit_weighted(values, &[], names, steps)
    }

    /// As [`Preprocessing::fit`], a weight for each row where they do not all count the same.
    pub(super) fn fit_weighted(
        values: &Matrix<f64>,
        weights: &[f64],
        names: &[String],
        steps: PreprocessingConfig,
    ) -> Result<Self> {
        if !steps.standardize {
            return Ok(Self::default());
        }
        let all = Self::linear(values, weights, names, steps.whiten)?;
        if !steps.robust {
            return Ok(all);
        }
        let mut fitted = Self::of_the_bulk(values, weights, names, &all).unwrap_or(all);
        fitted.tails = Some(Tails { bound: Self::BOUND });
        Ok(fitted)
    }

    /// Standardized and, if it shall be, whitened.
    pub(super) fn linear(
        values: &Matrix<f64>,
        weights: &[f64],
        names: &[String],
        whiten: bool,
    ) -> Result<Self> {
        let standardize = Standardize::of(values, weights, names)?;
        let whiten = whiten.then(|| Whiten::of(&standardize.apply(values), weights));
        Ok(Preprocessing {
            standardize: Some(standardize),
            whiten,
            ..Preprocessing::default()
        })
    }

    /// As [`Preprocessing::fit`], for rows whose last columns are `context`; `names` are those of the others. There is a weight for
    /// each row, or none where all count the same.
    ///
    /// # Errors
    /// As [`Standardize::of`]; [`Error::Data`] for a column that is a linear function of the context.
    pub fn fit_given(
        values: &Matrix<f64>,
        weights: &[f64],
        names: &[String],
        context: Vec<ContextColumn>,
        steps: PreprocessingConfig,
        part: LinearPart,
    ) -> Result<Self> {
        if context.is_empty() {
            let mut fitted = Self::fit_weighted(values, weights, names, steps)?;
            if names.len() == 1 {
                fitted.compress_heavy_tails(values, weights);
            }
            return Ok(fitted);
        }
        let dims = names.len();
        let x = values.select_columns(0..dims);
        let c = values.select_columns(dims..values.columns());
        let mut given = ContextPreprocessing::fit(&c, weights, context, steps)?;
        if !steps.standardize {
            return Ok(Preprocessing {
                context: Some(given),
                ..Self::fit_weighted(&x, weights, names, steps)?
            });
        }
        let c = given.apply(&c);
        let (regression, widening) = Regression::fit(&x, &c, weights, steps.robust, part);
        let residual = regression.residual(&x, &c);
        let mut fitted = Self::fit_weighted(&residual, weights, names, steps)?;
        let of_all = Standardize::of(&x, weights, names)?;
        fitted.check_what_is_left(&of_all, names)?;
        let deviations = fitted
            .standardize
            .iter_mut()
            .flat_map(|it| &mut it.deviation);
        for (deviation, widening) in deviations.zip(widening) {
            *deviation *= widening;
        }
        if part == LinearPart::WhereItPays {
            fitted.compress_heavy_tails(&residual, weights);
        }
        given.regression = Some(regression);
        Ok(Preprocessing {
            context: Some(given),
            ..fitted
        })
    }

    /// Refuses a column of which the context leaves rounding alone.
    fn check_what_is_left(&self, of_all: &Standardize, names: &[String]) -> Result<()> {
        let left = self.standardize.iter().flat_map(|it| &it.deviation);
        let mut columns = left.zip(&of_all.deviation);
        let Some(j) = columns.position(|(left, all)| *left < Self::LEAST_LEFT * all) else {
            return Ok(());
        };
        let text = format!(
            "{} is a linear function of the context, up to rounding: it has no density",
            column_label(j, names)
        );
        Err(Error::Data(Message::new(text).in_column(&names[j]).remedy(
            Remedy::by_hand("leave a column of the context out"),
        )))
    }

    /// Has the compression of outliers begin nearer, where many rows lie far out.
    fn compress_heavy_tails(&mut self, values: &Matrix<f64>, weights: &[f64]) {
        if self.tails.take().is_none() {
            return;
        }
        let seen = self.of_modelled().apply(values);
        let is_far = |row: usize| seen.row(row).any(|z| z.abs() > Self::BOUND);
        let far: Vec<f64> = (0..seen.rows())
            .map(|row| f64::from(u8::from(is_far(row))))
            .collect();
        let bound = match weighted_mean(&far, weights) > Self::FAR_ROWS {
            true => Self::NEAR_BOUND,
            false => Self::BOUND,
        };
        self.tails = Some(Tails { bound });
    }

    /// The same of the rows that are not the farthest out, by the Mahalanobis distance, as in the concentration steps of
    /// Rousseeuw and Van Driessen (1999, "A fast algorithm for the minimum covariance determinant estimator"). None where
    /// there are too few rows to leave any out, or the bulk has no width.
    fn of_the_bulk(
        values: &Matrix<f64>,
        weights: &[f64],
        names: &[String],
        all: &Self,
    ) -> Option<Self> {
        let mut bulk = Vec::new();
        let mut fitted = all.clone();
        for _ in 0..Self::ROUNDS {
            let rows = bulk::nearest(&fitted.apply(values), weights)?;
            if rows == bulk {
                break;
            }
            bulk = rows;
            let weights = take_weights(weights, &bulk);
            fitted =
                Self::linear(&take(values, &bulk), &weights, names, all.whiten.is_some()).ok()?;
            let [of_bulk, of_all] = [&fitted, all].map(|p| p.standardize.as_ref());
            let mut deviations = of_bulk?.deviation.iter().zip(&of_all?.deviation);
            if deviations.any(|(bulk, all)| *bulk < Self::LEAST_BULK * all) {
                return None;
            }
        }
        Some(fitted)
    }
}
