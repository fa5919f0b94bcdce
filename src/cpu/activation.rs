use crate::flow::Activation;

use super::lanes::{Column, LANES};
use super::real::Real;

/// Replaces each number by its activation. Twins: `activate` in `shaders/shared/activation_*.wgsl`.
#[inline(always)]
pub fn activate<T: Real>(activation: Activation, columns: &mut [Column<T>]) {
    match activation {
        Activation::Tanh => apply(columns, |x| x.tanh_()),
        Activation::Relu => {
            // Unlike a maximum, the comparison lets a NaN through: a fault must show.
            apply(columns, |x| if x <= T::zero() { T::zero() } else { x })
        }
        Activation::Silu => apply(columns, |x| x * x.sigmoid()),
    }
}

/// A loop of its own for each function, so that each vectorises.
#[inline(always)]
fn apply<T: Real>(columns: &mut [Column<T>], f: impl Fn(T) -> T) {
    for column in columns {
        for value in column {
            *value = f(*value);
        }
    }
}

/// Multiplies each gradient by the activation's slope, from what the forward pass saved: the output for tanh and
/// relu, the input for silu. Twins: `slope` in `shaders/shared/activation_*.wgsl`.
#[inline(always)]
pub fn slope<T: Real>(activation: Activation, saved: &Column<T>, gradient: &mut Column<T>) {
    let one = T::one();
    match activation {
        Activation::Tanh => {
            for lane in 0..LANES {
                gradient[lane] *= one - saved[lane] * saved[lane];
            }
        }
        Activation::Relu => {
            for lane in 0..LANES {
                if saved[lane] <= T::zero() {
                    gradient[lane] = T::zero();
                }
            }
        }
        Activation::Silu => {
            for lane in 0..LANES {
                let sigmoid = saved[lane].sigmoid();
                gradient[lane] *= sigmoid * (one + saved[lane] * (one - sigmoid));
            }
        }
    }
}
