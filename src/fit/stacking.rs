//! What a model of several members is made of: its flows, and a Gaussian mixture beside them or in their place.

use crate::data::{take, take_weights, weighted_mean};
use crate::error::Result;
use crate::executor::Executor;
use crate::matrix::Matrix;
use crate::mixture::{Stacked, stack, stacking_weights};
use crate::model::WeightedMixture;
use crate::numeric::log_sum_exp;

use super::{Device, Flow, Prepared};

/// Folds of rows, each of which is judged by what was fitted to the others.
pub(super) const FOLDS: usize = 5;

/// Rounds of EM for the weights of flows and mixture.
const ROUNDS: usize = 1000;

/// Flows of less weight beside a mixture are dropped.
const LEAST_WEIGHT: f64 = 0.02;

/// The least weight of a mixture beside flows: where these are wrong, the density of a row is no less than this part of the
/// mixture's. It costs the other rows as much in nats.
const LEAST_OF_MIXTURE: f64 = 0.005;

/// The model on rows that it was not fitted to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// The mean of -log_prob, in nats and in the units of the table.
    pub nll: f64,
    /// How many rows there were.
    pub rows: usize,
    /// Whether each row was judged by what was fitted to the other folds, and none was held out from all.
    pub by_folds: bool,
}

/// The log-densities of rows that neither the flows nor the mixture were fitted to.
struct OutOfFit {
    rows: Matrix<f64>,
    /// The weight of each row; none where all count the same.
    weights: Vec<f64>,
    of_flows: Vec<f64>,
    /// None where there is no mixture.
    of_mixture: Vec<f64>,
}

impl Prepared {
    /// Whether the model is a mixture alone.
    pub fn is_mixture_alone(&self) -> bool {
        self.config.model.mixture && self.config.train.steps == 0
    }

    /// Puts a mixture beside the trained flows, where there is one: as much of it as rows that neither was fitted to ask for. Where
    /// there is no flow the mixture is all there is. Returns what the model makes of such rows; none where there are none, or where the
    /// model is one flow.
    ///
    /// # Errors
    /// Those of the device, where the flows are scored.
    pub(super) fn stack(
        &mut self,
        device: &Device,
        mut stacked: Option<Stacked>,
    ) -> Result<Option<Judged>> {
        if stacked.is_none() && self.config.train.ensemble == 1 {
            return Ok(None);
        }
        if let Some(stacked) = stacked.take_if(|_| self.model.flows.is_empty()) {
            let judged = Judged {
                nll: self.nll(&stacked.out_of_fold),
                rows: self.rows.rows(),
                by_folds: true,
            };
            self.model.mixture = Some(WeightedMixture {
                weight: 1.0,
                mixture: stacked.mixture.rounded(),
            });
            return Ok(Some(judged));
        }
        let flow = Flow::on(self.model.clone(), device)?;
        let Some(out_of_fit) = self.out_of_fit(&flow, stacked.as_ref())? else {
            return Ok(None);
        };
        let OutOfFit {
            rows,
            weights,
            of_flows,
            of_mixture,
        } = &out_of_fit;
        let part = match of_mixture.is_empty() {
            true => 0.0,
            false => part_of_mixture(of_flows, of_mixture, weights),
        };
        let log_det = self.model.preprocessing.log_det(rows);
        let log_prob: Vec<f64> = (0..rows.rows())
            .map(|row| {
                let of_flows = (1.0 - part).ln() + of_flows[row];
                let of_mixture = of_mixture.get(row).map(|it| part.ln() + it);
                log_det[row] + log_sum_exp(std::iter::once(of_flows).chain(of_mixture))
            })
            .collect();
        let judged = Judged {
            nll: -weighted_mean(&log_prob, weights),
            rows: rows.rows(),
            by_folds: self.validation.is_none(),
        };
        match part {
            1.0 => self.model.flows = Vec::new(),
            _ => {
                for flow in &mut self.model.flows {
                    flow.weight *= 1.0 - part;
                }
            }
        }
        self.model.mixture = stacked
            .filter(|_| part > 0.0)
            .map(|stacked| WeightedMixture {
                weight: part,
                mixture: stacked.mixture.rounded(),
            });
        Ok(Some(judged))
    }

    /// The mixture, where one was asked for.
    pub(super) fn stacked(&self) -> Option<Stacked> {
        self.config.model.mixture.then(|| {
            let rows = self.rows.map(f64::from);
            let (folds, seed) = (self.mixture_folds(), self.config.train.seed);
            stack(&rows, &self.training_weights(), &folds, seed)
        })
    }

    /// Whether the first flow of an ensemble, which an executor runs, adds nothing to the mixture on the rows that it held out.
    ///
    /// # Errors
    /// Those of the executor.
    pub(super) fn is_superfluous(
        &self,
        executor: &mut dyn Executor,
        stacked: &Stacked,
    ) -> Result<bool> {
        let Some(folds) = self.folds() else {
            return Ok(false);
        };
        let (_, within) = folds.split(0);
        let of_flow = executor.log_prob(&take(&self.rows, &within).map(f64::from))?;
        let of_mixture = take_weights(&stacked.out_of_fold, &within);
        let weights = take_weights(&self.training_weights(), &within);
        Ok(part_of_mixture(&of_flow, &of_mixture, &weights) == 1.0)
    }

    /// Scores the rows held out, or each fold by the flow that held it out; none where every row was trained on.
    fn out_of_fit(&self, flow: &Flow, stacked: Option<&Stacked>) -> Result<Option<OutOfFit>> {
        let (model, members) = (flow.model(), flow.members());
        if let Some(held_out) = &self.validation {
            let mixture = stacked.map(|stacked| stacked.mixture.clone().rounded());
            return Ok(Some(OutOfFit {
                of_flows: members
                    .each(model, |_, executor| executor.log_prob(held_out))?
                    .concat(),
                of_mixture: mixture.map_or(Vec::new(), |mixture| mixture.log_prob(held_out)),
                rows: held_out.clone(),
                weights: self.validation_weights.clone(),
            }));
        }
        let Some(folds) = self.folds() else {
            return Ok(None);
        };
        let rows = self.rows.map(f64::from);
        let within: Vec<Vec<u32>> = (0..folds.count()).map(|fold| folds.split(fold).1).collect();
        let all = members.each(model, |k, executor| {
            executor.log_prob(&take(&rows, &within[k % folds.count()]))
        })?;
        // The average of the flows that held a fold out.
        let of_flows = within.iter().enumerate().flat_map(|(fold, within)| {
            let of_fold: Vec<&Vec<f64>> = all.iter().skip(fold).step_by(folds.count()).collect();
            let count = (of_fold.len() as f64).ln();
            let row = move |row: usize| log_sum_exp(of_fold.iter().map(|it| it[row])) - count;
            (0..within.len()).map(row)
        });
        let of_flows: Vec<f64> = of_flows.collect();
        let judged = within.concat();
        let of_mixture = stacked.map(|it| take_weights(&it.out_of_fold, &judged));
        Ok(Some(OutOfFit {
            rows: take(&rows, &judged),
            weights: take_weights(&self.training_weights(), &judged),
            of_flows,
            of_mixture: of_mixture.unwrap_or_default(),
        }))
    }
}

/// How much of a mixture there is beside a flow, by what both make of rows that neither was fitted to. A flow that is next to nothing
/// is left out.
fn part_of_mixture(of_flow: &[f64], of_mixture: &[f64], weights: &[f64]) -> f64 {
    match stacking_weights(&[of_flow, of_mixture], weights, ROUNDS)[1] {
        part if part > 1.0 - LEAST_WEIGHT => 1.0,
        part => part.max(LEAST_OF_MIXTURE),
    }
}
