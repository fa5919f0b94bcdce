use pulp::{Simd, cast};

use super::Arithmetic;

#[inline(always)]
fn splat<S: Simd>(simd: S, number: f32) -> S::f32s {
    simd.splat_f32s(number)
}

/// The polynomial with these coefficients, that of the highest power first.
#[inline(always)]
fn polynomial<S: Simd>(simd: S, x: S::f32s, coefficients: &[f32]) -> S::f32s {
    let mut sum = splat(simd, coefficients[0]);
    for &c in &coefficients[1..] {
        sum = simd.mul_add_e_f32s(sum, x, splat(simd, c));
    }
    sum
}

impl Arithmetic for f32 {
    type Vector<S: Simd> = S::f32s;

    const WIDEST: usize = 16;

    #[inline(always)]
    fn splat<S: Simd>(simd: S, value: f32) -> S::f32s {
        simd.splat_f32s(value)
    }

    #[inline(always)]
    fn add<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
        simd.add_f32s(a, b)
    }

    #[inline(always)]
    fn sub<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
        simd.sub_f32s(a, b)
    }

    #[inline(always)]
    fn mul<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
        simd.mul_f32s(a, b)
    }

    #[inline(always)]
    fn div<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
        simd.div_f32s(a, b)
    }

    #[inline(always)]
    fn abs<S: Simd>(simd: S, a: S::f32s) -> S::f32s {
        let magnitude = simd.splat_u32s(0x7fff_ffff);
        cast(simd.and_u32s(cast(a), magnitude))
    }

    #[inline(always)]
    fn sqrt<S: Simd>(simd: S, a: S::f32s) -> S::f32s {
        simd.sqrt_f32s(a)
    }

    #[inline(always)]
    fn mul_add<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
        simd.mul_add_e_f32s(a, b, c)
    }

    #[inline(always)]
    fn where_greater<S: Simd>(
        simd: S,
        a: S::f32s,
        b: S::f32s,
        yes: S::f32s,
        no: S::f32s,
    ) -> S::f32s {
        // Simd::select_f32s is not always inlined, and then the instruction that it stands for is called as a function.
        let is_greater = simd.greater_than_f32s(a, b);
        cast(simd.select_u32s(is_greater, cast(yes), cast(no)))
    }

    #[inline(always)]
    fn sum<S: Simd>(simd: S, a: S::f32s) -> f32 {
        simd.reduce_sum_f32s(a)
    }

    /// x P(x^2) / Q(x^2), degrees 13 and 6, as Eigen has it; beyond 7.9 tanh is 1 to within an f32's rounding.
    /// Off by at most 4e-7. On a GPU: `tanh_` in `shaders/shared/numbers.wgsl`.
    #[inline(always)]
    fn tanh_<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
        const REACH: f32 = 7.905_311;
        let (low, high) = (simd.splat_f32s(-REACH), simd.splat_f32s(REACH));
        // Comparisons, unlike minima and maxima, let a NaN through.
        let x = Self::where_greater(simd, x, high, high, x);
        let x = Self::where_greater(simd, low, x, low, x);
        let x2 = simd.mul_f32s(x, x);
        let p = polynomial(
            simd,
            x2,
            &[
                -2.760_768_5e-16,
                2.000_188e-13,
                -8.604_672e-11,
                5.122_297e-8,
                1.485_722_4e-5,
                6.372_619e-4,
                4.893_524_6e-3,
            ],
        );
        let q = polynomial(
            simd,
            x2,
            &[1.198_258_4e-6, 1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3],
        );
        simd.div_f32s(simd.mul_f32s(x, p), q)
    }

    /// 2^n exp(r) with n the whole number nearest to x / ln 2 and a polynomial for exp(r), |r| <= ln 2 / 2 (Cephes,
    /// `expf`). Off by at most 2e-7 of the result; 0 below -86.6, infinity above 88.7.
    #[inline(always)]
    fn exp_<S: Simd>(simd: S, value: S::f32s) -> S::f32s {
        let (lowest, highest) = (splat(simd, -86.6), splat(simd, 89.0));
        let x = Self::where_greater(simd, value, highest, highest, value);
        let x = Self::where_greater(simd, lowest, x, lowest, x);
        // Adding 1.5 * 2^23 leaves no room for a fraction.
        const ROUND: f32 = 12_582_912.0;
        let shifted =
            simd.mul_add_e_f32s(x, splat(simd, std::f32::consts::LOG2_E), splat(simd, ROUND));
        let n = simd.sub_f32s(shifted, splat(simd, ROUND));
        // ln 2 in two parts, the first short enough for n times it to be exact.
        let r = simd.mul_add_e_f32s(n, splat(simd, -0.693_359_4), x);
        let r = simd.mul_add_e_f32s(n, splat(simd, 2.121_944_4e-4), r);
        let mut p = splat(simd, 1.987_569_1e-4);
        for c in [
            1.398_199_9e-3,
            8.333_452e-3,
            4.166_579_6e-2,
            1.666_666_5e-1,
            0.5,
            1.0,
            1.0,
        ] {
            p = simd.mul_add_e_f32s(p, r, splat(simd, c));
        }
        // 2^(n - 1), then once more 2: 2^128 is no number of its own.
        let whole = simd.add_u32s(
            cast(shifted),
            simd.splat_u32s(126u32.wrapping_sub(ROUND.to_bits())),
        );
        let half = cast(simd.wrapping_dyn_shl_u32s(whole, simd.splat_u32s(23)));
        let result = simd.mul_f32s(simd.mul_f32s(p, half), splat(simd, 2.0));
        Self::where_greater(simd, lowest, value, splat(simd, 0.0), result)
    }

    /// The exponent, and a polynomial for the logarithm of the rest, from sqrt(1/2) to sqrt(2) (Cephes, `logf`). Off by at
    /// most 2e-7, absolutely near 1, of the result elsewhere; for normal numbers, and NaN. Kernel: `log_` in
    /// `shaders/shared/numbers.wgsl`.
    #[inline(always)]
    fn ln_<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
        let bits = cast(x);
        let number = |value: u32| simd.splat_u32s(value);
        let exponent = simd.wrapping_dyn_shr_u32s(bits, number(23));
        // 2^23 + the exponent, as a number, by its bits.
        const SHIFT: f32 = 8_388_608.0;
        let shifted = cast(simd.or_u32s(exponent, number(SHIFT.to_bits())));
        let exponent = simd.sub_f32s(shifted, splat(simd, SHIFT + 126.0));
        // From 1/2 to 1.
        let mantissa = simd.and_u32s(bits, number(0x007f_ffff));
        let mantissa = cast(simd.or_u32s(mantissa, number(0x3f00_0000)));
        let half_root = splat(simd, std::f32::consts::FRAC_1_SQRT_2);
        let is_low = |low, high| Self::where_greater(simd, half_root, mantissa, low, high);
        let one = splat(simd, 1.0);
        let exponent = is_low(simd.sub_f32s(exponent, one), exponent);
        let y = simd.sub_f32s(is_low(simd.add_f32s(mantissa, mantissa), mantissa), one);
        let y2 = simd.mul_f32s(y, y);
        let p = polynomial(
            simd,
            y,
            &[
                7.037_683_6e-2,
                -1.151_461e-1,
                1.167_699_9e-1,
                -1.242_014_1e-1,
                1.424_932_3e-1,
                -1.666_805_8e-1,
                2.000_071_5e-1,
                -2.499_999_4e-1,
                3.333_333e-1,
            ],
        );
        let tail = simd.mul_f32s(simd.mul_f32s(p, y), y2);
        let tail = simd.mul_add_e_f32s(exponent, splat(simd, -2.121_944_4e-4), tail);
        let tail = simd.mul_add_e_f32s(y2, splat(simd, -0.5), tail);
        let sum = simd.add_f32s(y, tail);
        let result = simd.mul_add_e_f32s(exponent, splat(simd, 0.693_359_4), sum);
        // What is above 0 has a logarithm; what is not gives NaN, which must show, and so must an infinity.
        let result = Self::where_greater(simd, x, splat(simd, f32::MAX), x, result);
        Self::where_greater(simd, x, splat(simd, 0.0), result, splat(simd, f32::NAN))
    }

    /// 2 artanh(x / (2 + x)) as a series. Off by at most 2e-7 of the result. Kernel: `log1p_` in
    /// `shaders/shared/numbers.wgsl`.
    #[inline(always)]
    fn ln_1p_<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
        let s = simd.div_f32s(x, simd.add_f32s(x, simd.splat_f32s(2.0)));
        let s2 = simd.mul_f32s(s, s);
        let mut series = simd.splat_f32s(1.0 / 15.0);
        for odd in [13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
            series = simd.mul_add_e_f32s(series, s2, simd.splat_f32s(1.0 / odd));
        }
        simd.mul_f32s(simd.add_f32s(s, s), series)
    }
}

#[cfg(test)]
mod tests {
    use pulp::{Arch, Scalar, WithSimd};

    use super::*;

    /// A function of vectors over a list of numbers.
    struct Over<'a, F>(&'a mut [f32], F);

    trait Function {
        fn at<S: Simd>(&self, simd: S, x: S::f32s) -> S::f32s;
    }

    impl<F: Function> WithSimd for Over<'_, F> {
        type Output = ();
        fn with_simd<S: Simd>(self, simd: S) {
            let (head, tail) = S::as_mut_simd_f32s(self.0);
            for x in head {
                *x = self.1.at(simd, *x);
            }
            for x in tail {
                *x = self.1.at(Scalar, *x);
            }
        }
    }

    struct Tanh;
    struct Exp;
    struct Ln;
    struct Ln1p;

    impl Function for Tanh {
        fn at<S: Simd>(&self, simd: S, x: S::f32s) -> S::f32s {
            f32::tanh_(simd, x)
        }
    }

    impl Function for Exp {
        fn at<S: Simd>(&self, simd: S, x: S::f32s) -> S::f32s {
            f32::exp_(simd, x)
        }
    }

    impl Function for Ln {
        fn at<S: Simd>(&self, simd: S, x: S::f32s) -> S::f32s {
            f32::ln_(simd, x)
        }
    }

    impl Function for Ln1p {
        fn at<S: Simd>(&self, simd: S, x: S::f32s) -> S::f32s {
            f32::ln_1p_(simd, x)
        }
    }

    /// On the processor's own instruction set, and with plain numbers.
    fn both(numbers: &[f32], function: impl Function + Copy) -> [Vec<f32>; 2] {
        let (mut fast, mut plain) = (numbers.to_vec(), numbers.to_vec());
        Arch::new().dispatch(Over(&mut fast, function));
        Over(&mut plain, function).with_simd(Scalar);
        [fast, plain]
    }

    impl<F: Function> Function for &F {
        fn at<S: Simd>(&self, simd: S, x: S::f32s) -> S::f32s {
            (**self).at(simd, x)
        }
    }

    /// The largest of `error(f32 result, x)` over a range.
    fn worst(
        range: std::ops::RangeInclusive<i32>,
        step: f32,
        function: impl Function,
        error: impl Fn(f64, f64) -> f64,
    ) -> f64 {
        let numbers: Vec<f32> = range.map(|i| i as f32 * step).collect();
        let results = both(&numbers, &function);
        let pairs = results
            .iter()
            .flat_map(|results| results.iter().zip(&numbers));
        pairs
            .map(|(y, x)| error(f64::from(*y), f64::from(*x)))
            .fold(0.0, f64::max)
    }

    #[test]
    fn tanh_of_f32_is_close_to_exact() {
        let worst = worst(-200_000..=200_000, 5e-5, Tanh, |y, x| (y - x.tanh()).abs());
        assert!(worst < 4e-7, "off by {worst}");
        for [far, near, nan, infinite] in
            both(&[1e30, -1e30, f32::NAN, f32::INFINITY], &Tanh).map(|v| [v[0], v[1], v[2], v[3]])
        {
            assert!((0.999_999_8..=1.000_000_2).contains(&far) && near == -far);
            assert!(nan.is_nan() && infinite == far);
        }
    }

    #[test]
    fn exp_of_f32_is_close_to_exact() {
        let worst = worst(-866_000..=887_000, 1e-4, Exp, |y, x| {
            (y / x.exp() - 1.0).abs()
        });
        assert!(worst < 2e-7, "off by {worst}");
        let special = [
            0.0,
            -100.0,
            f32::NEG_INFINITY,
            88.9,
            f32::INFINITY,
            f32::NAN,
        ];
        for results in both(&special, &Exp) {
            assert_eq!(&results[..3], [1.0, 0.0, 0.0]);
            assert_eq!(&results[3..5], [f32::INFINITY; 2]);
            assert!(results[5].is_nan());
        }
    }

    #[test]
    fn ln_of_f32_is_close_to_exact() {
        let error = |y: f64, x: f64| (y - x.ln()).abs() / x.ln().abs().max(1.0);
        for (range, step) in [
            (1..=100_000, 1e-4),
            (1..=100_000, 1e-30),
            (1..=100_000, 1e30),
        ] {
            let worst = worst(range, step, Ln, error);
            assert!(worst < 2e-7, "off by {worst}");
        }
        assert_eq!(both(&[1.0], &Ln), [[0.0], [0.0]]);
        for result in both(&[f32::NAN, -1.0, 0.0], &Ln).concat() {
            assert!(result.is_nan());
        }
    }

    #[test]
    fn ln_1p_of_f32_is_close_to_exact() {
        let worst = worst(1..=100_000, 1e-5, Ln1p, |y, x| (y / x.ln_1p() - 1.0).abs());
        assert!(worst < 3e-7, "off by {worst}");
        assert_eq!(both(&[0.0], &Ln1p), [[0.0], [0.0]]);
    }
}
