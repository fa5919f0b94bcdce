use std::iter::Sum;

use num_traits::{Float, NumAssign};

/// The number type of the CPU executor: f64 for the reference, f32 for speed.
pub trait Real: Float + NumAssign + Default + Sum + Send + Sync + 'static {
    /// For people: "f32" or "f64".
    const NAME: &'static str;

    fn of(value: f64) -> Self;

    fn f64(self) -> f64;

    /// The hyperbolic tangent. f64 takes the library's; f32 takes the rational function that the kernels take too,
    /// because WGSL's own `tanh` may be off by 1e-5 and because plain arithmetic vectorises.
    fn tanh_(self) -> Self;

    /// The exponential. f64 takes the library's; f32 takes plain arithmetic, which vectorises.
    fn exp_(self) -> Self;

    /// log(1 + exp(x)) without overflow.
    fn softplus(self) -> Self {
        self.max(Self::zero()) + (-self.abs()).exp().ln_1p()
    }

    /// 1 / (1 + exp(-x)) without overflow.
    #[inline(always)]
    fn sigmoid(self) -> Self {
        // exp(-x) overflows to infinity for very negative x, whose reciprocal is the right answer, 0.
        (Self::one() + (-self).exp_()).recip()
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

    fn tanh_(self) -> Self {
        self.tanh()
    }

    fn exp_(self) -> Self {
        self.exp()
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

    /// x P(x^2) / Q(x^2), degrees 13 and 6, as Eigen has it; beyond 7.9 tanh is 1 to within an f32's rounding.
    /// Off by at most 4e-7. Its twin is `tanh_` in `shaders/shared/numbers.wgsl`.
    #[inline(always)]
    fn tanh_(self) -> Self {
        // max and min, unlike clamp, turn a NaN into a number; the comparison lets it through.
        let x = if self.is_nan() {
            self
        } else {
            self.clamp(-7.905_311, 7.905_311)
        };
        let x2 = x * x;
        let mut p = -2.760_768_5e-16;
        for c in [
            2.000_188e-13,
            -8.604_672e-11,
            5.122_297e-8,
            1.485_722_4e-5,
            6.372_619e-4,
            4.893_524_6e-3,
        ] {
            p = p * x2 + c;
        }
        let mut q = 1.198_258_4e-6;
        for c in [1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3] {
            q = q * x2 + c;
        }
        x * p / q
    }

    /// 2^n exp(r) with n the whole number nearest to x / ln 2 and a polynomial for exp(r), |r| <= ln 2 / 2 (Cephes,
    /// `expf`). Off by at most 2e-7 of the result; 0 below -86.6, infinity above 88.7.
    #[inline(always)]
    fn exp_(self) -> Self {
        const LOWEST: f32 = -86.6;
        let x = self.clamp(LOWEST, 89.0);
        // Adding 1.5 * 2^23 leaves no room for a fraction.
        const ROUND: f32 = 12_582_912.0;
        let shifted = x * std::f32::consts::LOG2_E + ROUND;
        let n = shifted - ROUND;
        // ln 2 in two parts, the first short enough for n times it to be exact.
        let r = x - n * 0.693_359_4 - n * -2.121_944_4e-4;
        let mut p = 1.987_569_1e-4;
        for c in [
            1.398_199_9e-3,
            8.333_452e-3,
            4.166_579_6e-2,
            1.666_666_5e-1,
            0.5,
        ] {
            p = p * r + c;
        }
        let p = p * r * r + r + 1.0;
        // 2^(n - 1), then once more 2: 2^128 is no number of its own.
        let whole = shifted.to_bits().wrapping_sub(ROUND.to_bits());
        let half = f32::from_bits(whole.wrapping_add(126) << 23);
        if self < LOWEST { 0.0 } else { p * half * 2.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tanh_of_f32_is_close_to_exact() {
        let mut worst = 0.0f64;
        for i in -200_000..=200_000 {
            let x = i as f32 * 5e-5;
            worst = worst.max((x.tanh_().f64() - x.f64().tanh()).abs());
        }
        assert!(worst < 4e-7, "off by {worst}");
        let far = 1e30f32.tanh_();
        assert!((0.999_999_9..=1.0).contains(&far) && (-1e30f32).tanh_() == -far);
        assert!(f32::NAN.tanh_().is_nan());
    }

    #[test]
    fn exp_of_f32_is_close_to_exact() {
        let mut worst = 0.0f64;
        for i in -866_000..=887_000 {
            let x = i as f32 * 1e-4;
            worst = worst.max((x.exp_().f64() / x.f64().exp() - 1.0).abs());
        }
        assert!(worst < 2e-7, "off by {worst}");
        assert_eq!((0.0f32.exp_(), (-100.0f32).exp_()), (1.0, 0.0));
        assert_eq!(f32::NEG_INFINITY.exp_(), 0.0);
        assert!(88.9f32.exp_() == f32::INFINITY && f32::INFINITY.exp_() == f32::INFINITY);
        assert!(f32::NAN.exp_().is_nan());
    }

    #[test]
    fn softplus_and_sigmoid_do_not_overflow() {
        for (x, softplus, sigmoid) in [(1e4, 1e4, 1.0), (-1e4, 0.0, 0.0), (0.0, 2f64.ln(), 0.5)] {
            assert_eq!((x.softplus(), x.sigmoid()), (softplus, sigmoid));
        }
    }
}
