use serde::{Deserialize, Serialize};

use crate::matrix::Matrix;

/// Outlier compression, column by column: y = x up to `bound`, and sign(x) (bound + ln(1 + |x| - bound)) beyond it, which joins
/// smoothly. A base with Gaussian tails then gives a row that lies a thousand deviations out some fifty nats less than others, not
/// half a million.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tails {
    /// Where distances begin to count by their logarithm, in the units of what comes in.
    pub bound: f64,
}

impl Tails {
    /// Beyond it [`Tails::undo`] would leave the numbers that are finite.
    const FARTHEST: f64 = 700.0;

    pub(super) fn apply(&self, values: Matrix<f64>) -> Matrix<f64> {
        values.map(|x| {
            let excess = x.abs() - self.bound;
            match excess > 0.0 {
                true => (self.bound + excess.ln_1p()).copysign(x),
                false => x,
            }
        })
    }

    pub(super) fn undo(&self, values: &Matrix<f64>) -> Matrix<f64> {
        values.map(|y| {
            let excess = y.abs() - self.bound;
            match excess > 0.0 {
                true => (self.bound + excess.min(Self::FARTHEST).exp_m1()).copysign(y),
                false => y,
            }
        })
    }

    /// ln |dy/dx|, from y.
    pub(super) fn log_slope(&self, y: f64) -> f64 {
        // The slope is 1 / (1 + |x| - bound), and y = bound + ln(1 + |x| - bound).
        -(y.abs() - self.bound).max(0.0)
    }

    pub(super) fn is_valid(&self) -> bool {
        self.bound.is_finite() && self.bound > 0.0
    }
}
