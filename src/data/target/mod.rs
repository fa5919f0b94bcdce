//! Targets with a known density, for testing and comparison: training rows, held-out rows, log-density and entropy.

mod gaussian;
mod plane;
mod volume;

use std::str::FromStr;

use rand::{Rng, RngExt};
use rayon::prelude::*;

use crate::error::{Error, Message, Result};
use crate::matrix::Matrix;
use crate::random::{Philox, Purpose, StandardNormal};

pub use gaussian::Gaussian;

use plane::{Checkerboard, Curves, Mixture, Pinwheel, Rings};
use volume::{Banana, Funnel};

/// A built-in target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetName {
    /// A Gaussian with a random mean and covariance, as in the reference experiment.
    Gaussian,
    /// Two half circles that interlock, with noise 0.05.
    TwoMoons,
    /// Three rings around one center.
    Rings,
    /// Five bent arms.
    Pinwheel,
    /// Eight squares of a board, uniform.
    Checkerboard,
    /// Two spirals that interlock.
    TwoSpirals,
    /// Eight Gaussians on a circle.
    Mixture,
    /// A Gaussian bent along a parabola.
    Banana,
    /// Neal's funnel, whose width varies a thousandfold.
    Funnel,
}

impl TargetName {
    /// Every target.
    pub const ALL: [TargetName; 9] = [
        TargetName::Gaussian,
        TargetName::TwoMoons,
        TargetName::Rings,
        TargetName::Pinwheel,
        TargetName::Checkerboard,
        TargetName::TwoSpirals,
        TargetName::Mixture,
        TargetName::Banana,
        TargetName::Funnel,
    ];

    /// As it is written on a command line.
    pub fn name(self) -> &'static str {
        match self {
            TargetName::Gaussian => "gaussian",
            TargetName::TwoMoons => "two-moons",
            TargetName::Rings => "rings",
            TargetName::Pinwheel => "pinwheel",
            TargetName::Checkerboard => "checkerboard",
            TargetName::TwoSpirals => "two-spirals",
            TargetName::Mixture => "mixture",
            TargetName::Banana => "banana",
            TargetName::Funnel => "funnel",
        }
    }
}

impl FromStr for TargetName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let requested = text.to_lowercase().replace(['_', ' '], "-");
        let mut all = Self::ALL.into_iter();
        all.find(|target| target.name() == requested)
            .ok_or_else(|| {
                let names = Self::ALL.map(TargetName::name).join(", ");
                Error::spec(format!("there is no target \"{text}\"; there are {names}"))
            })
    }
}

/// A distribution that can be drawn from and whose density is known.
trait Distribution: Send + Sync {
    fn dims(&self) -> usize;

    /// One row.
    fn draw(&self, random: &mut Draws) -> Vec<f64>;

    /// The log-density of a row, in nats; negative infinity where there is none.
    fn log_prob(&self, row: &[f64]) -> f64;

    /// The differential entropy, in nats.
    fn entropy(&self) -> f64;
}

/// The random numbers of one row: a function of seed, purpose and row.
struct Draws(Philox);

impl Draws {
    fn normal(&mut self) -> f64 {
        f64::from(self.0.sample::<f32, _>(StandardNormal))
    }

    /// In (0, 1), on a grid of 2^22 points that f32 has room for.
    fn uniform(&mut self) -> f64 {
        (f64::from(self.0.next_u32() >> 10) + 0.5) / f64::from(1 << 22)
    }

    /// One of 0, 1, ..., below - 1.
    fn below(&mut self, below: usize) -> usize {
        (self.uniform() * below as f64) as usize
    }
}

/// A built-in target, with its seed.
pub struct Target {
    seed: u64,
    kind: Kind,
}

enum Kind {
    /// Its moments are known as well.
    Gaussian(Gaussian),
    Other(Box<dyn Distribution>),
}

impl Target {
    /// The target of the reference experiment.
    pub fn reference(seed: u64) -> Self {
        Target {
            seed,
            kind: Kind::Gaussian(Gaussian::new(4, seed)),
        }
    }

    /// A target by name. `dims` is for the Gaussian (default 4) and the funnel (default 10); `condition`, the condition
    /// number of the covariance, for the Gaussian alone.
    ///
    /// # Errors
    /// [`Error::Spec`] where the target has no such setting, or the value is out of range.
    pub fn new(
        name: TargetName,
        dims: Option<usize>,
        condition: Option<f64>,
        seed: u64,
    ) -> Result<Self> {
        let sized = matches!(name, TargetName::Gaussian | TargetName::Funnel);
        if let Some(dims) = dims {
            let fail = |text: &str| Err(Error::Spec(Message::about("dims", dims, text)));
            if !sized {
                return fail(
                    "is for the gaussian and the funnel; the other targets have 2 columns",
                );
            }
            if !(2..=1024).contains(&dims) {
                return fail("must be from 2 to 1024");
            }
        }
        if let Some(condition) = condition {
            let fail = |text: &str| Err(Error::Spec(Message::about("condition", condition, text)));
            if name != TargetName::Gaussian {
                return fail("is for the gaussian: the other targets have no covariance to set");
            }
            if !(1.0..=1e10).contains(&condition) {
                return fail("must be from 1 to 1e10; 32-bit rows have no room for more");
            }
        }
        let other: Box<dyn Distribution> = match name {
            TargetName::Gaussian => {
                let dims = dims.unwrap_or(4);
                let gaussian = match condition {
                    None => Gaussian::new(dims, seed),
                    Some(condition) => Gaussian::conditioned(dims, seed, condition),
                };
                return Ok(Target {
                    seed,
                    kind: Kind::Gaussian(gaussian),
                });
            }
            TargetName::TwoMoons => Box::new(Curves::two_moons()),
            TargetName::Rings => Box::new(Rings),
            TargetName::Pinwheel => Box::new(Pinwheel),
            TargetName::Checkerboard => Box::new(Checkerboard),
            TargetName::TwoSpirals => Box::new(Curves::two_spirals()),
            TargetName::Mixture => Box::new(Mixture),
            TargetName::Banana => Box::new(Banana),
            TargetName::Funnel => Box::new(Funnel {
                dims: dims.unwrap_or(10),
            }),
        };
        Ok(Target {
            seed,
            kind: Kind::Other(other),
        })
    }

    fn distribution(&self) -> &dyn Distribution {
        match &self.kind {
            Kind::Gaussian(gaussian) => gaussian,
            Kind::Other(other) => other.as_ref(),
        }
    }

    /// Columns of a row.
    pub fn dims(&self) -> usize {
        self.distribution().dims()
    }

    fn rows(&self, purpose: Purpose, count: usize) -> Matrix<f32> {
        let rows: Vec<Vec<f64>> = (0..count as u64)
            .into_par_iter()
            .map(|row| {
                let mut random = Draws(Philox::row(self.seed, purpose, row));
                self.distribution().draw(&mut random)
            })
            .collect();
        // Rounded as all training rows are.
        Matrix::from_fn(count, self.dims(), |row, column| rows[row][column] as f32)
    }

    /// The first rows to train on.
    pub fn training_rows(&self, count: usize) -> Matrix<f32> {
        self.rows(Purpose::TargetRows, count)
    }

    /// Rows that training never sees.
    pub fn held_out_rows(&self, count: usize) -> Matrix<f32> {
        self.rows(Purpose::TargetHeldOut, count)
    }

    /// The log-density of each row, in nats.
    pub fn log_prob(&self, rows: &Matrix<f32>) -> Vec<f64> {
        (0..rows.rows())
            .into_par_iter()
            .map(|row| {
                let row: Vec<f64> = (0..rows.columns())
                    .map(|column| f64::from(rows.get(row, column)))
                    .collect();
                self.distribution().log_prob(&row)
            })
            .collect()
    }

    /// The differential entropy in nats: no model's NLL can be lower. In closed form, or for curved shapes by quadrature
    /// to some 1e-6.
    pub fn entropy(&self) -> f64 {
        self.distribution().entropy()
    }

    /// Whether [`Target::moment_errors`] has an answer.
    pub fn knows_moments(&self) -> bool {
        matches!(self.kind, Kind::Gaussian(_))
    }

    /// How far a sample is from the target: the relative errors of mean and covariance, where these are known.
    pub fn moment_errors(&self, sample: &Matrix<f64>) -> Option<(f64, f64)> {
        match &self.kind {
            Kind::Gaussian(gaussian) => Some(gaussian.moment_errors(sample)),
            Kind::Other(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean of -log_prob over a target's own rows is its entropy.
    #[test]
    fn every_target_knows_its_entropy() {
        for name in TargetName::ALL {
            let target = Target::new(name, None, None, 3).unwrap();
            const ROWS: usize = 50_000;
            let rows = target.training_rows(ROWS);
            let log_prob = target.log_prob(&rows);
            let mean = log_prob.iter().sum::<f64>() / ROWS as f64;
            let variance = log_prob.iter().map(|p| (p - mean).powi(2)).sum::<f64>() / ROWS as f64;
            let error = (variance / ROWS as f64).sqrt();
            assert!(
                (mean + target.entropy()).abs() < 4.0 * error + 1e-5,
                "{name:?}: {mean} +- {error}, entropy {}",
                target.entropy()
            );
            assert_ne!(target.held_out_rows(1), target.training_rows(1));
        }
    }

    /// In two dimensions: as many rows fall into each cell of a grid as the density puts there.
    #[test]
    fn rows_lie_where_the_density_puts_them() {
        for name in TargetName::ALL {
            let dims = matches!(name, TargetName::Gaussian | TargetName::Funnel).then_some(2);
            let target = Target::new(name, dims, None, 5).unwrap();
            const ROWS: usize = 40_000;
            // Cells of 1/2 by 1/2, each with 20 by 20 points; no edge falls on a checkerboard's.
            const FINE: usize = 20;
            let cells = 24;
            let low = -6.03;
            let width = 0.5;
            let mut counts = vec![0.0; cells * cells];
            let rows = target.training_rows(ROWS);
            let cell_of = |x: f32| {
                let cell = ((f64::from(x) - low) / width).floor();
                (cell >= 0.0 && cell < cells as f64).then_some(cell as usize)
            };
            for row in 0..ROWS {
                let index = (cell_of(rows.get(row, 0)), cell_of(rows.get(row, 1)));
                if let (Some(i), Some(j)) = index {
                    counts[i * cells + j] += 1.0;
                }
            }
            let mut chi_square = 0.0;
            let mut used = 0.0;
            for i in 0..cells {
                for j in 0..cells {
                    let rows_expected = |fine: usize| {
                        let step = width / fine as f64;
                        let points = Matrix::from_fn(fine * fine, 2, |k, column| {
                            let (cell, index) = match column {
                                0 => (i, k / fine),
                                _ => (j, k % fine),
                            };
                            (low + width * cell as f64 + step * (index as f64 + 0.5)) as f32
                        });
                        let mass: f64 = target.log_prob(&points).iter().map(|p| p.exp()).sum();
                        mass * step * step * ROWS as f64
                    };
                    // A glance is enough where there is nothing.
                    let expected = match rows_expected(4) {
                        few if few < 1.0 => few,
                        _ => rows_expected(FINE),
                    };
                    // Rarer ones have no normal distribution; and the rows cannot tell 2% of a cell.
                    if expected > 20.0 {
                        let gap = counts[i * cells + j] - expected;
                        chi_square += gap * gap / (expected + (0.02 * expected).powi(2));
                        used += 1.0;
                    }
                }
            }
            // Mean k, variance 2k.
            let bound = used + 5.0 * (2.0f64 * used).sqrt();
            assert!(
                used > 10.0 && chi_square < bound,
                "{name:?}: {chi_square} over {used} cells"
            );
        }
    }

    #[test]
    fn settings_of_another_target_are_refused() {
        for (name, dims, condition) in [
            (TargetName::Rings, Some(3), None),
            (TargetName::Funnel, Some(1), None),
            (TargetName::Funnel, None, Some(10.0)),
            (TargetName::Gaussian, None, Some(0.5)),
            (TargetName::Gaussian, None, Some(f64::NAN)),
        ] {
            assert!(Target::new(name, dims, condition, 1).is_err(), "{name:?}");
        }
    }
}
