use pulp::Simd;

use crate::cpu::real::Real;
use crate::cpu::vector::Vector;

use super::Elementwise;

/// `z = x + t`. Kernel: `shaders/shared/transform_additive.wgsl`.
pub struct Additive;

impl<S: Simd, T: Real> Elementwise<S, T> for Additive {
    #[inline(always)]
    fn forward(
        &self,
        simd: S,
        x: Vector<S, T>,
        parameter: impl Fn(usize) -> Vector<S, T>,
    ) -> (Vector<S, T>, Vector<S, T>) {
        (x + parameter(0), Vector::splat(simd, T::zero()))
    }

    #[inline(always)]
    fn inverse(
        &self,
        _: S,
        z: Vector<S, T>,
        parameter: impl Fn(usize) -> Vector<S, T>,
    ) -> Vector<S, T> {
        z - parameter(0)
    }

    #[inline(always)]
    fn backward(
        &self,
        _: S,
        _: Vector<S, T>,
        (of_z, _): (Vector<S, T>, Vector<S, T>),
        _: impl Fn(usize) -> Vector<S, T>,
        mut put: impl FnMut(usize, Vector<S, T>),
    ) -> Vector<S, T> {
        put(0, of_z);
        of_z
    }
}
