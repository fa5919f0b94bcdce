use pulp::Simd;

use crate::flow::{Basis, Family};

use super::bounded::bounded;
use super::columns::Column;
use super::real::Real;
use super::vector::{Vector, load, store, vectors};

#[inline(always)]
fn splat<S: Simd, T: Real>(simd: S, number: f64) -> Vector<S, T> {
    Vector::splat(simd, T::of(number))
}

/// Value and derivative at x of the orthonormal polynomial of degree n. Kernel: `polynomial` in
/// `shaders/shared/basis_*.wgsl`.
#[inline(always)]
fn polynomial<S: Simd, T: Real>(
    simd: S,
    family: Family,
    n: usize,
    x: Vector<S, T>,
) -> (Vector<S, T>, Vector<S, T>) {
    let (mut before, mut value) = (splat(simd, 0.0), splat(simd, 1.0));
    let (mut slope_before, mut derivative) = (splat(simd, 0.0), splat(simd, 0.0));
    for k in 0..n {
        let (k_, next) = (k as f64, (k + 1) as f64);
        let (new, new_slope) = match family {
            // sqrt(k + 1) h_{k+1} = x h_k - sqrt(k) h_{k-1};  h'_{k+1} = sqrt(k + 1) h_k
            Family::Hermite => (
                (x * value - splat(simd, k_.sqrt()) * before) / splat(simd, next.sqrt()),
                splat(simd, next.sqrt()) * value,
            ),
            // (k + 1) P_{k+1} = (2k + 1) x P_k - k P_{k-1};  P'_{k+1} = P'_{k-1} + (2k + 1) P_k
            Family::Legendre => (
                (splat(simd, k_ + next) * x * value - splat(simd, k_) * before) / splat(simd, next),
                slope_before + splat(simd, k_ + next) * value,
            ),
        };
        (before, value) = (value, new);
        (slope_before, derivative) = (derivative, new_slope);
    }
    match family {
        Family::Hermite => (value, derivative),
        Family::Legendre => {
            let norm = splat(simd, ((2 * n + 1) as f64).sqrt());
            (norm * value, norm * derivative)
        }
    }
}

/// `output[m] = product over the factors (d, n) of term m of p_n(u_d)`, with u the bounded input. Kernel:
/// `shaders/basis_forward.wgsl`.
#[inline(always)]
pub fn forward<S: Simd, T: Real>(
    simd: S,
    op: &Basis,
    input: &[Column<T>],
    output: &mut [Column<T>],
) {
    for (term, output) in op.terms.iter().zip(output) {
        for index in vectors::<S, T>() {
            let mut product = Vector::splat(simd, T::one());
            for &(d, n) in term {
                let (u, _) = bounded(simd, load(simd, &input[d], index), op.input_bound);
                product = product * polynomial(simd, op.family, n, u).0;
            }
            store(product, output, index);
        }
    }
}

/// `input_gradient[d] += sum over the terms m with a factor in d of output_gradient[m] * d output[m] / d input[d]`. Kernel:
/// `shaders/basis_backward.wgsl`.
#[inline(always)]
pub fn backward<S: Simd, T: Real>(
    simd: S,
    op: &Basis,
    input: &[Column<T>],
    output_gradient: &[Column<T>],
    input_gradient: &mut [Column<T>],
) {
    for (term, gradient) in op.terms.iter().zip(output_gradient) {
        // Of the inputs, context needs no gradient.
        let count = input_gradient.len();
        for &(d, _) in term.iter().filter(|(d, _)| *d < count) {
            for index in vectors::<S, T>() {
                let mut product = load(simd, gradient, index);
                for &(e, n) in term {
                    let (u, bound_slope) =
                        bounded(simd, load(simd, &input[e], index), op.input_bound);
                    let (value, derivative) = polynomial(simd, op.family, n, u);
                    product = product
                        * if e == d {
                            derivative * bound_slope
                        } else {
                            value
                        };
                }
                let sum = load(simd, &input_gradient[d], index) + product;
                store(sum, &mut input_gradient[d], index);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use pulp::Scalar;

    use super::*;

    fn at(family: Family, n: usize, x: f64) -> (f64, f64) {
        let (value, derivative) = polynomial(Scalar, family, n, Vector::splat(Scalar, x));
        (value.sum(), derivative.sum())
    }

    /// Known values: He_4 = x^4 - 6x^2 + 3 over sqrt(4!), P_3 = (5x^3 - 3x) / 2 times sqrt(7).
    #[test]
    fn known_polynomials() {
        let x = 0.7f64;
        let (value, derivative) = at(Family::Hermite, 4, x);
        let norm = 24f64.sqrt();
        assert!((value - (x.powi(4) - 6.0 * x * x + 3.0) / norm).abs() < 1e-14);
        assert!((derivative - (4.0 * x.powi(3) - 12.0 * x) / norm).abs() < 1e-14);
        let (value, derivative) = at(Family::Legendre, 3, x);
        let norm = 7f64.sqrt();
        assert!((value - norm * (5.0 * x.powi(3) - 3.0 * x) / 2.0).abs() < 1e-14);
        assert!((derivative - norm * (15.0 * x * x - 3.0) / 2.0).abs() < 1e-14);
    }

    /// The Gram matrix is the identity, by Gauss quadrature that is exact for these degrees. Legendre's nodes are found
    /// by Newton's method; Hermite's density is integrated by the trapezoidal rule, which converges faster than any
    /// power for a function that vanishes at both ends.
    #[test]
    fn the_bases_are_orthonormal() {
        let degrees = 0..=9;
        for family in [Family::Hermite, Family::Legendre] {
            let (nodes, weights): (Vec<f64>, Vec<f64>) = match family {
                Family::Hermite => {
                    let (n, reach) = (4000, 14.0);
                    let step = 2.0 * reach / n as f64;
                    (0..=n)
                        .map(|k| {
                            let x = -reach + step * k as f64;
                            let density = (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
                            (x, step * density)
                        })
                        .unzip()
                }
                Family::Legendre => {
                    let n = 12usize;
                    (0..n)
                        .map(|k| {
                            let angle = std::f64::consts::PI * (k as f64 + 0.75) / (n as f64 + 0.5);
                            let mut x = angle.cos();
                            let norm = ((2 * n + 1) as f64).sqrt();
                            for _ in 0..50 {
                                let (value, derivative) = at(family, n, x);
                                x -= value / derivative;
                            }
                            let derivative = at(family, n, x).1 / norm;
                            // Half of the usual weight: the density is 1/2.
                            (x, 1.0 / ((1.0 - x * x) * derivative * derivative))
                        })
                        .unzip()
                }
            };
            for i in degrees.clone() {
                for j in degrees.clone() {
                    let sum: f64 = nodes
                        .iter()
                        .zip(&weights)
                        .map(|(&x, w)| w * at(family, i, x).0 * at(family, j, x).0)
                        .sum();
                    let expected = f64::from(u8::from(i == j));
                    assert!((sum - expected).abs() < 1e-12, "{family:?} {i} {j}: {sum}");
                }
            }
        }
    }
}
