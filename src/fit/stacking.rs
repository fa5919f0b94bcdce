//! A Gaussian mixture beside the flow of a fit, or in its place.

use crate::data::{Repeats, weighted_mean};
use crate::error::Result;
use crate::executor::Executor;
use crate::mixture::{Folds, Stacked, stack, stacking_weights};
use crate::model::{WeightedFlow, WeightedMixture};
use crate::numeric::log_sum_exp;

use super::Prepared;

/// Folds of rows, each of which is judged by what was fitted to the others.
pub(super) const FOLDS: usize = 5;

/// A member of less weight is dropped.
const LEAST_WEIGHT: f64 = 0.02;

/// The model on rows that it was not fitted to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// The mean of -log_prob, in nats and in the units of the table.
    pub nll: f64,
    /// Whether each row was judged by what was fitted to the other folds, and none was held out.
    pub by_folds: bool,
}

impl Prepared {
    /// Whether the model is a mixture alone.
    pub fn is_mixture_alone(&self) -> bool {
        self.config.model.mixture && self.config.train.steps == 0
    }

    /// The folds of the rows that a mixture alone is judged by.
    pub(super) fn folds(&self) -> Folds {
        let rows = self.rows.map(f64::from);
        Folds::new(&Repeats::of(&rows), FOLDS, self.config.train.seed)
    }

    /// Puts a mixture beside the trained flow, which `executor` runs: as much of it as rows that neither was fitted to ask for. Where no
    /// flow is trained the mixture is all there is. Returns what the model makes of such rows.
    ///
    /// # Errors
    /// Those of the executor.
    pub(super) fn stack(&mut self, executor: &mut dyn Executor) -> Result<Judged> {
        let rows = self.rows.map(f64::from);
        let weights = self.training_weights();
        let folds = self.folds();
        let Stacked {
            mixture,
            out_of_fold,
            ..
        } = stack(&rows, &weights, &folds, self.config.train.seed);
        let mixture = mixture.rounded();
        let held_out = match &self.validation {
            Some(held_out) if !self.is_mixture_alone() => held_out,
            _ => {
                self.model.flows = Vec::new();
                self.model.mixture = Some(WeightedMixture {
                    weight: 1.0,
                    mixture,
                });
                return Ok(Judged {
                    nll: self.nll(&out_of_fold),
                    by_folds: true,
                });
            }
        };
        let of_flow = executor.log_prob(held_out)?;
        let of_mixture = mixture.log_prob(held_out);
        let both = [&of_flow[..], &of_mixture[..]];
        let of_rows = &self.validation_weights;
        let (flow, beside) = match &stacking_weights(&both, of_rows)[..] {
            [_, beside] if *beside < LEAST_WEIGHT => (1.0, 0.0),
            [flow, _] if *flow < LEAST_WEIGHT => (0.0, 1.0),
            [flow, beside] => (*flow, *beside),
            _ => unreachable!("two densities have two weights"),
        };
        let row = |row: usize| {
            let terms = [flow.ln() + of_flow[row], beside.ln() + of_mixture[row]];
            log_sum_exp(terms.into_iter())
        };
        let log_prob: Vec<f64> = (0..held_out.rows()).map(row).collect();
        let nll = self.offsets.validation() - weighted_mean(&log_prob, of_rows);
        let parameters = self.parameters().to_vec();
        self.model.flows = match flow > 0.0 {
            true => vec![WeightedFlow {
                weight: flow,
                parameters,
            }],
            false => Vec::new(),
        };
        self.model.mixture = (beside > 0.0).then_some(WeightedMixture {
            weight: beside,
            mixture,
        });
        Ok(Judged {
            nll,
            by_folds: false,
        })
    }
}
