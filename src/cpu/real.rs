use std::iter::Sum;

use num_traits::{Float, NumAssign};

use super::arithmetic::Arithmetic;
use super::columns::Column;
use super::matrix;
use super::strided::Strided;

/// The number type of the CPU executor: f64 for the reference, f32 for speed.
///
/// Both read the same loops, over `Vector`s of numbers. For f32 a vector is one of the processor's;
/// for f64 it is a single number, so that the reference is what the loops say and nothing else.
pub trait Real: Arithmetic + Float + NumAssign + Default + Sum + Send + Sync {
    /// For people: "f32" or "f64".
    const NAME: &'static str;

    /// The number nearest to `value`.
    fn of(value: f64) -> Self;

    /// As f64, exactly.
    fn f64(self) -> f64;

    /// Numbers of a table.
    fn copy(from: &[f32], to: &mut [Self]);

    /// Whether a matrix library multiplies for a map of so many inputs and outputs; never in f64.
    #[inline(always)]
    fn is_wide(_inputs: usize, _outputs: usize) -> bool {
        false
    }

    /// `matrix::add_weighted_sums`, for wide maps.
    fn add_weighted_sums(
        _weight: Strided<'_, Self>,
        _columns: &[Column<Self>],
        _output: &mut [Column<Self>],
    ) {
        unreachable!("no map is wide for this type")
    }

    /// `matrix::dots`, for wide maps.
    fn dots(
        _a: &[Column<Self>],
        _b: &[Column<Self>],
        _gradient: &mut [Self],
        _strides: (usize, usize),
        _add: bool,
    ) {
        unreachable!("no map is wide for this type")
    }

    /// log(1 + exp(x)) without overflow, of one number.
    fn softplus(self) -> Self {
        self.max(Self::zero()) + (-self.abs()).exp().ln_1p()
    }

    /// 1 / (1 + exp(-x)) without overflow, of one number.
    fn sigmoid(self) -> Self {
        // exp(-x) overflows to infinity for very negative x, whose reciprocal is the right answer, 0.
        (Self::one() + (-self).exp()).recip()
    }
}

impl Real for f64 {
    const NAME: &'static str = "f64";

    fn of(value: f64) -> Self {
        value
    }

    fn f64(self) -> f64 {
        self
    }

    fn copy(from: &[f32], to: &mut [f64]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = f64::from(*from);
        }
    }
}

impl Real for f32 {
    const NAME: &'static str = "f32";

    fn of(value: f64) -> Self {
        value as f32
    }

    fn f64(self) -> f64 {
        f64::from(self)
    }

    fn copy(from: &[f32], to: &mut [f32]) {
        to.copy_from_slice(from);
    }

    #[inline(always)]
    fn is_wide(inputs: usize, outputs: usize) -> bool {
        matrix::is_wide(inputs, outputs)
    }

    fn add_weighted_sums(
        weight: Strided<'_, f32>,
        columns: &[Column<f32>],
        output: &mut [Column<f32>],
    ) {
        matrix::add_weighted_sums(weight, columns, output);
    }

    fn dots(
        a: &[Column<f32>],
        b: &[Column<f32>],
        gradient: &mut [f32],
        strides: (usize, usize),
        add: bool,
    ) {
        matrix::dots(a, b, gradient, strides, add);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softplus_and_sigmoid_do_not_overflow() {
        for (x, softplus, sigmoid) in [(1e4, 1e4, 1.0), (-1e4, 0.0, 0.0), (0.0, 2f64.ln(), 0.5)] {
            assert_eq!((x.softplus(), x.sigmoid()), (softplus, sigmoid));
        }
    }
}
