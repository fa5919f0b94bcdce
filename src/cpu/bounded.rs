use pulp::Simd;

use super::real::Real;
use super::vector::Vector;

/// `c * tanh(x / c)` and its derivative; c = 0 leaves x as it is. Kernel: `bounded` in `shaders/shared/bounded.wgsl`.
#[inline(always)]
pub fn bounded<S: Simd, T: Real>(
    simd: S,
    x: Vector<S, T>,
    bound: f64,
) -> (Vector<S, T>, Vector<S, T>) {
    let one = Vector::splat(simd, T::one());
    if bound == 0.0 {
        return (x, one);
    }
    let c = Vector::splat(simd, T::of(bound));
    let inverse = Vector::splat(simd, T::of(bound.recip()));
    let tanh = (x * inverse).tanh();
    (c * tanh, one - tanh * tanh)
}
