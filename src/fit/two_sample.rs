use crate::data::take;
use crate::error::Result;
use crate::matrix::Matrix;
use crate::mixture::{GaussianMixture, Shape};

use super::Flow;

/// How well a classifier tells rows of data from a model's (Lopez-Paz and Oquab 2017, "Revisiting classifier two-sample tests").
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TwoSample {
    /// The fraction of the rows that it tells right; 0.5 where it cannot.
    pub accuracy: f64,
    /// How far from 0.5 that is by chance, as a standard deviation.
    pub error: f64,
    /// The rows of data.
    pub rows: usize,
}

/// Fewer rows do not tell how well a classifier does.
const FEWEST: usize = 200;

/// More rows take longer and tell little more.
const MOST: usize = 4000;

/// Components of the mixtures, at most, and the rows to a number of each, at least.
const COMPONENTS: usize = 12;
const ROWS_TO_A_NUMBER: usize = 10;

const SEED: u64 = 0;

impl Flow {
    /// Tells rows of [`Flow::all_columns`] that it was not fitted to from as many of its samples, drawn given the same context. The
    /// classifier is the ratio of two Gaussian mixtures, one fitted to half of the rows, the other to half of the samples; it judges the
    /// other halves, and then the halves change sides. None where the rows are fewer than 200.
    ///
    /// # Errors
    /// As [`Flow::sample_given`].
    pub fn two_sample_test(&self, rows: &Matrix<f64>) -> Result<Option<TwoSample>> {
        let count = rows.rows().min(MOST);
        if count < FEWEST {
            return Ok(None);
        }
        let every = |k: usize| (k * rows.rows() / count) as u32;
        let rows = take(rows, &(0..count).map(every).collect::<Vec<_>>());
        let modelled = self.columns().len();
        let context = rows.select_columns(modelled..rows.columns());
        let samples = self.sample_given(&context, 0..count as u64, SEED)?;
        let samples = samples.concat_columns(&context);
        let preprocessing = &self.model().preprocessing;
        let seen = [&rows, &samples].map(|rows| preprocessing.apply(rows));
        Ok(Some(tell(&seen[0], &seen[1])))
    }
}

/// Tells two tables apart, of as many rows with deviations of about 1.
fn tell(data: &Matrix<f64>, samples: &Matrix<f64>) -> TwoSample {
    let count = data.rows();
    let half = |side: usize| -> Vec<u32> { (side as u32..count as u32).step_by(2).collect() };
    let components = count / 2 / (ROWS_TO_A_NUMBER * (data.columns() + 1));
    let components = components.clamp(1, COMPONENTS);
    let mut right = 0.0;
    for side in 0..2 {
        let (fitted, judged) = (half(side), half(1 - side));
        let mixtures = [data, samples].map(|rows| {
            GaussianMixture::fit(&take(rows, &fitted), &[], Shape::Round, components, SEED, 0)
        });
        for (rows, sign) in [(data, 1.0), (samples, -1.0)] {
            let rows = take(rows, &judged);
            let [of_data, of_samples] = [0, 1].map(|k| mixtures[k].log_prob(&rows));
            for (of_data, of_samples) in of_data.iter().zip(&of_samples) {
                let ratio: f64 = sign * (of_data - of_samples);
                right += match ratio {
                    ratio if ratio > 0.0 => 1.0,
                    0.0 => 0.5,
                    _ => 0.0,
                };
            }
        }
    }
    let told = 2.0 * count as f64;
    TwoSample {
        accuracy: right / told,
        error: 0.5 / told.sqrt(),
        rows: count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, normal_at};

    fn normal(seed: u64, of: impl Fn(usize, f64) -> f64) -> Matrix<f64> {
        Matrix::from_fn(3000, 3, |row, column| {
            let z = f64::from(normal_at(seed, Purpose::TargetRows, row as u64, column));
            if column == 0 { of(row, z) } else { z }
        })
    }

    #[test]
    fn alike_tables_are_not_told_and_others_are() {
        let data = normal(1, |row, z| if row % 3 == 0 { z + 4.0 } else { z });
        let alike = normal(2, |row, z| if row % 3 == 1 { z + 4.0 } else { z });
        let told = tell(&data, &alike);
        assert!((told.accuracy - 0.5).abs() < 4.0 * told.error, "{told:?}");
        let without_a_mode = normal(2, |_, z| z);
        assert!(tell(&data, &without_a_mode).accuracy > 0.6);
        let [wide, narrow] = [1.0, 0.8].map(|width| normal(3, |_, z| z).map(|z| width * z));
        let told = tell(&normal(4, |_, z| z), &narrow);
        assert!(told.accuracy > 0.5 + 4.0 * told.error, "{told:?}");
        let told = tell(&normal(4, |_, z| z), &wide);
        assert!(told.accuracy < 0.5 + 4.0 * told.error, "{told:?}");
    }
}
