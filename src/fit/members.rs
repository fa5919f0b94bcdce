use std::ops::Range;

use crate::error::{Error, Message, Remedy, Result};
use crate::executor::Executor;
use crate::flow::Density;
use crate::matrix::Matrix;
use crate::mixture::GaussianMixture;
use crate::model::Model;
use crate::numeric::{index_at, log_sum_exp};
use crate::random::{Purpose, normal_at, standard_logistic, uniform, words};

use super::executors::Executors;

/// What computes a model's density, in the space that its flows see: an executor for each flow, and the mixture beside them.
pub(super) struct Members(Vec<Executors>);

/// The block of a row's random words that says which member it is of.
const MEMBER_BLOCK: u32 = 1;

impl Members {
    /// One for each flow of a model.
    pub fn new(of_flows: Vec<Executors>) -> Self {
        Members(of_flows)
    }

    /// What the flows are on, in words.
    pub fn describe(&self, model: &Model) -> String {
        let described = self.0.first().map(|first| {
            let described = first.with(model, 0, |executor| Ok(executor.describe()));
            described.unwrap_or_default()
        });
        described.unwrap_or_else(|| "CPU (f64)".into())
    }

    /// The latent of each row, and the log-determinant.
    ///
    /// # Errors
    /// [`Error::Spec`] for a stack of several densities.
    pub fn forward(&self, model: &Model, seen: &Matrix<f64>) -> Result<(Matrix<f64>, Vec<f64>)> {
        self.by_latent(
            model,
            |executor| executor.forward(seen),
            |mixture| mixture.forward(seen),
        )
    }

    /// The rows that latents come from; context follows the latent of a row.
    ///
    /// # Errors
    /// As [`Members::forward`].
    pub fn inverse(&self, model: &Model, z: &Matrix<f64>) -> Result<Matrix<f64>> {
        self.by_latent(
            model,
            |executor| executor.inverse(z),
            |mixture| mixture.inverse(z),
        )
    }

    fn by_latent<R>(
        &self,
        model: &Model,
        of_flow: impl FnOnce(&mut dyn Executor) -> Result<R>,
        of_mixture: impl FnOnce(&GaussianMixture) -> R,
    ) -> Result<R> {
        match (&self.0[..], &model.mixture) {
            ([flow], None) => flow.with(model, 0, of_flow),
            ([], Some(it)) => Ok(of_mixture(&it.mixture)),
            _ => Err(Error::Spec(
                Message::new(
                    "the model is a stack of several densities, which have no latent in common",
                )
                .remedy(Remedy::new("fit a flow alone", "mixture", false)),
            )),
        }
    }

    /// Calls `work` with an executor of each flow.
    pub fn each<R>(
        &self,
        model: &Model,
        work: impl Fn(usize, &mut dyn Executor) -> Result<R>,
    ) -> Result<Vec<R>> {
        let flows = self.0.iter().enumerate();
        flows
            .map(|(k, flow)| flow.with(model, k, |executor| work(k, executor)))
            .collect()
    }

    /// The log-density of each row.
    pub fn log_prob(&self, model: &Model, seen: &Matrix<f64>) -> Result<Vec<f64>> {
        let mut all = self.each(model, |_, executor| executor.log_prob(seen))?;
        if model.single_flow().is_some() {
            return Ok(all.remove(0));
        }
        if let Some(it) = &model.mixture {
            all.push(it.mixture.log_prob(seen));
        }
        let weights: Vec<f64> = model.member_weights().iter().map(|w| w.ln()).collect();
        let row = |row: usize| {
            let terms = all.iter().zip(&weights);
            log_sum_exp(terms.map(|(log_prob, weight)| weight + log_prob[row]))
        };
        Ok((0..seen.rows()).map(row).collect())
    }

    /// Rows of a sample, each given a row of context as the flows see it: the modelled columns.
    pub fn sample(
        &self,
        model: &Model,
        seed: u64,
        rows: Range<u64>,
        context: &Matrix<f64>,
    ) -> Result<Matrix<f64>> {
        if model.single_flow().is_some() {
            return self.0[0].with(model, 0, |executor| match context.columns() {
                0 => executor.sample(seed, rows),
                _ => executor.sample_given(seed, rows, context),
            });
        }
        let weights = model.member_weights();
        let mut of_member: Vec<Vec<u64>> = vec![Vec::new(); weights.len()];
        for row in rows.clone() {
            let [word, ..] = words(seed, Purpose::Component, row, MEMBER_BLOCK);
            of_member[index_at(weights.iter().copied(), uniform(word))].push(row);
        }
        let mut sample = Matrix::zeros((rows.end - rows.start) as usize, model.spec.dims);
        for (k, chosen) in of_member.iter().enumerate() {
            if chosen.is_empty() {
                continue;
            }
            let of_rows = Matrix::from_fn(chosen.len(), context.columns(), |index, j| {
                context.get((chosen[index] - rows.start) as usize, j)
            });
            let drawn = match (&self.0.get(k), &model.mixture) {
                (Some(flow), _) => {
                    let z = noise(model, k, seed, chosen)?.concat_columns(&of_rows);
                    flow.with(model, k, |executor| executor.inverse(&z))?
                }
                (None, Some(it)) => it.mixture.sample(seed, chosen, &of_rows),
                (None, None) => continue,
            };
            for j in 0..model.spec.dims {
                let column = sample.column_mut(j);
                for (row, x) in chosen.iter().zip(drawn.column(j)) {
                    column[(row - rows.start) as usize] = *x;
                }
            }
        }
        Ok(sample)
    }
}

/// The standard deviation of each row's log-density over flows that count the same.
pub(super) fn spread(of_flows: &[Vec<f64>]) -> Vec<f64> {
    let count = of_flows.len() as f64;
    let row = |row: usize| {
        let of_row = || of_flows.iter().map(|it| it[row]);
        let mean = of_row().sum::<f64>() / count;
        let squares: f64 = of_row().map(|log_prob| (log_prob - mean).powi(2)).sum();
        match mean.is_finite() {
            true => (squares / (count - 1.0)).sqrt(),
            // All are sure that there is nothing.
            false if of_row().all(|log_prob| log_prob == f64::NEG_INFINITY) => 0.0,
            // The density of some flow is 0 there, as far as its numbers go.
            false => f64::INFINITY,
        }
    };
    let rows = of_flows.first().map_or(0, Vec::len);
    (0..rows).map(row).collect()
}

/// The latents of some rows of a sample of a flow, as an executor draws them.
fn noise(model: &Model, flow: usize, seed: u64, rows: &[u64]) -> Result<Matrix<f64>> {
    let mut z = Matrix::zeros(rows.len(), model.spec.dims);
    for j in 0..model.spec.dims {
        let (location, spread) = model.base_at(flow, j)?;
        for (z, &row) in z.column_mut(j).iter_mut().zip(rows) {
            let standard = match model.spec.base.density {
                Density::Normal => normal_at(seed, Purpose::Noise, row, j),
                Density::Logistic => {
                    standard_logistic(words(seed, Purpose::Noise, row, (j / 4) as u32)[j % 4])
                }
            };
            *z = location + spread * f64::from(standard);
        }
    }
    Ok(z)
}
