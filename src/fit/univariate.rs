//! What a flow over one column has in closed form: its maps are increasing, so the latent of a number has the number's rank.

use crate::error::{Error, Result};
use crate::executor::Executor;
use crate::matrix::Matrix;
use crate::model::Model;

use super::Flow;

impl Flow {
    /// The probability that the modelled column is at most what each row has, given the row's context: of a flow over one column.
    /// Rows are those of [`Flow::log_prob`].
    ///
    /// # Errors
    /// As [`Flow::log_prob`]; [`Error::Spec`] for a flow over more columns.
    pub fn cdf(&self, rows: &Matrix<f64>) -> Result<Vec<f64>> {
        check_univariate(self.model())?;
        let (z, _) = self.forward(rows)?;
        cdf_of_latents(self.model(), z.column(0))
    }

    /// The numbers that the modelled column is below with these probabilities, given each row of `context`: a row of quantiles a
    /// row, of a flow over one column. Without context, one row of none: `Matrix::zeros(1, 0)`.
    ///
    /// # Errors
    /// As [`Flow::log_prob_given`]; [`Error::Spec`] for a flow over more columns, or a probability that is not above 0 and below 1.
    pub fn quantiles(&self, context: &Matrix<f64>, probabilities: &[f64]) -> Result<Matrix<f64>> {
        check_univariate(self.model())?;
        let (location, spread) = self.model().base_at(0)?;
        let mut quantiles = Matrix::zeros(context.rows(), probabilities.len());
        for (j, &probability) in probabilities.iter().enumerate() {
            if !(probability > 0.0 && probability < 1.0) {
                return Err(Error::spec(format!(
                    "a quantile of probability {probability}: it must be above 0 and below 1"
                )));
            }
            let z = location + spread * self.spec().base.density.quantile(probability);
            let z = Matrix::from_fn(context.rows(), 1, |_, _| z);
            let x = self.inverse_given(&z, context)?;
            quantiles.column_mut(j).copy_from_slice(x.column(0));
        }
        Ok(quantiles)
    }

    /// The mean of the modelled column given each row of `context`, of a flow over one column. It is integrated over the latent,
    /// over the middle 1 - 2e-6 of the mass: where a flow stretches the tails of a logistic base, the whole mean may not exist.
    ///
    /// # Errors
    /// As [`Flow::quantiles`].
    pub fn mean(&self, context: &Matrix<f64>) -> Result<Vec<f64>> {
        /// The trapezoid rule converges exponentially for what falls off at both ends (Trefethen and Weideman 2014).
        const NODES: usize = 64;
        check_univariate(self.model())?;
        let (location, spread) = self.model().base_at(0)?;
        let density = self.spec().base.density;
        let end = -density.quantile(1e-6);
        let nodes = (0..NODES).map(|k| end * (2.0 * k as f64 / (NODES - 1) as f64 - 1.0));
        let (mut mean, mut mass) = (vec![0.0; context.rows()], 0.0);
        for node in nodes {
            let weight = density.pdf(node);
            let z = Matrix::from_fn(context.rows(), 1, |_, _| location + spread * node);
            let x = self.inverse_given(&z, context)?;
            for (sum, x) in mean.iter_mut().zip(x.column(0)) {
                *sum += weight * x;
            }
            mass += weight;
        }
        mean.iter_mut().for_each(|sum| *sum /= mass);
        Ok(mean)
    }
}

/// How far probabilities, which are uniform where every conditional density is true, are from uniform: the Kolmogorov distance,
/// the largest difference between their distribution function and that of the uniform distribution.
///
/// There is a weight for each of them, or none where all count the same.
pub fn kolmogorov_distance(probabilities: &[f64], weights: &[f64]) -> f64 {
    let weight = |row: usize| weights.get(row).copied().unwrap_or(1.0);
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]));
    let total: f64 = order.iter().map(|&row| weight(row)).sum();
    let (mut sum, mut distance) = (0.0, 0.0f64);
    for row in order {
        let below = sum / total;
        sum += weight(row);
        let (p, above) = (probabilities[row], sum / total);
        distance = distance.max(p - below).max(above - p);
    }
    distance
}

/// The Kolmogorov distance of the probabilities of rows as a flow over one column sees them.
pub(super) fn calibration(
    model: &Model,
    executor: &mut dyn Executor,
    rows: &Matrix<f64>,
    weights: &[f64],
) -> Result<f64> {
    let (z, _) = executor.forward(rows)?;
    Ok(kolmogorov_distance(
        &cdf_of_latents(model, z.column(0))?,
        weights,
    ))
}

fn cdf_of_latents(model: &Model, z: &[f64]) -> Result<Vec<f64>> {
    let (location, spread) = model.base_at(0)?;
    let density = model.spec.base.density;
    let cdf = |z: &f64| density.cdf((z - location) / spread);
    Ok(z.iter().map(cdf).collect())
}

fn check_univariate(model: &Model) -> Result<()> {
    match model.spec.dims {
        1 => Ok(()),
        dims => Err(Error::spec(format!(
            "a distribution function of a flow over {dims} columns: it takes one over 1"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_is_that_of_the_worst_probability() {
        let even: Vec<f64> = (0..100).map(|k| (f64::from(k) + 0.5) / 100.0).collect();
        assert!((kolmogorov_distance(&even, &[]) - 0.005).abs() < 1e-12);
        let squeezed: Vec<f64> = even.iter().map(|p| 0.8 * p).collect();
        assert!((kolmogorov_distance(&squeezed, &[]) - 0.2).abs() < 0.01);
        assert_eq!(kolmogorov_distance(&[1.0; 10], &[]), 1.0);
        // Half of them as often as they should be.
        let weights: Vec<f64> = even
            .iter()
            .map(|&p| if p < 0.5 { 3.0 } else { 1.0 })
            .collect();
        assert!((kolmogorov_distance(&even, &weights) - 0.25).abs() < 0.01);
    }
}
