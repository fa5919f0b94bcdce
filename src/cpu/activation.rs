use pulp::Simd;

use crate::flow::Activation;

use super::columns::Column;
use super::real::Real;
use super::vector::{Vector, load, store, vectors};

/// Replaces each number by its activation; `saved`, where there is one, takes the derivative where it does
/// not follow from the output. Kernel: `activate` in `shaders/shared/activation_*.wgsl`.
#[inline(always)]
pub fn activate<S: Simd, T: Real>(
    simd: S,
    activation: Activation,
    output: &mut [Column<T>],
    saved: Option<&mut [Column<T>]>,
) {
    match activation {
        Activation::Tanh => apply(
            simd,
            output,
            #[inline(always)]
            |x| x.tanh(),
        ),
        Activation::Relu => apply(
            simd,
            output,
            #[inline(always)]
            |x| x.relu(),
        ),
        Activation::Silu => apply_with_slope(
            simd,
            output,
            saved,
            #[inline(always)]
            |x| silu(simd, x),
        ),
        Activation::Gelu => apply_with_slope(
            simd,
            output,
            saved,
            #[inline(always)]
            |x| gelu(simd, x),
        ),
    }
}

/// x s, with s = sigmoid(x), and its derivative, s + x s (1 - s).
#[inline(always)]
fn silu<S: Simd, T: Real>(simd: S, x: Vector<S, T>) -> (Vector<S, T>, Vector<S, T>) {
    let one = Vector::splat(simd, T::one());
    let s = x.sigmoid();
    let y = x * s;
    (y, y.mul_add(one - s, s))
}

/// GELU in its tanh form, and its derivative. With u = sqrt(2/pi) (x + 0.044715 x^3) and s = sigmoid(2u) it is x s, and its derivative
/// s + x s (1 - s) 2u'.
#[inline(always)]
fn gelu<S: Simd, T: Real>(simd: S, x: Vector<S, T>) -> (Vector<S, T>, Vector<S, T>) {
    let number = |value| Vector::splat(simd, T::of(value));
    let one = number(1.0);
    // 2 sqrt(2/pi), and 0.044715 of it.
    let (by_x, by_x3) = (number(1.5957691216057307), number(0.07135481627260025));
    let s = (x * (x * x).mul_add(by_x3, by_x)).sigmoid();
    // Further out s (1 - s) is 0, and a square might overflow.
    let (least, most) = (number(-30.0), number(30.0));
    let near = x.where_greater(most, most, least.where_greater(x, least, x));
    let twice_slope = (near * near).mul_add(number(3.0) * by_x3, by_x);
    (x * s, (near * s * (one - s)).mul_add(twice_slope, s))
}

#[inline(always)]
fn apply<S: Simd, T: Real>(
    simd: S,
    columns: &mut [Column<T>],
    f: impl Fn(Vector<S, T>) -> Vector<S, T>,
) {
    for column in columns {
        for n in vectors::<S, T>() {
            store(f(load(simd, column, n)), column, n);
        }
    }
}

/// As [`apply`], with a function that gives the derivative as well, for `saved` if that is wanted.
#[inline(always)]
fn apply_with_slope<S: Simd, T: Real>(
    simd: S,
    columns: &mut [Column<T>],
    saved: Option<&mut [Column<T>]>,
    f: impl Fn(Vector<S, T>) -> (Vector<S, T>, Vector<S, T>),
) {
    let Some(saved) = saved else {
        return apply(
            simd,
            columns,
            #[inline(always)]
            |x| f(x).0,
        );
    };
    for (column, saved) in columns.iter_mut().zip(saved) {
        for n in vectors::<S, T>() {
            let (y, derivative) = f(load(simd, column, n));
            store(derivative, saved, n);
            store(y, column, n);
        }
    }
}

/// Multiplies each gradient by the activation's derivative, from the output, or as [`activate`] saved it. Kernel: `derivative` in
/// `shaders/shared/activation_*.wgsl`, where silu's comes from what went in.
#[inline(always)]
pub fn derivative<S: Simd, T: Real>(
    simd: S,
    activation: Activation,
    output: &[Column<T>],
    saved: &[Column<T>],
    gradient: &mut [Column<T>],
) {
    let one = Vector::splat(simd, T::one());
    for ((output, saved), gradient) in output.iter().zip(saved).zip(gradient) {
        for n in vectors::<S, T>() {
            let (y, g) = (load(simd, output, n), load(simd, gradient, n));
            let product = match activation {
                Activation::Tanh => g * (one - y * y),
                Activation::Relu => g.only_where_positive(y),
                Activation::Silu | Activation::Gelu => g * load(simd, saved, n),
            };
            store(product, gradient, n);
        }
    }
}

#[cfg(test)]
mod tests {
    use pulp::Scalar;

    use super::*;
    use crate::cpu::columns::BLOCK_ROWS;

    /// Each activation of a number, and its derivative there.
    fn at(activation: Activation, x: f64) -> [f64; 2] {
        let mut output = [[x; BLOCK_ROWS]];
        let mut saved = [[0.0; BLOCK_ROWS]];
        let saves = (!activation.derivative_from_output()).then_some(&mut saved[..]);
        activate(Scalar, activation, &mut output, saves);
        let mut gradient = [[1.0; BLOCK_ROWS]];
        derivative(Scalar, activation, &output, &saved, &mut gradient);
        [output[0][3], gradient[0][3]]
    }

    /// Against numbers that mpmath gives to 20 digits, and derivatives against central differences; far out, too.
    #[test]
    fn activations_are_those_of_the_books() {
        for (activation, x, y) in [
            (Activation::Tanh, 0.7, 0.6043677771171635),
            (Activation::Relu, -0.7, 0.0),
            (Activation::Silu, -1.3, -0.2784145220446738),
            (Activation::Gelu, 0.5, 0.34571400982514392),
            (Activation::Gelu, -1.3, -0.1260709876826906),
        ] {
            let [found, _] = at(activation, x);
            assert!((found - y).abs() < 1e-15, "{activation:?} {x}: {found}");
        }
        for activation in Activation::ALL {
            for x in [-20.0, -3.1, -0.4, 0.3, 1.0, 2.7, 20.0] {
                let h = 1e-5;
                let numeric = (at(activation, x + h)[0] - at(activation, x - h)[0]) / (2.0 * h);
                let [_, found] = at(activation, x);
                assert!(
                    (found - numeric).abs() < 1e-9,
                    "{activation:?} {x}: {found}"
                );
            }
            for x in [-1e200, 1e200] {
                let found = at(activation, x);
                assert!(
                    found.iter().all(|y| y.is_finite()),
                    "{activation:?} {x}: {found:?}"
                );
            }
        }
    }
}
