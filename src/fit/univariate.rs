//! What a model of one column has in closed form: a flow's maps are increasing, so the latent of a number has the number's rank, and
//! the distribution function of a stack is that of its members by their weights.

use crate::data::take;
use crate::error::{Error, Result, quote};
use crate::executor::Executor;
use crate::flow::Density;
use crate::kinds::{Interval, Kind, NumberColumn};
use crate::matrix::Matrix;
use crate::model::Model;
use crate::numeric::Root;

use super::Flow;

impl Flow {
    /// The probability that the modelled column is at most what each row has, given the row's context: of a model of one column.
    /// Rows are those of [`Flow::log_prob`].
    ///
    /// # Errors
    /// As [`Flow::log_prob`]; [`Error::Spec`] for a model of more columns.
    pub fn cdf(&self, rows: &Matrix<f64>) -> Result<Vec<f64>> {
        check_univariate(self.model())?;
        self.check_rows(rows)?;
        match self.model().preprocessing.kinds.first() {
            None => self.cdf_of_seen(&self.model().preprocessing.apply(rows)),
            Some(column) => self.cdf_of_kind(column, rows),
        }
    }

    /// The same of a column that is not of real numbers.
    fn cdf_of_kind(&self, column: &NumberColumn, rows: &Matrix<f64>) -> Result<Vec<f64>> {
        self.sums_of_cdf(column, rows, |x| column.cdf_terms(x))
    }

    /// The log-probability of a whole number, given the context of its row: the difference of two probabilities.
    pub(super) fn log_prob_of_cells(
        &self,
        column: &NumberColumn,
        rows: &Matrix<f64>,
    ) -> Result<Vec<f64>> {
        /// Less is lost in the rounding of the two.
        const LEAST: f64 = 1e-9;
        let cells = self.sums_of_cdf(column, rows, |x| {
            let (first, last) = match column.contains(x) {
                true => column.cell(x),
                false => (x, x),
            };
            vec![(1.0, last), (-1.0, first)]
        })?;
        let rare: Vec<u32> = (0..rows.rows() as u32)
            .filter(|row| cells[*row as usize] < LEAST)
            .collect();
        let mut log_prob: Vec<f64> = cells.into_iter().map(f64::ln).collect();
        let of_rare = self.log_prob_by_preimages(&take(rows, &rare))?;
        for (row, p) in rare.into_iter().zip(of_rare) {
            log_prob[row as usize] = p;
        }
        Ok(log_prob)
    }

    /// Sums of probabilities of real numbers below some, times factors: as many terms for every number x of the column.
    fn sums_of_cdf(
        &self,
        column: &NumberColumn,
        rows: &Matrix<f64>,
        terms_at: impl Fn(f64) -> Vec<(f64, f64)>,
    ) -> Result<Vec<f64>> {
        let Interval { low, high, .. } = column.interval();
        let mut sums = vec![0.0; rows.rows()];
        let mut at = rows.clone();
        let of_rows: Vec<Vec<(f64, f64)>> = rows.column(0).iter().map(|x| terms_at(*x)).collect();
        for step in 0..of_rows.first().map_or(0, Vec::len) {
            let terms: Vec<(f64, f64)> = of_rows.iter().map(|terms| terms[step]).collect();
            // What lies outside of the interval has no latent.
            let is_below = |v: f64| v <= low.unwrap_or(f64::NEG_INFINITY);
            let is_above = |v: f64| v >= high.unwrap_or(f64::INFINITY);
            let inside: Vec<u32> = (0..rows.rows() as u32)
                .filter(|row| {
                    let v = terms[*row as usize].1;
                    !is_below(v) && !is_above(v)
                })
                .collect();
            for (v, (_, term)) in at.column_mut(0).iter_mut().zip(&terms) {
                *v = *term;
            }
            let seen = self.model().preprocessing.apply(&take(&at, &inside));
            let cdf = self.cdf_of_seen(&seen)?;
            for (sum, (factor, v)) in sums.iter_mut().zip(&terms) {
                *sum += if is_above(*v) { *factor } else { 0.0 };
            }
            for (row, cdf) in inside.iter().zip(cdf) {
                sums[*row as usize] += terms[*row as usize].0 * cdf;
            }
        }
        // Differences may round to less than nothing.
        sums.iter_mut().for_each(|sum| *sum = sum.clamp(0.0, 1.0));
        Ok(sums)
    }

    /// The same of rows as the flows see them.
    pub(super) fn cdf_of_seen(&self, seen: &Matrix<f64>) -> Result<Vec<f64>> {
        let model = self.model();
        let of_flows = self
            .members()
            .each(model, |k, executor| cdf_of_flow(model, k, executor, seen))?;
        if model.single_flow().is_some() {
            return Ok(of_flows.concat());
        }
        let mut sums = vec![0.0; seen.rows()];
        for (flow, cdf) in model.flows.iter().zip(of_flows) {
            for (sum, p) in sums.iter_mut().zip(cdf) {
                *sum += flow.weight * p;
            }
        }
        if let Some(it) = &model.mixture {
            let context = seen.select_columns(1..seen.columns());
            let cdf = it.mixture.cdf(seen.column(0), &context);
            for (sum, p) in sums.iter_mut().zip(cdf) {
                *sum += it.weight * p;
            }
        }
        Ok(sums)
    }

    /// The numbers that the modelled column is below with these probabilities, given each row of `context`: a row of quantiles a
    /// row, of a model of one column. Without context, one row of none: `Matrix::zeros(1, 0)`.
    ///
    /// # Errors
    /// As [`Flow::log_prob_given`]; [`Error::Spec`] for a model of more columns, or a probability that is not above 0 and below 1.
    pub fn quantiles(&self, context: &Matrix<f64>, probabilities: &[f64]) -> Result<Matrix<f64>> {
        check_univariate(self.model())?;
        self.check_is_ordered()?;
        let context = self.seen_context(context.rows(), context)?;
        let mut quantiles = Matrix::zeros(context.rows(), probabilities.len());
        for (j, &probability) in probabilities.iter().enumerate() {
            if !(probability > 0.0 && probability < 1.0) {
                return Err(Error::spec(format!(
                    "a quantile of probability {probability}: it must be above 0 and below 1"
                )));
            }
            let seen = self.seen_quantile(&context, probability)?;
            let preprocessing = &self.model().preprocessing;
            let x = preprocessing.images(preprocessing.undo(&seen.concat_columns(&context)));
            quantiles.column_mut(j).copy_from_slice(x.column(0));
        }
        Ok(quantiles)
    }

    /// Refuses a column on a circle, which has no least number.
    fn check_is_ordered(&self) -> Result<()> {
        let model = self.model();
        let mut kinds = model.preprocessing.kinds.iter().zip(&model.columns);
        match kinds.find(|(column, _)| matches!(column.kind, Kind::Circular { .. })) {
            None => Ok(()),
            Some((column, name)) => Err(Error::spec(format!(
                "{} is {}: what begins anew has neither quantiles nor a mean; draw samples",
                quote(name),
                column.kind
            ))),
        }
    }

    /// A quantile for each row of context, both as the flows see them.
    fn seen_quantile(&self, context: &Matrix<f64>, probability: f64) -> Result<Matrix<f64>> {
        /// More than 32 bits tell apart.
        const TOLERANCE: f64 = 1e-7;
        const LESS_THAN_1: f64 = 1.0 - f64::EPSILON / 2.0;
        let model = self.model();
        let standard = model.spec.base.density.quantile(probability);
        let of_flows = self.at_latent(context, standard)?;
        if model.single_flow().is_some() {
            return Ok(of_flows.into_iter().next().unwrap_or_default());
        }
        let mut low = vec![f64::INFINITY; context.rows()];
        let mut high = vec![f64::NEG_INFINITY; context.rows()];
        let of_mixture = model.mixture.iter().map(|it| {
            let z = Density::Normal.quantile(probability);
            let z = Matrix::from_fn(context.rows(), 1, |_, _| z);
            let x = it.mixture.inverse(&z.concat_columns(context));
            x.column(0).to_vec()
        });
        let of_flows = of_flows.iter().map(|x| x.column(0).to_vec());
        for member in of_flows.chain(of_mixture) {
            for ((low, high), x) in low.iter_mut().zip(&mut high).zip(member) {
                *low = low.min(x);
                *high = high.max(x);
            }
        }
        let roots = low.into_iter().zip(high).map(|(low, high)| {
            let largest = low.abs().max(high.abs()).max(1.0);
            Root::between(low, high, TOLERANCE * largest)
        });
        let mut roots: Vec<Root> = roots.collect();
        // Nearly a line, as those of the members are.
        let normal = |p: f64| Density::Normal.quantile(p.clamp(f64::MIN_POSITIVE, LESS_THAN_1));
        let wanted = normal(probability);
        loop {
            let open = roots.iter().enumerate();
            let open = open.filter_map(|(row, root)| Some((row as u32, root.next()?)));
            let (rows, looked_at): (Vec<u32>, Vec<f64>) = open.unzip();
            if rows.is_empty() {
                break;
            }
            let x = Matrix::from_values(rows.len(), 1, looked_at);
            let cdf = self.cdf_of_seen(&x.concat_columns(&take(context, &rows)))?;
            for ((row, x), p) in rows.into_iter().zip(x.column(0)).zip(cdf) {
                roots[row as usize].note(*x, normal(p) - wanted);
            }
        }
        Ok(Matrix::from_fn(roots.len(), 1, |row, _| roots[row].root()))
    }

    /// What each flow makes of a latent that lies so many spreads from its base's location, for each row of context.
    fn at_latent(&self, context: &Matrix<f64>, standard: f64) -> Result<Vec<Matrix<f64>>> {
        let model = self.model();
        self.members().each(model, |k, executor| {
            let (location, spread) = model.base_at(k, 0)?;
            let z = Matrix::from_fn(context.rows(), 1, |_, _| location + spread * standard);
            executor.inverse(&z.concat_columns(context))
        })
    }

    /// The mean of the modelled column given each row of `context`, of a model of one column. It is integrated over the latent,
    /// over the middle 1 - 2e-6 of the mass: where a flow stretches the tails of a logistic base, the whole mean may not exist.
    ///
    /// # Errors
    /// As [`Flow::quantiles`].
    pub fn mean(&self, context: &Matrix<f64>) -> Result<Vec<f64>> {
        check_univariate(self.model())?;
        self.check_is_ordered()?;
        let context = self.seen_context(context.rows(), context)?;
        let model = self.model();
        let mut means = vec![0.0; context.rows()];
        let mut add = |weight: &dyn Fn(usize) -> f64, seen: &Matrix<f64>| {
            let x = model.preprocessing.undo(&seen.concat_columns(&context));
            for (row, (mean, x)) in means.iter_mut().zip(x.column(0)).enumerate() {
                *mean += weight(row) * x;
            }
        };
        for (standard, weight) in nodes(model.spec.base.density) {
            let of_flows = self.at_latent(&context, standard)?;
            for (flow, seen) in model.flows.iter().zip(of_flows) {
                add(&|_| flow.weight * weight, &seen);
            }
        }
        if let Some(it) = &model.mixture {
            let of_rows = it.mixture.normals(&context);
            for k in 0..it.mixture.components().len() {
                let normals: Vec<[f64; 3]> = of_rows.iter().map(|row| row[k]).collect();
                for (standard, weight) in nodes(Density::Normal) {
                    let seen = Matrix::from_fn(context.rows(), 1, |row, _| {
                        let [_, mean, deviation] = normals[row];
                        mean + deviation * standard
                    });
                    add(&|row| it.weight * normals[row][0] * weight, &seen);
                }
            }
        }
        Ok(means)
    }
}

/// Where a mean is taken over the latent, and with which weights: the trapezoid rule, which converges exponentially for what falls
/// off at both ends (Trefethen and Weideman 2014).
fn nodes(density: Density) -> impl Iterator<Item = (f64, f64)> {
    const NODES: usize = 64;
    let end = -density.quantile(1e-6);
    let at = move |k: usize| end * (2.0 * k as f64 / (NODES - 1) as f64 - 1.0);
    let mass: f64 = (0..NODES).map(|k| density.pdf(at(k))).sum();
    (0..NODES).map(move |k| (at(k), density.pdf(at(k)) / mass))
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

/// The probabilities below the numbers of rows as a flow over one column sees them, which `executor` runs.
pub(super) fn cdf_of_flow(
    model: &Model,
    flow: usize,
    executor: &mut dyn Executor,
    rows: &Matrix<f64>,
) -> Result<Vec<f64>> {
    let (z, _) = executor.forward(rows)?;
    cdf_of_latents(model, flow, z.column(0))
}

fn cdf_of_latents(model: &Model, flow: usize, z: &[f64]) -> Result<Vec<f64>> {
    let (location, spread) = model.base_at(flow, 0)?;
    let density = model.spec.base.density;
    let cdf = |z: &f64| density.cdf((z - location) / spread);
    Ok(z.iter().map(cdf).collect())
}

fn check_univariate(model: &Model) -> Result<()> {
    match model.modelled().len() {
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
