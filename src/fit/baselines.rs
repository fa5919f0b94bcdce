use crate::data::{default_names, resample, take, take_weights, weighted_mean};
use crate::matrix::Matrix;
use crate::preprocessing::{ContextColumn, LinearPart, Preprocessing, PreprocessingConfig};

use super::Prepared;

/// What simpler models make of the same rows: the mean of -log_prob, in nats and in the table's units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Baselines {
    /// A normal distribution with the mean and the covariance of the rows trained on; none where it has no width.
    pub gaussian: Option<f64>,
    /// The columns as if they knew nothing of one another, each a kernel density estimate. Of some thousand rows where there
    /// are more.
    pub independent: Option<f64>,
    /// A Gaussian whose mean is a linear function of the context; none without context.
    pub regression: Option<f64>,
}

impl Baselines {
    /// With so many nats less.
    fn less(self, nats: f64) -> Self {
        let less = |nll: Option<f64>| nll.map(|nll| nll - nats);
        Baselines {
            gaussian: less(self.gaussian),
            independent: less(self.independent),
            regression: less(self.regression),
        }
    }

    /// The better of those that know nothing of the context.
    pub fn marginal(&self) -> Option<f64> {
        let both = self.gaussian.into_iter().chain(self.independent);
        both.min_by(f64::total_cmp)
    }
}

/// Rows that a kernel density estimate is made of, and scored on.
const KERNELS: usize = 1000;
const SCORED: usize = 2000;

/// The fraction of a broad distribution in a kernel density estimate: what lies far from every kernel has a density, too.
const BROAD: f64 = 0.01;

impl Prepared {
    /// Fits baselines to the rows trained on, and scores them on the rows held out, or on those trained on where none are.
    pub fn baselines(&self) -> Baselines {
        let some = self.some_rows();
        let training = self.in_units(&some.rows);
        let held_out = self.validation.as_ref().map(|rows| self.in_units(rows));
        let training_weights = some.weights;
        let scored = match &held_out {
            Some(rows) => (rows, &self.validation_weights[..]),
            None => (&training, &training_weights[..]),
        };
        let of_scored = match &self.validation {
            Some(rows) => self.bound_of(rows, &self.validation_weights),
            None => self.bound_of(&some.rows, &training_weights),
        };
        self.baselines_of((&training, &training_weights), scored)
            .less(of_scored)
    }

    /// What a bound on the log-density of the table's rows adds to that of the numbers that baselines are densities of, on average
    /// over rows as flows see them.
    fn bound_of(&self, seen: &Matrix<f64>, weights: &[f64]) -> f64 {
        let mut bound = 0.0;
        if !self.model.preprocessing.kinds.is_empty() {
            let log_bound = self.model.preprocessing.log_bound_of_images(seen);
            bound += weighted_mean(&log_bound, weights);
        }
        if self.model.frequencies.is_some() {
            // Baselines are densities of the numbers alone.
            let is_fitted = self.validation.is_none();
            bound += weighted_mean(&self.log_prob_of_levels(seen, is_fitted), weights);
        }
        bound
    }

    /// The same where each row is scored by what is fitted to the other folds.
    pub(super) fn baselines_by_folds(&self) -> Baselines {
        let rows = self.in_units(&self.rows.map(f64::from));
        let weights = self.training_weights();
        let Some(folds) = self.folds() else {
            return self.baselines();
        };
        let (mut sums, mut total) = ([Some(0.0); 3], 0.0);
        for fold in 0..folds.count() {
            let (others, within) = folds.split(fold);
            let [others, within] = [others, within]
                .map(|numbers| (take(&rows, &numbers), take_weights(&weights, &numbers)));
            let mass = match within.1.is_empty() {
                true => within.0.rows() as f64,
                false => within.1.iter().sum(),
            };
            if mass == 0.0 {
                continue;
            }
            let of_fold = self.baselines_of((&others.0, &others.1), (&within.0, &within.1));
            let of_fold = [of_fold.gaussian, of_fold.independent, of_fold.regression];
            for (sum, nll) in sums.iter_mut().zip(of_fold) {
                *sum = sum.zip(nll).map(|(sum, nll)| sum + mass * nll);
            }
            total += mass;
        }
        let [gaussian, independent, regression] = sums.map(|sum| Some(sum? / total));
        Baselines {
            gaussian,
            independent,
            regression,
        }
        .less(self.bound_of(&self.rows.map(f64::from), &weights))
    }

    fn baselines_of(
        &self,
        (training, training_weights): Weighted<'_>,
        (scored, scored_weights): Weighted<'_>,
    ) -> Baselines {
        let context = self.model.preprocessing.context_columns();
        let modelled = |rows: &Matrix<f64>| rows.select_columns(0..self.model.spec.dims);
        let regression = (!context.is_empty()).then(|| {
            gaussian(
                (training, training_weights),
                (scored, scored_weights),
                context,
            )
        });
        let (training, scored) = (modelled(training), modelled(scored));
        let training = (&training, training_weights);
        let scored = (&scored, scored_weights);
        Baselines {
            gaussian: gaussian(training, scored, &[]),
            independent: independent(training, scored),
            regression: regression.flatten(),
        }
    }
}

/// Rows, and the weight of each; none where all count the same.
type Weighted<'a> = (&'a Matrix<f64>, &'a [f64]);

/// The mean of -log N(x; M c + mean, covariance), where `context` are the last columns of the rows: what is whitened is standard
/// normal then.
fn gaussian(
    (training, weights): Weighted<'_>,
    (scored, scored_weights): Weighted<'_>,
    context: &[ContextColumn],
) -> Option<f64> {
    let steps = PreprocessingConfig {
        standardize: true,
        whiten: true,
        robust: false,
    };
    let dims = training.columns() - context.len();
    let names = default_names(dims);
    let whitening = Preprocessing::fit_given(
        training,
        weights,
        &names,
        context.to_vec(),
        steps,
        LinearPart::Always,
    )
    .ok()?;
    if whitening.is_singular() {
        return None;
    }
    let seen = whitening.apply(scored);
    let mut nll = whitening.log_det(&seen);
    nll.iter_mut().for_each(|log_det| *log_det *= -1.0);
    for j in 0..dims {
        for (nll, z) in nll.iter_mut().zip(seen.column(j)) {
            *nll += 0.5 * z * z;
        }
    }
    let constant = 0.5 * dims as f64 * std::f64::consts::TAU.ln();
    Some(constant + weighted_mean(&nll, scored_weights))
}

/// The mean of -log p(x), where p is a product of kernel density estimates of the columns (Silverman 1986, eq. 3.31).
fn independent(
    (training, weights): Weighted<'_>,
    (scored, scored_weights): Weighted<'_>,
) -> Option<f64> {
    let few = |column: &[f64], weights: &[f64], most: usize| -> Vec<f64> {
        // Evenly from all of them, since rows may be in some order.
        let rows = resample(column.len(), weights, column.len().min(most));
        rows.iter().map(|&row| column[row as usize]).collect()
    };
    let mut sum = 0.0;
    for j in 0..training.columns() {
        let mut kernels = few(training.column(j), weights, KERNELS);
        kernels.sort_by(f64::total_cmp);
        let count = kernels.len() as f64;
        let quartile = |fraction: f64| kernels[(fraction * (count - 1.0)) as usize];
        let mean = kernels.iter().sum::<f64>() / count;
        let variance = kernels.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        let spread = (quartile(0.75) - quartile(0.25)) / 1.34;
        let deviation = match spread > 0.0 {
            true => spread.min(variance.sqrt()),
            false => variance.sqrt(),
        };
        if !(deviation.is_finite() && deviation > 0.0) {
            return None;
        }
        let width = 0.9 * deviation * count.powf(-0.2);
        let (middle, scale) = (quartile(0.5), variance.sqrt());
        let density = |x: f64| {
            let normal = |z: f64| (-0.5 * z * z).exp();
            let near: f64 = kernels.iter().map(|k| normal((x - k) / width)).sum();
            let near = near / (count * width * std::f64::consts::TAU.sqrt());
            let far = (x - middle) / scale;
            let broad = 1.0 / (std::f64::consts::PI * scale * (1.0 + far * far));
            (1.0 - BROAD) * near + BROAD * broad
        };
        let rows = few(scored.column(j), scored_weights, SCORED);
        sum -= rows.iter().map(|&x| density(x).ln()).sum::<f64>() / rows.len() as f64;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, normal_at};

    /// Rows whose two columns are normal with correlation 0.8.
    fn rows(seed: u64, count: usize) -> Matrix<f64> {
        Matrix::from_fn(count, 2, |row, column| {
            let z = |j| f64::from(normal_at(seed, Purpose::TargetRows, row as u64, j));
            3.0 + 10.0
                * if column == 0 {
                    z(0)
                } else {
                    0.8 * z(0) + 0.6 * z(1)
                }
        })
    }

    #[test]
    fn a_gaussian_knows_the_correlation_and_single_columns_do_not() {
        let (training, scored) = (rows(1, 20_000), rows(2, 20_000));
        let entropy = (std::f64::consts::TAU * std::f64::consts::E).ln() + (100.0f64 * 0.6).ln();
        let gaussian = gaussian((&training, &[]), (&scored, &[]), &[]).unwrap();
        assert!((gaussian - entropy).abs() < 0.02, "{gaussian} {entropy}");
        let apart = entropy - 0.6f64.ln();
        let independent = independent((&training, &[]), (&scored, &[])).unwrap();
        assert!((independent - apart).abs() < 0.08, "{independent} {apart}");
    }

    /// Of x given y, as normal regressions have it: the deviation of x is 6 where y is given.
    #[test]
    fn a_regression_knows_the_context() {
        let given = |name: &str| ContextColumn {
            name: name.into(),
            ..ContextColumn::default()
        };
        let (training, scored) = (rows(1, 20_000), rows(2, 20_000));
        let regression = gaussian((&training, &[]), (&scored, &[]), &[given("y")]).unwrap();
        let entropy = 0.5 * (std::f64::consts::TAU * std::f64::consts::E).ln() + 6f64.ln();
        assert!(
            (regression - entropy).abs() < 0.02,
            "{regression} {entropy}"
        );
    }

    #[test]
    fn what_has_no_width_has_no_density() {
        let copies = Matrix::from_fn(100, 2, |row, _| (row as f64).sin());
        assert_eq!(gaussian((&copies, &[]), (&copies, &[]), &[]), None);
        assert!(independent((&copies, &[]), (&copies, &[])).is_some());
        let constant = Matrix::from_fn(100, 2, |row, j| if j == 0 { row as f64 } else { 1.0 });
        assert_eq!(gaussian((&constant, &[]), (&constant, &[]), &[]), None);
        assert_eq!(independent((&constant, &[]), (&constant, &[])), None);
    }

    /// A row far from all others costs a kernel density estimate some nats, not infinitely many.
    #[test]
    fn what_is_far_out_has_a_density() {
        let training = rows(1, 500);
        let far = Matrix::from_fn(1, 2, |_, _| 1e6);
        let nll = independent((&training, &[]), (&far, &[])).unwrap();
        assert!(nll.is_finite() && nll > 40.0, "{nll}");
    }
}
