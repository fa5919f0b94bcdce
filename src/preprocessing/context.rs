use std::f64::consts::TAU;

use serde::{Deserialize, Serialize};

use crate::data::{RowNumbers, rounded};
use crate::error::{Error, Message, Result, quote};
use crate::matrix::Matrix;

use super::{Preprocessing, PreprocessingConfig, Regression, Standardize, Steps, Tails, Whiten};

/// What is done to context before a flow sees it, and what it says about the data by a linear map. It has no part in the
/// log-determinant: the density is one of the modelled columns. Each column of categories becomes a column for each of its levels,
/// which is 1 in the rows of that level and 0 in others; the rest is done to columns of numbers alone.
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ContextColumn {
    /// Its name.
    pub name: String,
    /// Its levels, where it holds categories: its numbers are their indices. Empty where it holds numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<String>,
    /// The period after which it begins anew, of an angle: flows see its cosine and its sine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<f64>,
}

impl ContextColumn {
    /// A value in words: a number to four digits, or the name of a level.
    pub fn value_to_text(&self, value: f64) -> String {
        if let Some(level) = self.levels.get(value as usize) {
            return level.clone();
        }
        let digits = 3 - value.abs().max(f64::MIN_POSITIVE).log10().floor() as i32;
        rounded(value, digits.clamp(-12, 12)).to_string()
    }

    /// Whether a number may stand in it.
    pub fn can_be(&self, value: f64) -> bool {
        match self.levels.len() {
            0 => value.is_finite(),
            count => value.fract() == 0.0 && (0.0..count as f64).contains(&value),
        }
    }

    /// The columns that the flow sees of it.
    fn width(&self) -> usize {
        match self.period {
            Some(_) => 2,
            None => self.levels.len().max(1),
        }
    }

    fn is_number(&self) -> bool {
        self.levels.is_empty() && self.period.is_none()
    }
}

/// Refuses rows that have what is no index of a level in a column of categories; their columns from `first` on are the context's.
///
/// # Errors
/// [`Error::Data`] names the row, the column and the number.
pub(crate) fn check_levels(
    columns: &[ContextColumn],
    rows: &Matrix<f64>,
    numbers: RowNumbers<'_>,
    first: usize,
) -> Result<()> {
    for (j, column) in (first..).zip(columns) {
        let values = rows.column(j);
        if let Some(row) = values.iter().position(|x| !column.can_be(*x)) {
            let text = format!(
                "row {}, {}: {} is no index of its {} levels",
                numbers.of(row),
                quote(&column.name),
                values[row],
                column.levels.len()
            );
            return Err(Error::Data(Message::new(text).in_column(&column.name)));
        }
    }
    Ok(())
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
        let numbers = columns.iter().filter(|column| column.is_number());
        let names: Vec<String> = numbers.map(|column| column.name.clone()).collect();
        let mut fitted = ContextPreprocessing {
            columns,
            standardize: None,
            whiten: None,
            tails: None,
            regression: None,
        };
        let context = fitted.numbers(context);
        if names.is_empty() {
            return Ok(fitted);
        }
        let alone = PreprocessingConfig {
            whiten: steps.whiten && context.rows() >= ROWS_TO_A_COLUMN * context.columns(),
            ..steps
        };
        let of_numbers = Preprocessing::fit_weighted(&context, weights, &names, alone)?;
        fitted.standardize = of_numbers.standardize;
        fitted.whiten = of_numbers.whiten;
        fitted.tails = of_numbers.tails;
        Ok(fitted)
    }

    /// The number of columns that the flow sees.
    pub fn width(&self) -> usize {
        self.columns.iter().map(ContextColumn::width).sum()
    }

    /// The indices of the columns of numbers.
    fn number_indices(&self) -> impl Iterator<Item = usize> {
        let columns = self.columns.iter().enumerate();
        columns.filter(|(_, it)| it.is_number()).map(|(j, _)| j)
    }

    /// The columns of numbers alone.
    fn numbers(&self, context: &Matrix<f64>) -> Matrix<f64> {
        let values = self.number_indices().flat_map(|j| context.column(j));
        let values = values.copied().collect();
        Matrix::from_values(context.rows(), self.number_indices().count(), values)
    }

    /// What is done to them.
    fn of_numbers(&self) -> Steps<'_> {
        Steps {
            standardize: self.standardize.as_ref(),
            whiten: self.whiten.as_ref(),
            tails: self.tails.as_ref(),
        }
    }

    /// What the flow sees of context.
    pub(super) fn apply(&self, context: &Matrix<f64>) -> Matrix<f64> {
        let numbers = self.of_numbers().apply(&self.numbers(context));
        let mut seen = Matrix::zeros(context.rows(), self.width());
        let (mut to, mut number) = (0, 0);
        for (j, column) in self.columns.iter().enumerate() {
            if column.is_number() {
                seen.column_mut(to).copy_from_slice(numbers.column(number));
                number += 1;
            } else if let Some(period) = column.period {
                for (row, &x) in context.column(j).iter().enumerate() {
                    let (sine, cosine) = (TAU * x / period).sin_cos();
                    seen.column_mut(to)[row] = cosine;
                    seen.column_mut(to + 1)[row] = sine;
                }
            } else {
                for (row, &level) in context.column(j).iter().enumerate() {
                    seen.column_mut(to + level as usize)[row] = 1.0;
                }
            }
            to += column.width();
        }
        seen
    }

    /// The context that the flow sees so.
    pub(super) fn undo(&self, seen: &Matrix<f64>) -> Matrix<f64> {
        let rows = seen.rows();
        let mut context = Matrix::zeros(rows, self.columns.len());
        let mut numbers = Vec::new();
        let mut from = 0;
        for (j, column) in self.columns.iter().enumerate() {
            if column.is_number() {
                numbers.extend_from_slice(seen.column(from));
            } else if let Some(period) = column.period {
                for row in 0..rows {
                    let (cosine, sine) = (seen.get(row, from), seen.get(row, from + 1));
                    let turns = sine.atan2(cosine) / TAU;
                    context.column_mut(j)[row] = turns.rem_euclid(1.0) * period;
                }
            } else {
                for level in 0..column.levels.len() {
                    let is_it = seen.column(from + level).iter();
                    for (value, _) in context
                        .column_mut(j)
                        .iter_mut()
                        .zip(is_it)
                        .filter(|(_, is)| **is > 0.5)
                    {
                        *value = level as f64;
                    }
                }
            }
            from += column.width();
        }
        let numbers = Matrix::from_values(rows, self.number_indices().count(), numbers);
        let numbers = self.of_numbers().undo(&numbers);
        for (number, j) in self.number_indices().enumerate() {
            context
                .column_mut(j)
                .copy_from_slice(numbers.column(number));
        }
        context
    }

    pub(super) fn is_valid(&self, dims: usize) -> bool {
        let width = self.number_indices().count();
        let is_period = |column: &ContextColumn| {
            let period = column.period.unwrap_or(1.0);
            period > 0.0
                && period.is_finite()
                && (column.period.is_none() || column.levels.is_empty())
        };
        !self.columns.is_empty()
            && self.columns.iter().all(is_period)
            && (self.standardize.is_some()
                || width == 0
                || (self.whiten.is_none() && self.tails.is_none() && self.regression.is_none()))
            && self.standardize.as_ref().is_none_or(|s| s.is_valid(width))
            && self.whiten.as_ref().is_none_or(|w| w.is_valid(width))
            && self.tails.as_ref().is_none_or(Tails::is_valid)
            && self
                .regression
                .as_ref()
                .is_none_or(|regression| regression.is_valid(dims, self.width()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, normal_at};

    /// Numbers and categories, in any order: what the flow sees leads back, and a level that no row has does no harm.
    #[test]
    fn context_leads_back() {
        let rows = 400;
        let column = |name: &str, levels: &[&str]| ContextColumn {
            name: name.into(),
            levels: levels.iter().map(|level| level.to_string()).collect(),
            period: (name == "angle").then_some(360.0),
        };
        let columns = vec![
            column("kind", &["a", "b", "c", "never"]),
            column("x", &[]),
            column("is", &["no", "yes"]),
            column("z", &[]),
            column("angle", &[]),
        ];
        let context = Matrix::from_fn(rows, 5, |row, j| {
            let z = |j| f64::from(normal_at(3, Purpose::TargetRows, row as u64, j));
            match j {
                0 => (row % 3) as f64,
                1 => 100.0 + z(0),
                2 => (row % 2) as f64,
                4 => (row * 7 % 360) as f64,
                _ => 1e-3 * (z(0) + 0.1 * z(1)),
            }
        });
        let steps = PreprocessingConfig {
            standardize: true,
            whiten: true,
            robust: true,
        };
        let fitted = ContextPreprocessing::fit(&context, &[], columns, steps).unwrap();
        assert_eq!(fitted.width(), 10);
        assert!(fitted.is_valid(1) && fitted.whiten.is_some());
        let seen = fitted.apply(&context);
        assert_eq!(
            seen.row(4).take(4).collect::<Vec<_>>(),
            [0.0, 1.0, 0.0, 0.0]
        );
        assert!(seen.column(3).iter().all(|x| *x == 0.0));
        assert!(seen.column(4).iter().all(|x| x.abs() < 10.0));
        let back = fitted.undo(&seen);
        for (a, b) in back.values().iter().zip(context.values()) {
            assert!((a - b).abs() < 1e-9 * b.abs().max(1.0), "{a} {b}");
        }
    }
}
