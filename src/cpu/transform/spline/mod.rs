mod curve;

use pulp::Simd;

use crate::cpu::real::Real;
use crate::cpu::vector::Vector;
use crate::flow::{MAX_BINS, SPLINE_DERIVATIVE_OFFSET, SPLINE_MINIMUM};

use super::Elementwise;
use curve::{Bin, Curve, Sides, within};

/// A rational-quadratic spline with so many bins on [-bound, bound], and the identity outside (Durkan et al. 2019, "Neural
/// spline flows", eq. 4 to 8 and appendix A.1). All parameters zero make it the identity. Kernel:
/// `shaders/shared/transform_spline.wgsl`.
///
/// The parameters are numbers for the widths, for the heights, and for the derivatives at the inner knots. The input is clamped
/// before the maths, and the tail chosen after: the other way round a tail's infinities come back as NaN in gradients.
pub struct Spline {
    pub bins: usize,
    pub bound: f64,
}

impl Spline {
    /// Those whose parameters begin with parameter `first`; `exponentials` is room for them.
    #[inline(always)]
    fn sides<'a, S: Simd, T: Real>(
        &self,
        simd: S,
        first: usize,
        parameter: &impl Fn(usize) -> Vector<S, T>,
        exponentials: &'a mut [Vector<S, T>; MAX_BINS],
    ) -> Sides<'a, S, T> {
        let exponentials = &mut exponentials[..self.bins];
        let mut largest = parameter(first);
        for k in 1..self.bins {
            largest = largest.max(parameter(first + k));
        }
        let mut sum = Vector::splat(simd, T::zero());
        for (k, exponential) in exponentials.iter_mut().enumerate() {
            *exponential = (parameter(first + k) - largest).exp();
            sum += *exponential;
        }
        let whole = 2.0 * self.bound;
        Sides {
            exponentials,
            inverse: Vector::splat(simd, T::one()) / sum,
            span: Vector::splat(
                simd,
                T::of(whole * (1.0 - SPLINE_MINIMUM * self.bins as f64)),
            ),
            least: Vector::splat(simd, T::of(whole * SPLINE_MINIMUM)),
        }
    }

    /// The bin of a number between the bounds, x or, where `by_height` says so, z.
    #[inline(always)]
    fn bin<S: Simd, T: Real>(
        &self,
        simd: S,
        value: Vector<S, T>,
        by_height: bool,
        (widths, heights): (&Sides<'_, S, T>, &Sides<'_, S, T>),
        parameter: &impl Fn(usize) -> Vector<S, T>,
    ) -> Bin<S, T> {
        let number = |value: f64| Vector::splat(simd, T::of(value));
        let mut edge = [number(-self.bound); 2];
        let mut bin = Bin {
            index: number(0.0),
            x: edge[0],
            z: edge[1],
            width: widths.length(0),
            height: heights.length(0),
            raw_slopes: [
                self.raw_derivative(simd, 0, parameter),
                self.raw_derivative(simd, 1, parameter),
            ],
        };
        let mut length = [bin.width, bin.height];
        for k in 1..self.bins {
            edge = [edge[0] + length[0], edge[1] + length[1]];
            length = [widths.length(k), heights.length(k)];
            let knot = edge[usize::from(by_height)];
            let [left, right] = &mut bin.raw_slopes;
            for (now, here) in [
                (&mut bin.index, number(k as f64)),
                (&mut bin.x, edge[0]),
                (&mut bin.z, edge[1]),
                (&mut bin.width, length[0]),
                (&mut bin.height, length[1]),
                (left, self.raw_derivative(simd, k, parameter)),
                (right, self.raw_derivative(simd, k + 1, parameter)),
            ] {
                *now = value.where_greater(knot, here, *now);
            }
        }
        bin
    }

    /// What the derivative at a knot is made of; that at the bounds, which is 1, of 0.
    #[inline(always)]
    fn raw_derivative<S: Simd, T: Real>(
        &self,
        simd: S,
        knot: usize,
        parameter: &impl Fn(usize) -> Vector<S, T>,
    ) -> Vector<S, T> {
        if knot == 0 || knot == self.bins {
            Vector::splat(simd, T::zero())
        } else {
            parameter(2 * self.bins + knot - 1)
        }
    }

    /// A derivative, and what its derivative by the raw number is the sigmoid of.
    #[inline(always)]
    fn derivative<S: Simd, T: Real>(simd: S, raw: Vector<S, T>) -> (Vector<S, T>, Vector<S, T>) {
        let zero = Vector::splat(simd, T::zero());
        let raw = raw + Vector::splat(simd, T::of(SPLINE_DERIVATIVE_OFFSET));
        let softplus = raw.max(zero) + (-raw.abs()).exp().ln_1p();
        (Vector::splat(simd, T::of(SPLINE_MINIMUM)) + softplus, raw)
    }

    #[inline(always)]
    fn clamped<S: Simd, T: Real>(&self, simd: S, value: Vector<S, T>) -> Vector<S, T> {
        let bound = Vector::splat(simd, T::of(self.bound));
        let below = value.where_greater(bound, bound, value);
        (-bound).where_greater(below, -bound, below)
    }

    /// `inside` where the value lies between the bounds, else `outside`.
    #[inline(always)]
    fn choose<S: Simd, T: Real>(
        &self,
        simd: S,
        value: Vector<S, T>,
        inside: Vector<S, T>,
        outside: Vector<S, T>,
    ) -> Vector<S, T> {
        let bound = Vector::splat(simd, T::of(self.bound));
        value.abs().where_greater(bound, outside, inside)
    }
}

impl<S: Simd, T: Real> Elementwise<S, T> for Spline {
    #[inline(always)]
    fn forward(
        &self,
        simd: S,
        x: Vector<S, T>,
        parameter: impl Fn(usize) -> Vector<S, T>,
    ) -> (Vector<S, T>, Vector<S, T>) {
        let mut room = [[Vector::splat(simd, T::zero()); MAX_BINS]; 2];
        let [of_widths, of_heights] = &mut room;
        let widths = self.sides(simd, 0, &parameter, of_widths);
        let heights = self.sides(simd, self.bins, &parameter, of_heights);
        let clamped = self.clamped(simd, x);
        let bin = self.bin(simd, clamped, false, (&widths, &heights), &parameter);
        let [left, right] = bin.raw_slopes;
        let d = [Self::derivative(simd, left).0, Self::derivative(simd, right).0];
        let t = within(simd, (clamped - bin.x) / bin.width);
        let curve = Curve::new(simd, &bin, d, t);
        let z = curve.ratio().mul_add(bin.height, bin.z);
        let zero = Vector::splat(simd, T::zero());
        (
            self.choose(simd, x, z, x),
            self.choose(simd, x, curve.log_derivative(), zero),
        )
    }

    #[inline(always)]
    fn inverse(
        &self,
        simd: S,
        z: Vector<S, T>,
        parameter: impl Fn(usize) -> Vector<S, T>,
    ) -> Vector<S, T> {
        let mut room = [[Vector::splat(simd, T::zero()); MAX_BINS]; 2];
        let [of_widths, of_heights] = &mut room;
        let widths = self.sides(simd, 0, &parameter, of_widths);
        let heights = self.sides(simd, self.bins, &parameter, of_heights);
        let clamped = self.clamped(simd, z);
        let bin = self.bin(simd, clamped, true, (&widths, &heights), &parameter);
        let [left, right] = bin.raw_slopes;
        let (d0, d1) = (Self::derivative(simd, left).0, Self::derivative(simd, right).0);
        // The root of a t^2 + b t + c that lies in the bin (appendix A.1, eq. 29).
        let s = bin.height / bin.width;
        let rise = clamped - bin.z;
        let bent = rise * (d0 + d1 - (s + s));
        let a = bin.height * (s - d0) + bent;
        let b = bin.height * d0 - bent;
        let c = -(s * rise);
        let zero = Vector::splat(simd, T::zero());
        let four = Vector::splat(simd, T::of(4.0));
        let root = (b * b - four * a * c).max(zero).sqrt();
        let t = within(simd, (c + c) / (-(b + root)));
        self.choose(simd, z, t.mul_add(bin.width, bin.x), z)
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
        let zero = Vector::splat(simd, T::zero());
        let mut room = [[Vector::splat(simd, T::zero()); MAX_BINS]; 2];
        let [of_widths, of_heights] = &mut room;
        let widths = self.sides(simd, 0, &parameter, of_widths);
        let heights = self.sides(simd, self.bins, &parameter, of_heights);
        let clamped = self.clamped(simd, x);
        let bin = self.bin(simd, clamped, false, (&widths, &heights), &parameter);
        let [left, right] = bin.raw_slopes;
        let (d0, raw0) = Self::derivative(simd, left);
        let (d1, raw1) = Self::derivative(simd, right);
        let t = within(simd, (clamped - bin.x) / bin.width);
        let curve = Curve::new(simd, &bin, [d0, d1], t);

        // In the tails nothing depends on the parameters.
        let gz = self.choose(simd, x, of_z, zero);
        let gl = self.choose(simd, x, of_log_slope, zero);
        let Curve {
            one,
            t,
            u,
            s,
            bend,
            denominator,
            rise,
            ..
        } = curve;
        let two = one + one;
        let rest = one - t;
        let tilt = rest - t;
        let ratio = curve.ratio();
        // z by the numerator, and by the denominator.
        let per = gz * bin.height / denominator;
        let per_denominator = -(per * ratio) - two * gl / denominator;
        let per_rise = gl / rise;
        let by_t = per * (two * s * t + d0 * tilt)
            + per_denominator * bend * tilt
            + per_rise * two * (d1 * t + s * tilt - d0 * rest);
        let by_s =
            per * t * t + per_denominator * (one - two * u) + per_rise * two * u + two * gl / s;
        let by_d0 = per * u + per_denominator * u + per_rise * rest * rest;
        let by_d1 = per_denominator * u + per_rise * t * t;
        // t = (x - x0) / width, s = height / width.
        let by_x = by_t / bin.width;
        let by_width = -((by_s * s + by_t * t) / bin.width);
        let by_height = gz * ratio + by_s / bin.width;

        // The bin's beginning is the sum of all sides before it: those in front have its gradient, the bin its own.
        for (first, sides, of_beginning, of_side) in [
            (0, &widths, -by_x, by_width),
            (self.bins, &heights, gz, by_height),
        ] {
            let mut mean = zero;
            for k in 0..self.bins {
                let of_length = bin.by_position(simd, k, of_beginning, of_side);
                mean = sides.share(k).mul_add(of_length, mean);
            }
            for k in 0..self.bins {
                let of_length = bin.by_position(simd, k, of_beginning, of_side);
                put(first + k, sides.span * sides.share(k) * (of_length - mean));
            }
        }
        let by_raw0 = by_d0 * raw0.sigmoid();
        let by_raw1 = by_d1 * raw1.sigmoid();
        for k in 1..self.bins {
            // The knot between bins k - 1 and k: the end of the one, the beginning of the other.
            let as_beginning = bin.by_position(simd, k, zero, by_raw0);
            let as_end = bin.by_position(simd, k - 1, zero, by_raw1);
            put(2 * self.bins + k - 1, as_beginning + as_end);
        }
        self.choose(simd, x, by_x, of_z)
    }
}

#[cfg(test)]
mod tests {
    use pulp::Scalar;

    use super::*;

    /// A spline's parameters as plain numbers.
    fn at<T: Real>(parameters: &[f64]) -> impl Fn(usize) -> Vector<Scalar, T> {
        |k| Vector::splat(Scalar, T::of(parameters[k]))
    }

    fn number<T: Real>(value: T) -> Vector<Scalar, T> {
        Vector::splat(Scalar, value)
    }

    /// Raw parameters as an untrained network may give them: all equal, and each anywhere from -1e4 to 1e4.
    fn wild(bins: usize) -> Vec<Vec<f64>> {
        const SIZES: [f64; 7] = [0.0, -1e4, 1e4, -30.0, 30.0, 1.0, -1.0];
        let count = 3 * bins - 1;
        let mut all: Vec<Vec<f64>> = SIZES.iter().map(|&size| vec![size; count]).collect();
        for seed in 0..20 {
            let size = |k: usize| SIZES[(k * k + seed * (3 * k + 1) + k / 3) % SIZES.len()];
            all.push((0..count).map(size).collect());
        }
        all
    }

    /// Numbers at, just before and just after each of some points.
    fn around<T: Real>(indices: &[f64]) -> Vec<T> {
        let steps = [0.0, 1e-15, -1e-15, 1e-7, -1e-7, 1e-3, -1e-3];
        let near = |&position: &f64| steps.map(|step| T::of(position + step * position.abs().max(1.0)));
        indices.iter().flat_map(near).collect()
    }

    /// Where the bins begin and end, in x and in z.
    fn knots(spline: &Spline, parameters: &[f64]) -> [Vec<f64>; 2] {
        [0, spline.bins].map(|first| {
            let mut room = [number(0.0); MAX_BINS];
            let sides = spline.sides::<Scalar, f64>(Scalar, first, &at(parameters), &mut room);
            let mut edge = -spline.bound;
            let lengths = (0..spline.bins).map(|k| sides.length(k).sum());
            let ends = lengths.map(|length| {
                edge += length;
                edge
            });
            std::iter::once(-spline.bound).chain(ends).collect()
        })
    }

    fn no_finite_input_gives_nan<T: Real>() {
        for bins in [2, 8, 32] {
            let spline = Spline { bins, bound: 4.0 };
            for parameters in wild(bins) {
                let [mut x, z] = knots(&spline, &parameters);
                x.extend(z);
                x.extend([0.0, -0.0, 1e-30, 1e4, -1e30, 3e38, -3e38]);
                let p = at::<T>(&parameters);
                for x in around::<T>(&x) {
                    let what = format!("{bins} bins, x = {}, {parameters:?}", x.f64());
                    let (z, log_derivative) = spline.forward(Scalar, number(x), &p);
                    let back = spline.inverse(Scalar, number(x), &p);
                    let mut numbers = vec![z.sum(), log_derivative.sum(), back.sum()];
                    let gradients = (number(T::one()), number(T::one()));
                    let put = |_, gradient: Vector<Scalar, T>| numbers.push(gradient.sum());
                    let by_x = spline.backward(Scalar, number(x), gradients, &p, put);
                    numbers.push(by_x.sum());
                    assert_eq!(numbers.len(), 3 + 3 * bins, "{what}");
                    assert!(numbers.iter().all(|n| n.is_finite()), "{what}");
                }
            }
        }
    }

    #[test]
    fn no_finite_input_gives_nan_in_f64() {
        no_finite_input_gives_nan::<f64>();
    }

    #[test]
    fn no_finite_input_gives_nan_in_f32() {
        no_finite_input_gives_nan::<f32>();
    }

    #[test]
    fn zero_parameters_are_the_identity() {
        for bins in [2, 8, 31] {
            let spline = Spline { bins, bound: 4.0 };
            let parameters = vec![0.0; 3 * bins - 1];
            let p = at::<f64>(&parameters);
            for x in around::<f64>(&[-5.0, -4.0, -1.3, 0.0, 0.5, 2.0, 4.0, 100.0]) {
                let (z, log_derivative) = spline.forward(Scalar, number(x), &p);
                assert!((z.sum() - x).abs() < 1e-14, "{x} becomes {}", z.sum());
                assert!(log_derivative.sum().abs() < 1e-13);
            }
        }
    }

    /// A fault shows: NaN in, NaN out.
    #[test]
    fn nan_stays() {
        let spline = Spline {
            bins: 8,
            bound: 4.0,
        };
        let parameters = [0.3; 23];
        let p = at::<f32>(&parameters);
        let (z, _) = spline.forward(Scalar, number(f32::NAN), &p);
        let back = spline.inverse(Scalar, number(f32::NAN), &p);
        assert!(z.sum().is_nan() && back.sum().is_nan());
        let broken = |k| number(if k == 3 { f32::NAN } else { 0.3 });
        let (z, _) = spline.forward(Scalar, number(0.5f32), broken);
        assert!(z.sum().is_nan());
    }
}
