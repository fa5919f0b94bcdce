use pulp::Simd;

use crate::flow::Activation;

use super::lanes::Column;
use super::real::Real;
use super::vector::{Vector, load, store, vectors};

/// Replaces each number by its activation; `saved`, where there is one, takes the slope where it does
/// not follow from the output. Twins: `activate` in `shaders/shared/activation_*.wgsl`.
#[inline(always)]
pub fn activate<S: Simd, T: Real>(
    simd: S,
    activation: Activation,
    output: &mut [Column<T>],
    saved: Option<&mut [Column<T>]>,
) {
    match (activation, saved) {
        (Activation::Tanh, _) => apply(
            simd,
            output,
            #[inline(always)]
            |x| x.tanh(),
        ),
        (Activation::Relu, _) => apply(
            simd,
            output,
            #[inline(always)]
            |x| x.relu(),
        ),
        (Activation::Silu, None) => apply(
            simd,
            output,
            #[inline(always)]
            |x| x * x.sigmoid(),
        ),
        (Activation::Silu, Some(saved)) => {
            let one = Vector::splat(simd, T::one());
            for (column, saved) in output.iter_mut().zip(saved) {
                for n in vectors::<S, T>() {
                    let x = load(simd, column, n);
                    let sigmoid = x.sigmoid();
                    let y = x * sigmoid;
                    store(y.mul_add(one - sigmoid, sigmoid), saved, n);
                    store(y, column, n);
                }
            }
        }
    }
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

/// Multiplies each gradient by the activation's slope, from the output, or as [`activate`] saved it. Twins: `slope` in
/// `shaders/shared/activation_*.wgsl`, where silu's comes from what went in.
#[inline(always)]
pub fn slope<S: Simd, T: Real>(
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
                Activation::Silu => g * load(simd, saved, n),
            };
            store(product, gradient, n);
        }
    }
}
