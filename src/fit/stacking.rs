//! What a model of several members is made of: its flows, and a Gaussian mixture beside them or in their place.

use crate::data::{take, take_weights, weighted_mean};
use crate::error::Result;
use crate::executor::Executor;
use crate::matrix::Matrix;
use crate::mixture::{GaussianMixture, Stacked, stack, stacking_weights};
use crate::model::{Model, WeightedMixture};
use crate::numeric::log_sum_exp;

use super::univariate::{cdf_of_flow, kolmogorov_distance};
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
    /// Of one modelled column, how far the probabilities of at most what each row has are from uniform: see
    /// [`super::kolmogorov_distance`].
    pub calibration: Option<f64>,
}

/// What is made of rows that neither the flows nor the mixture were fitted to.
struct OutOfFit {
    rows: Matrix<f64>,
    /// The weight of each row; none where all count the same.
    weights: Vec<f64>,
    flows: Scores,
    mixture: Option<Scores>,
}

/// What densities make of rows.
struct Scores {
    log_prob: Vec<f64>,
    /// The probability of at most each row's number, of one modelled column; empty of more.
    cdf: Vec<f64>,
}

impl Scores {
    fn of_flow(
        model: &Model,
        flow: usize,
        executor: &mut dyn Executor,
        rows: &Matrix<f64>,
    ) -> Result<Self> {
        Ok(Scores {
            log_prob: executor.log_prob(rows)?,
            cdf: match model.spec.dims {
                1 => cdf_of_flow(model, flow, executor, rows)?,
                _ => Vec::new(),
            },
        })
    }

    fn of_mixture(mixture: &GaussianMixture, rows: &Matrix<f64>) -> Self {
        Scores {
            log_prob: mixture.log_prob(rows),
            cdf: match mixture.dims() {
                1 => mixture.cdf(rows.column(0), &rows.select_columns(1..rows.columns())),
                _ => Vec::new(),
            },
        }
    }

    /// Those of the average of densities.
    fn average(all: &[&Scores]) -> Self {
        let count = all.len() as f64;
        let of_row = |row: usize| log_sum_exp(all.iter().map(|it| it.log_prob[row])) - count.ln();
        let sum = |row: usize| all.iter().map(|it| it.cdf[row]).sum::<f64>();
        Scores {
            log_prob: (0..all[0].log_prob.len()).map(of_row).collect(),
            cdf: (0..all[0].cdf.len()).map(|row| sum(row) / count).collect(),
        }
    }

    /// Those of some rows and then others.
    fn concat(all: Vec<Scores>) -> Self {
        let parts = all.iter();
        Scores {
            log_prob: parts.clone().flat_map(|it| &it.log_prob).copied().collect(),
            cdf: parts.flat_map(|it| &it.cdf).copied().collect(),
        }
    }
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
            let cdf = &stacked.out_of_fold_cdf;
            let judged = Judged {
                nll: self.nll(&stacked.out_of_fold),
                rows: self.rows.rows(),
                by_folds: true,
                calibration: calibration(cdf, &self.training_weights()),
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
            flows,
            mixture,
        } = &out_of_fit;
        let part = mixture.as_ref().map_or(0.0, |mixture| {
            part_of_mixture(&flows.log_prob, &mixture.log_prob, weights)
        });
        let log_bound = self.log_bound(rows, self.validation.is_none());
        let log_prob: Vec<f64> = (0..rows.rows())
            .map(|row| {
                let of_flows = (1.0 - part).ln() + flows.log_prob[row];
                let of_mixture = mixture.iter().map(|it| part.ln() + it.log_prob[row]);
                log_bound[row] + log_sum_exp(std::iter::once(of_flows).chain(of_mixture))
            })
            .collect();
        let cdf: Vec<f64> = (0..flows.cdf.len())
            .map(|row| {
                let of_mixture = mixture.as_ref().map_or(0.0, |it| part * it.cdf[row]);
                (1.0 - part) * flows.cdf[row] + of_mixture
            })
            .collect();
        let judged = Judged {
            nll: -weighted_mean(&log_prob, weights),
            rows: rows.rows(),
            by_folds: self.validation.is_none(),
            calibration: calibration(&cdf, weights),
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
            let dims = self.model.spec.dims;
            stack(&rows, dims, &self.training_weights(), &folds, seed)
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
            let flows = members.each(model, |k, executor| {
                Scores::of_flow(model, k, executor, held_out)
            })?;
            let mixture = stacked
                .map(|stacked| Scores::of_mixture(&stacked.mixture.clone().rounded(), held_out));
            return Ok(Some(OutOfFit {
                flows: Scores::average(&flows.iter().collect::<Vec<_>>()),
                mixture,
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
            let held_out = take(&rows, &within[k % folds.count()]);
            Scores::of_flow(model, k, executor, &held_out)
        })?;
        // The average of the flows that held a fold out.
        let of_fold = |fold| {
            let of_fold: Vec<&Scores> = all.iter().skip(fold).step_by(folds.count()).collect();
            Scores::average(&of_fold)
        };
        let flows = Scores::concat((0..folds.count()).map(of_fold).collect());
        let judged = within.concat();
        Ok(Some(OutOfFit {
            rows: take(&rows, &judged),
            weights: take_weights(&self.training_weights(), &judged),
            flows,
            mixture: stacked.map(|it| Scores {
                log_prob: take_weights(&it.out_of_fold, &judged),
                cdf: take_weights(&it.out_of_fold_cdf, &judged),
            }),
        }))
    }
}

/// How far the probabilities of at most what each row has are from uniform, where there are any.
fn calibration(cdf: &[f64], weights: &[f64]) -> Option<f64> {
    (!cdf.is_empty()).then(|| kolmogorov_distance(cdf, weights))
}

/// How much of a mixture there is beside a flow, by what both make of rows that neither was fitted to. A flow that is next to nothing
/// is left out.
fn part_of_mixture(of_flow: &[f64], of_mixture: &[f64], weights: &[f64]) -> f64 {
    match stacking_weights(&[of_flow, of_mixture], weights, ROUNDS)[1] {
        part if part > 1.0 - LEAST_WEIGHT => 1.0,
        part => part.max(LEAST_OF_MIXTURE),
    }
}
