use crate::matrix::Matrix;

use super::{Standardize, Tails, Whiten};

/// What is done to columns of numbers, one step after another: to the modelled columns, and to the context.
#[derive(Clone, Copy)]
pub struct Steps<'a> {
    pub standardize: Option<&'a Standardize>,
    pub whiten: Option<&'a Whiten>,
    pub tails: Option<&'a Tails>,
}

impl Steps<'_> {
    pub fn apply(self, values: &Matrix<f64>) -> Matrix<f64> {
        let mut values = match self.standardize {
            None => values.clone(),
            Some(standardize) => standardize.apply(values),
        };
        if let Some(whiten) = self.whiten {
            values = whiten.apply(values);
        }
        match self.tails {
            None => values,
            Some(tails) => tails.apply(values),
        }
    }

    pub fn undo(self, values: &Matrix<f64>) -> Matrix<f64> {
        let mut values = match self.tails {
            None => values.clone(),
            Some(tails) => tails.undo(values),
        };
        if let Some(whiten) = self.whiten {
            values = whiten.undo(values);
        }
        match self.standardize {
            None => values,
            Some(standardize) => standardize.undo(&values),
        }
    }
}
