use pulp::Simd;

use super::Arithmetic;

impl Arithmetic for f64 {
    type Vector<S: Simd> = f64;

    const WIDEST: usize = 1;

    #[inline(always)]
    fn splat<S: Simd>(_: S, value: f64) -> f64 {
        value
    }

    #[inline(always)]
    fn add<S: Simd>(_: S, a: f64, b: f64) -> f64 {
        a + b
    }

    #[inline(always)]
    fn sub<S: Simd>(_: S, a: f64, b: f64) -> f64 {
        a - b
    }

    #[inline(always)]
    fn mul<S: Simd>(_: S, a: f64, b: f64) -> f64 {
        a * b
    }

    #[inline(always)]
    fn div<S: Simd>(_: S, a: f64, b: f64) -> f64 {
        a / b
    }

    #[inline(always)]
    fn abs<S: Simd>(_: S, a: f64) -> f64 {
        a.abs()
    }

    #[inline(always)]
    fn sqrt<S: Simd>(_: S, a: f64) -> f64 {
        a.sqrt()
    }

    #[inline(always)]
    fn mul_add<S: Simd>(_: S, a: f64, b: f64, c: f64) -> f64 {
        a * b + c
    }

    #[inline(always)]
    fn where_greater<S: Simd>(_: S, a: f64, b: f64, yes: f64, no: f64) -> f64 {
        if a > b { yes } else { no }
    }

    #[inline(always)]
    fn sum<S: Simd>(_: S, a: f64) -> f64 {
        a
    }

    #[inline(always)]
    fn tanh_<S: Simd>(_: S, x: f64) -> f64 {
        x.tanh()
    }

    #[inline(always)]
    fn exp_<S: Simd>(_: S, x: f64) -> f64 {
        x.exp()
    }

    #[inline(always)]
    fn ln_<S: Simd>(_: S, x: f64) -> f64 {
        x.ln()
    }

    #[inline(always)]
    fn ln_1p_<S: Simd>(_: S, x: f64) -> f64 {
        x.ln_1p()
    }
}
