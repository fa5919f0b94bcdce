use crate::data::take;
use crate::error::Result;
use crate::matrix::Matrix;

use super::{Preprocessing, PreprocessingConfig, Tails};

/// As many rows of a column's own are needed for the correlations of all: with fewer, leaving one out leaves too few.
const SPARE_ROWS: usize = 4;

impl Preprocessing {
    /// A map that is to be a density by itself, a Gaussian in front of a standard normal base: what is fitted to few rows is
    /// wider than they are, and has their correlations only where each row is likelier for them under a fit to the
    /// others.
    ///
    /// # Errors
    /// As [`super::Standardize::of`].
    pub fn fit_alone(
        values: &Matrix<f64>,
        names: &[String],
        steps: PreprocessingConfig,
    ) -> Result<Self> {
        if !steps.standardize {
            return Ok(Self::default());
        }
        let whiten = steps.whiten && correlations_help(values, names);
        let mut fitted = widened(values, names, whiten)?;
        fitted.tails = steps.robust.then_some(Tails { bound: Self::BOUND });
        Ok(fitted)
    }
}

/// The Gaussian of few rows, with the width that makes new rows likeliest on average. With the covariance S of n rows of d
/// columns, as maximum likelihood has it, E[(x - m)^T S^-1 (x - m)] = d (n + 1) / (n - d - 2) for a new row x of a normal
/// distribution (S is Wishart; Mardia, Kent and Bibby 1979, section 3.4), and not d: so all widths are multiplied by the
/// root of (n + 1) / (n - d - 2). Columns that are taken one by one have d = 1.
fn widened(values: &Matrix<f64>, names: &[String], whiten: bool) -> Result<Preprocessing> {
    let mut fitted = Preprocessing::linear(values, &[], names, whiten)?;
    let n = values.rows() as f64;
    let d = if whiten { values.columns() as f64 } else { 1.0 };
    // Of two or three rows the expectation is infinite; some width is better than none.
    let left = match n - d - 2.0 {
        left if left > 0.0 => left,
        left => 0.5f64.powf(1.0 - left),
    };
    if let Some(standardize) = &mut fitted.standardize {
        let factor = ((n + 1.0) / left).sqrt();
        standardize
            .deviation
            .iter_mut()
            .for_each(|width| *width *= factor);
    }
    Ok(fitted)
}

/// Whether rows are likelier under a Gaussian with correlations than under one without, each row under a fit to the others.
fn correlations_help(values: &Matrix<f64>, names: &[String]) -> bool {
    let rows = values.rows();
    if rows < values.columns() + SPARE_ROWS {
        return false;
    }
    let nll = |whiten: bool| -> Option<f64> {
        let of_row = |row: u32| {
            let others: Vec<u32> = (0..rows as u32).filter(|other| *other != row).collect();
            let fitted = widened(&take(values, &others), names, whiten).ok()?;
            if fitted.is_singular() {
                return None;
            }
            let z = fitted.apply(&take(values, &[row]));
            let square: f64 = z.values().iter().map(|z| z * z).sum();
            Some(0.5 * square - fitted.log_det(&z)[0])
        };
        (0..rows as u32).map(of_row).sum()
    };
    match (nll(true), nll(false)) {
        (Some(with), Some(without)) => with < without,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, normal_at};

    const ALL: PreprocessingConfig = PreprocessingConfig {
        standardize: true,
        whiten: true,
        robust: true,
    };

    fn rows(seed: u64, count: usize, correlation: f64) -> Matrix<f64> {
        let z = |row: usize, j| f64::from(normal_at(seed, Purpose::TargetRows, row as u64, j));
        let rest = (1.0 - correlation * correlation).sqrt();
        Matrix::from_fn(count, 2, |row, j| match j {
            0 => 3.0 + 2.0 * z(row, 0),
            _ => correlation * z(row, 0) + rest * z(row, 1),
        })
    }

    /// The mean of -log p of new rows, less what is the same for all.
    fn nll(fitted: &Preprocessing, rows: &Matrix<f64>) -> f64 {
        let z = fitted.apply(rows);
        let squares: f64 = z.values().iter().map(|z| z * z).sum();
        let log_det: f64 = fitted.log_det(&z).iter().sum();
        (0.5 * squares - log_det) / rows.rows() as f64
    }

    /// Over many small tables: new rows are likelier than under the Gaussian of maximum likelihood, with correlations or
    /// without.
    #[test]
    fn a_density_of_few_rows_is_no_worse_than_a_gaussian() {
        let names: Vec<String> = ["a", "b"].map(String::from).to_vec();
        let linear =
            |table: &Matrix<f64>, whiten| Preprocessing::linear(table, &[], &names, whiten);
        for correlation in [0.0, 0.99] {
            for count in [8, 10, 19] {
                let (mut better, mut sums) = (0, [0.0; 2]);
                for seed in 0..100 {
                    let table = rows(seed, count, correlation);
                    let fresh = rows(1000 + seed, 500, correlation);
                    let ours = nll(
                        &Preprocessing::fit_alone(&table, &names, ALL).unwrap(),
                        &fresh,
                    );
                    let of_all = nll(&linear(&table, true).unwrap(), &fresh);
                    better += usize::from(ours < of_all);
                    sums[0] += ours;
                    sums[1] += of_all;
                }
                assert!(sums[0] < sums[1], "{correlation} {count}: {sums:?}");
                assert!(better > 60, "{correlation} {count}: {better}");
            }
        }
    }

    #[test]
    fn correlations_are_kept_where_they_help() {
        let names: Vec<String> = ["a", "b"].map(String::from).to_vec();
        let has = |count, correlation| {
            let table = rows(5, count, correlation);
            let fitted = Preprocessing::fit_alone(&table, &names, ALL).unwrap();
            fitted.whiten.is_some()
        };
        assert!(has(12, 0.99) && !has(12, 0.0) && !has(5, 0.99));
    }

    #[test]
    fn two_rows_have_a_width() {
        let names: Vec<String> = ["a", "b"].map(String::from).to_vec();
        for count in [2, 3, 4] {
            let fitted = Preprocessing::fit_alone(&rows(9, count, 0.0), &names, ALL).unwrap();
            assert!(fitted.is_valid(2));
            let nll = nll(&fitted, &rows(10, 500, 0.0));
            assert!(nll < 20.0, "{count}: {nll}");
        }
    }
}
