use pulp::Simd;

use crate::cpu::bounded::bounded;
use crate::cpu::real::Real;
use crate::cpu::vector::Vector;

use super::Elementwise;

/// `z = x * exp(s) + t`, the log-scale s bounded. Kernel: `shaders/shared/transform_affine.wgsl`.
pub struct Affine {
    pub scale_bound: f64,
}

/// Its parameters.
const LOG_SCALE: usize = 0;
const SHIFT: usize = 1;

impl<S: Simd, T: Real> Elementwise<S, T> for Affine {
    #[inline(always)]
    fn forward(
        &self,
        simd: S,
        x: Vector<S, T>,
        parameter: impl Fn(usize) -> Vector<S, T>,
    ) -> (Vector<S, T>, Vector<S, T>) {
        let (s, _) = bounded(simd, parameter(LOG_SCALE), self.scale_bound);
        (x.mul_add(s.exp(), parameter(SHIFT)), s)
    }

    #[inline(always)]
    fn inverse(
        &self,
        simd: S,
        z: Vector<S, T>,
        parameter: impl Fn(usize) -> Vector<S, T>,
    ) -> Vector<S, T> {
        let (s, _) = bounded(simd, parameter(LOG_SCALE), self.scale_bound);
        (z - parameter(SHIFT)) * (-s).exp()
    }

    #[inline(always)]
    fn backward(
        &self,
        simd: S,
        x: Vector<S, T>,
        (of_z, of_log_slope): (Vector<S, T>, Vector<S, T>),
        parameter: impl Fn(usize) -> Vector<S, T>,
        mut put: impl FnMut(usize, Vector<S, T>),
    ) -> Vector<S, T> {
        let (s, derivative) = bounded(simd, parameter(LOG_SCALE), self.scale_bound);
        let scaled = of_z * s.exp();
        put(LOG_SCALE, scaled.mul_add(x, of_log_slope) * derivative);
        put(SHIFT, of_z);
        scaled
    }
}
