mod double;
mod single;

use bytemuck::Pod;
use pulp::Simd;

/// What a processor does with vectors of a number type, for each instruction set `S`. [`Vector`](super::vector::Vector) puts
/// it into operators.
pub trait Arithmetic: Pod {
    /// What the instruction set `S` computes with at once.
    type Vector<S: Simd>: Pod;

    /// The numbers of the widest vector there is: a cache line of them for f32.
    const WIDEST: usize;

    fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S>;
    fn add<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    fn sub<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    fn mul<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    fn div<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    fn abs<S: Simd>(simd: S, a: Self::Vector<S>) -> Self::Vector<S>;
    fn sqrt<S: Simd>(simd: S, a: Self::Vector<S>) -> Self::Vector<S>;

    /// a * b + c, rounded once where the processor has an instruction for it. f64 rounds twice, as it is written.
    fn mul_add<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        c: Self::Vector<S>,
    ) -> Self::Vector<S>;

    /// `yes` where a > b, `no` elsewhere, also where either is NaN.
    fn where_greater<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        yes: Self::Vector<S>,
        no: Self::Vector<S>,
    ) -> Self::Vector<S>;

    /// The sum of a vector's numbers.
    fn sum<S: Simd>(simd: S, a: Self::Vector<S>) -> Self;

    /// The hyperbolic tangent. f64 takes the library's; f32 takes the rational function that the kernels take too,
    /// because WGSL's own `tanh` may be off by 1e-5 and because plain arithmetic is one vector's work.
    fn tanh_<S: Simd>(simd: S, x: Self::Vector<S>) -> Self::Vector<S>;

    /// The exponential. f64 takes the library's; f32 takes plain arithmetic.
    fn exp_<S: Simd>(simd: S, x: Self::Vector<S>) -> Self::Vector<S>;

    /// The natural logarithm of a positive number. f64 takes the library's; f32 takes plain arithmetic.
    fn ln_<S: Simd>(simd: S, x: Self::Vector<S>) -> Self::Vector<S>;

    /// The natural logarithm of 1 + x, for x from 0 to 1.
    fn ln_1p_<S: Simd>(simd: S, x: Self::Vector<S>) -> Self::Vector<S>;
}
