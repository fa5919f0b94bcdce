use pulp::Simd;

use crate::cpu::real::Real;
use crate::cpu::vector::Vector;

/// The widths or the heights of all bins, as the softmax has them before its division.
pub(super) struct Sides<'a, S: Simd, T: Real> {
    pub(super) exponentials: &'a [Vector<S, T>],
    /// 1 / their sum.
    pub(super) inverse: Vector<S, T>,
    /// The length of the part that the softmax divides, and the least length of a bin.
    pub(super) span: Vector<S, T>,
    pub(super) least: Vector<S, T>,
}

impl<S: Simd, T: Real> Sides<'_, S, T> {
    #[inline(always)]
    pub(super) fn share(&self, bin: usize) -> Vector<S, T> {
        self.exponentials[bin] * self.inverse
    }

    #[inline(always)]
    pub(super) fn length(&self, bin: usize) -> Vector<S, T> {
        self.share(bin).mul_add(self.span, self.least)
    }
}

/// The bin that a number is in.
pub(super) struct Bin<S: Simd, T: Real> {
    /// Its number.
    pub(super) index: Vector<S, T>,
    /// Where it begins, in x and in z.
    pub(super) x: Vector<S, T>,
    pub(super) z: Vector<S, T>,
    pub(super) width: Vector<S, T>,
    pub(super) height: Vector<S, T>,
    /// What the derivatives at its ends are made of.
    pub(super) raw_slopes: [Vector<S, T>; 2],
}

impl<S: Simd, T: Real> Bin<S, T> {
    /// `before` where this bin comes after bin `k`, `at` where it is bin `k`, else 0.
    #[inline(always)]
    pub(super) fn by_position(
        &self,
        simd: S,
        k: usize,
        before: Vector<S, T>,
        at: Vector<S, T>,
    ) -> Vector<S, T> {
        let zero = Vector::splat(simd, T::zero());
        let number = Vector::splat(simd, T::of(k as f64));
        let at = number.where_greater(self.index, zero, at);
        self.index.where_greater(number, before, at)
    }
}

/// The curve in a bin, at t in it, from 0 to 1.
pub(super) struct Curve<S: Simd, T: Real> {
    pub(super) one: Vector<S, T>,
    pub(super) t: Vector<S, T>,
    /// t (1 - t).
    pub(super) u: Vector<S, T>,
    /// Height by width.
    pub(super) s: Vector<S, T>,
    /// d0 + d1 - 2 s.
    pub(super) bend: Vector<S, T>,
    /// z = z0 + height * numerator / denominator.
    pub(super) numerator: Vector<S, T>,
    pub(super) denominator: Vector<S, T>,
    /// dz/dx = s^2 * rise / denominator^2.
    pub(super) rise: Vector<S, T>,
}

impl<S: Simd, T: Real> Curve<S, T> {
    #[inline(always)]
    pub(super) fn new(simd: S, bin: &Bin<S, T>, d: [Vector<S, T>; 2], t: Vector<S, T>) -> Self {
        let one = Vector::splat(simd, T::one());
        let s = bin.height / bin.width;
        let u = t * (one - t);
        let bend = d[0] + d[1] - (s + s);
        let rest = one - t;
        Curve {
            one,
            t,
            u,
            s,
            bend,
            numerator: s * t * t + d[0] * u,
            denominator: s + bend * u,
            rise: d[1] * t * t + (s + s) * u + d[0] * rest * rest,
        }
    }

    #[inline(always)]
    pub(super) fn ratio(&self) -> Vector<S, T> {
        self.numerator / self.denominator
    }

    #[inline(always)]
    pub(super) fn log_derivative(&self) -> Vector<S, T> {
        let root = self.s / self.denominator;
        (root * root * self.rise).ln()
    }
}

/// Rounding may carry t a little beyond the ends of its bin.
#[inline(always)]
pub(super) fn within<S: Simd, T: Real>(simd: S, t: Vector<S, T>) -> Vector<S, T> {
    let (zero, one) = (
        Vector::splat(simd, T::zero()),
        Vector::splat(simd, T::one()),
    );
    let t = t.where_greater(one, one, t);
    zero.where_greater(t, zero, t)
}
