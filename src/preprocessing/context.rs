use serde::{Deserialize, Serialize};

use crate::data::rounded;
use crate::error::Result;
use crate::matrix::Matrix;

use super::{Preprocessing, PreprocessingConfig, Regression, Standardize, Tails, Whiten};

/// What is done to context before a flow sees it, and what it says about the data by a linear map. It has no part in the
/// log-determinant: the density is one of the modelled columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContextPreprocessing {
    /// The columns, in the order in which they follow the modelled ones.
    pub columns: Vec<ContextColumn>,
    /// (c - mean) / deviation, column by column; none leaves numbers as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standardize: Option<Standardize>,
    /// Linear correlations taken away, as [`Preprocessing::whiten`] does; none leaves them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whiten: Option<Whiten>,
    /// Distances beyond a bound by their logarithm; none leaves them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tails: Option<Tails>,
    /// What is taken away from the data before their own preprocessing; none takes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regression: Option<Regression>,
}

/// A column of context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextColumn {
    /// Its name.
    pub name: String,
}

impl ContextColumn {
    /// A value in words, to four digits.
    pub fn value_to_text(&self, value: f64) -> String {
        let digits = 3 - value.abs().max(f64::MIN_POSITIVE).log10().floor() as i32;
        rounded(value, digits.clamp(-12, 12)).to_string()
    }
}

/// Rows that it takes to estimate the correlations of a column.
const ROWS_TO_A_COLUMN: usize = 10;

impl ContextPreprocessing {
    /// Fitted to the context of the rows to train on.
    ///
    /// # Errors
    /// As [`Standardize::of`].
    pub(super) fn fit(
        context: &Matrix<f64>,
        weights: &[f64],
        columns: Vec<ContextColumn>,
        steps: PreprocessingConfig,
    ) -> Result<Self> {
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let alone = PreprocessingConfig {
            whiten: steps.whiten && context.rows() >= ROWS_TO_A_COLUMN * context.columns(),
            ..steps
        };
        let Preprocessing {
            standardize,
            whiten,
            tails,
            ..
        } = Preprocessing::fit_weighted(context, weights, &names, alone)?;
        Ok(ContextPreprocessing {
            columns,
            standardize,
            whiten,
            tails,
            regression: None,
        })
    }

    /// The number of columns that the flow sees.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// What the flow sees of context.
    pub(super) fn apply(&self, context: &Matrix<f64>) -> Matrix<f64> {
        let context = match &self.standardize {
            None => context.clone(),
            Some(standardize) => standardize.apply(context),
        };
        let context = match &self.whiten {
            None => context,
            Some(whiten) => whiten.apply(context),
        };
        match &self.tails {
            None => context,
            Some(tails) => tails.apply(context),
        }
    }

    /// The context that the flow sees so.
    pub(super) fn undo(&self, seen: &Matrix<f64>) -> Matrix<f64> {
        let context = match &self.tails {
            None => seen.clone(),
            Some(tails) => tails.undo(seen),
        };
        let context = match &self.whiten {
            None => context,
            Some(whiten) => whiten.undo(context),
        };
        match &self.standardize {
            None => context,
            Some(standardize) => standardize.undo(&context),
        }
    }

    pub(super) fn is_valid(&self, dims: usize) -> bool {
        let width = self.width();
        width > 0
            && (self.standardize.is_some()
                || (self.whiten.is_none() && self.tails.is_none() && self.regression.is_none()))
            && self.standardize.as_ref().is_none_or(|s| s.is_valid(width))
            && self.whiten.as_ref().is_none_or(|w| w.is_valid(width))
            && self.tails.as_ref().is_none_or(Tails::is_valid)
            && self
                .regression
                .as_ref()
                .is_none_or(|regression| regression.is_valid(dims, width))
    }
}
