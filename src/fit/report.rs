use std::time::Duration;

use crate::config::Config;
use crate::error::{Message, Result};
use crate::executor::Executor;
use crate::matrix::Matrix;
use crate::train::{KlEstimate, LossCurve, Metrics};

use super::univariate::{cdf_of_flow, kolmogorov_distance};
use super::{Baselines, Event, EventHandler, Outcome, Prepared, QualityWarning};

/// How a fit went and how good the model is, in nats and in the units of the table. [`Report::verdict`] and
/// [`Report::advice`] say it in words.
#[derive(Clone, Debug)]
pub struct Report {
    /// All settings, defaults included.
    pub config: Config,
    /// The device, in words.
    pub device: String,
    /// Modelled columns.
    pub columns: usize,
    /// Columns of context.
    pub context: usize,
    /// Rows trained on.
    pub rows: usize,
    /// How many rows the table is worth, copies of rows and their weights considered.
    pub effective_rows: usize,
    /// How many rows of equal weight tell as much as the table's ([`crate::data::effective_sample_size`]), where rows have weights.
    pub effective_sample_size: Option<f64>,
    /// What in the table speaks against fitting a density to it.
    pub warnings: Vec<QualityWarning>,
    /// Steps taken.
    pub steps: usize,
    /// The step whose parameters were kept: the best on held-out rows where there are any. Of several flows, the sum, as the steps
    /// are.
    pub best_step: usize,
    /// Whether [`StopSignal::request`](super::StopSignal::request) ended it.
    pub stopped: bool,
    /// Whether the validation loss stopped improving.
    pub out_of_patience: bool,
    /// Mean of -log_prob over the rows trained on, or over [`Report::nll_rows`] of them.
    pub nll: f64,
    /// Its standard error, where it is the mean over a sample of the rows.
    pub nll_error: Option<f64>,
    /// Rows that it is the mean over.
    pub nll_rows: usize,
    /// The rows held out, if any.
    pub validation: Option<ValidationReport>,
    /// What simpler models make of the held-out rows.
    pub baselines: Option<Baselines>,
    /// How calibrated the densities of one column are on held-out rows, given their context: the Kolmogorov distance of the
    /// probabilities below the true numbers (probability integral transforms) from uniform.
    pub calibration: Option<f64>,
    /// What the model is made of, where it is not one flow.
    pub members: Option<String>,
    /// How far the model is from the density that the rows were drawn from, where that is known.
    pub ground_truth: Option<GroundTruthReport>,
    /// The losses of all steps.
    pub loss_curve: LossCurve,
    /// The time that training took.
    pub took: Duration,
    /// The part of it spent in steps; none where no step was taken, or two executors were compared.
    pub in_steps: Option<Duration>,
    pub(super) is_comparison: bool,
}

/// The model on held-out rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ValidationReport {
    /// Mean of -log_prob with the parameters kept.
    pub nll: f64,
    /// The same with the parameters of the last step.
    pub last_nll: f64,
    /// How many rows were held out, or judged.
    pub rows: usize,
    /// Whether each row was judged by what was fitted to the other folds, and none was held out.
    pub by_folds: bool,
}

/// The model against the density that its rows were drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroundTruthReport {
    /// The entropy of that density: no model can do better.
    pub entropy: f64,
    /// Its divergence from the model, on rows that training never saw.
    pub kl: KlEstimate,
    /// Errors of the moments of samples, where the true ones are known.
    pub metrics: Metrics,
}

impl Report {
    pub(super) fn of_training(
        prepared: &Prepared,
        executor: &mut dyn Executor,
        outcome: &Outcome,
        on_event: &mut EventHandler<'_>,
    ) -> Result<Self> {
        let held_out = prepared.validation.as_ref().map_or(0, Matrix::rows);
        let of_flow = outcome.validation.filter(|(best, _)| best.is_finite());
        let validation = match (outcome.judged, of_flow) {
            (Some(judged), of_flow) => Some(ValidationReport {
                nll: judged.nll,
                last_nll: of_flow.map_or(judged.nll, |(_, last)| last),
                rows: judged.rows,
                by_folds: judged.by_folds,
            }),
            (None, of_flow) => of_flow.map(|(nll, last_nll)| ValidationReport {
                nll,
                last_nll,
                rows: held_out,
                by_folds: false,
            }),
        };
        // A flow can memorize the rows trained on: only held-out rows compare it with others.
        let is_judged = prepared.ground_truth.is_none() && validation.is_some();
        let calibration = match (&prepared.validation, outcome.judged) {
            (_, Some(judged)) => judged.calibration,
            (Some(rows), None) if is_judged && prepared.model.spec.dims == 1 => {
                let probabilities = cdf_of_flow(&prepared.model, 0, executor, rows)?;
                let weights = &prepared.validation_weights;
                Some(kolmogorov_distance(&probabilities, weights))
            }
            _ => None,
        };
        let by_folds = validation.is_some_and(|validation| validation.by_folds);
        Ok(Report {
            calibration,
            best_step: outcome.best_step,
            stopped: outcome.stopped,
            out_of_patience: outcome.out_of_patience,
            validation,
            members: prepared.model.members_to_text(),
            baselines: is_judged.then(|| match by_folds {
                true => prepared.baselines_by_folds(),
                false => prepared.baselines(),
            }),
            loss_curve: outcome.loss_curve.clone(),
            in_steps: (outcome.steps > 0).then_some(outcome.in_steps),
            is_comparison: false,
            ..Self::of_comparison(prepared, executor, outcome.steps, outcome.took, on_event)?
        })
    }

    pub(super) fn of_comparison(
        prepared: &Prepared,
        executor: &mut dyn Executor,
        steps: usize,
        took: Duration,
        on_event: &mut EventHandler<'_>,
    ) -> Result<Self> {
        let some = prepared.some_rows();
        let log_prob = executor.log_prob(&some.rows)?;
        let (nll, nll_error) = prepared.nll_of(&some, &log_prob);
        let mut overflows = vec![overflow(&log_prob, &some.numbers)];
        if let Some(rows) = &prepared.validation {
            overflows.push(overflow(
                &executor.log_prob(rows)?,
                &prepared.split.held_out,
            ));
        }
        for warning in overflows.iter().flatten() {
            on_event(&Event::Warning(warning))?;
        }
        let preprocessing = &prepared.model.preprocessing;
        let ground_truth = match &prepared.ground_truth {
            None => None,
            Some(truth) => Some(GroundTruthReport {
                metrics: truth.measure(executor, preprocessing)?,
                entropy: truth.entropy(),
                kl: truth.kl(executor, preprocessing)?,
            }),
        };
        Ok(Report {
            config: prepared.config.clone(),
            device: executor.describe(),
            columns: prepared.model.spec.dims,
            context: prepared.model.preprocessing.context_columns().len(),
            rows: prepared.row_count(),
            effective_rows: prepared.effective_rows,
            effective_sample_size: prepared.effective_sample_size(),
            warnings: prepared.warnings.clone(),
            steps,
            best_step: steps,
            stopped: false,
            out_of_patience: false,
            nll,
            nll_error,
            nll_rows: log_prob.len(),
            validation: None,
            baselines: None,
            calibration: None,
            members: None,
            ground_truth,
            loss_curve: LossCurve::default(),
            took,
            in_steps: None,
            is_comparison: true,
        })
    }

    /// The mean of -log_prob over the rows held out, if there are any.
    pub fn validation_nll(&self) -> Option<f64> {
        self.validation.map(|validation| validation.nll)
    }

    /// The time that a step took, if any was taken.
    pub fn per_step(&self) -> Option<Duration> {
        self.in_steps.map(|all| all / self.steps as u32)
    }

    /// What simpler models make of the held-out rows: what they are, their key, and the mean of -log_prob.
    pub fn baseline_scores(&self) -> Vec<(&'static str, &'static str, f64)> {
        let all = self
            .baselines
            .iter()
            .flat_map(|baselines| match (self.context, self.columns) {
                (0, 1) => vec![
                    ("a Gaussian", "gaussian", baselines.gaussian),
                    (
                        "a kernel density estimate",
                        "independent",
                        baselines.independent,
                    ),
                ],
                (0, _) => vec![
                    ("a Gaussian", "gaussian", baselines.gaussian),
                    ("single columns", "independent", baselines.independent),
                ],
                _ => vec![
                    ("a linear regression", "regression", baselines.regression),
                    (
                        "a density without the context",
                        "marginal",
                        baselines.marginal(),
                    ),
                ],
            });
        all.filter_map(|(words, key, nll)| Some((words, key, nll?)))
            .collect()
    }

    /// Nats a held-out row that the model is better by for knowing the context: it is compared with the best baseline that does
    /// not. None without context or held-out rows.
    pub fn worth_of_context(&self) -> Option<f64> {
        let marginal = self.baselines.filter(|_| self.context > 0)?.marginal()?;
        Some(marginal - self.validation_nll()?)
    }
}

/// What to say of rows whose log-density is not finite, if there are any; `rows` are their numbers in the table.
fn overflow(log_prob: &[f64], rows: &[u32]) -> Option<Message> {
    let is_overflow = |p: &f64| !p.is_finite();
    let first = log_prob.iter().position(is_overflow)?;
    let what = match log_prob.iter().filter(|p| is_overflow(p)).count() {
        1 => "1 row".into(),
        count => format!("{count} rows"),
    };
    let row = rows[first] + 1;
    let text = format!(
        "the log-density of {what} overflows 32-bit numbers, the first of them row {row}; set standardize or scale_bound, \
         or look at the row"
    );
    Some(Message::new(text).at_row(row.into()))
}
