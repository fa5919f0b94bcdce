//! The two sums of a linear map, vectorized. A tile of the result stays in registers for the whole sum.

use pulp::Simd;

use super::columns::Column;
use super::real::Real;
use super::strided::Strided;
use super::vector::{Vector, load, store, vectors};

/// What the sums of a product start from.
#[derive(Clone, Copy)]
pub enum Start<'a, T> {
    /// One number for each output; without any, 0.
    Bias(&'a [T]),
    /// What the output holds.
    Output,
}

/// Outputs to a tile: with four vectors of lanes each, and the columns' four, they fill the thirty-two registers of
/// AVX-512 and NEON; with two, the sixteen of AVX2.
const OUTPUTS: usize = 6;

/// `output[m] = start[m] + sum_k weight(m, k) * columns[k]`.
#[inline(always)]
pub fn weighted_sums<S: Simd, T: Real>(
    simd: S,
    start: Start<'_, T>,
    weight: Strided<'_, T>,
    columns: &[Column<T>],
    output: &mut [Column<T>],
) {
    let mut first = 0;
    for output in output.chunks_mut(OUTPUTS) {
        let tile = Tile {
            start,
            weight,
            columns,
            first,
        };
        match output.len() {
            1 => tile.lanes::<S, 1>(simd, output),
            2 => tile.lanes::<S, 2>(simd, output),
            3 => tile.lanes::<S, 3>(simd, output),
            4 => tile.lanes::<S, 4>(simd, output),
            5 => tile.lanes::<S, 5>(simd, output),
            _ => tile.lanes::<S, OUTPUTS>(simd, output),
        }
        first += OUTPUTS;
    }
}

/// Some neighboring outputs of a product.
#[derive(Clone, Copy)]
struct Tile<'a, T> {
    start: Start<'a, T>,
    weight: Strided<'a, T>,
    columns: &'a [Column<T>],
    /// The first of them.
    first: usize,
}

impl<T: Real> Tile<'_, T> {
    #[inline(always)]
    fn lanes<S: Simd, const M: usize>(self, simd: S, output: &mut [Column<T>]) {
        let vectors = vectors::<S, T>().len();
        if S::REGISTER_COUNT >= 32 && vectors.is_multiple_of(4) {
            for first in (0..vectors).step_by(4) {
                self.run::<S, M, 4>(simd, output, first);
            }
        } else {
            for first in (0..vectors).step_by(2) {
                self.run::<S, M, 2>(simd, output, first);
            }
        }
    }

    /// `M` outputs by `N` vectors of lanes.
    #[inline(always)]
    fn run<S: Simd, const M: usize, const N: usize>(
        self,
        simd: S,
        output: &mut [Column<T>],
        lanes: usize,
    ) {
        let output = &mut output[..M];
        let zero = Vector::splat(simd, T::zero());
        let mut sums = [[zero; N]; M];
        for (m, (sums, output)) in sums.iter_mut().zip(&*output).enumerate() {
            match self.start {
                Start::Bias(bias) => {
                    let bias = bias.get(self.first + m).copied().unwrap_or(T::zero());
                    *sums = [Vector::splat(simd, bias); N];
                }
                Start::Output => {
                    for (n, sum) in sums.iter_mut().enumerate() {
                        *sum = load(simd, output, lanes + n);
                    }
                }
            }
        }
        for (k, column) in self.columns.iter().enumerate() {
            let mut x = [zero; N];
            for (n, x) in x.iter_mut().enumerate() {
                *x = load(simd, column, lanes + n);
            }
            for (m, sums) in sums.iter_mut().enumerate() {
                let weight = Vector::splat(simd, self.weight.at(self.first + m, k));
                for (sum, x) in sums.iter_mut().zip(x) {
                    *sum = weight.mul_add(x, *sum);
                }
            }
        }
        for (sums, output) in sums.into_iter().zip(output) {
            for (n, sum) in sums.into_iter().enumerate() {
                store(sum, output, lanes + n);
            }
        }
    }
}

/// For each pair (i, j), the sum over lanes of `a[i] * b[j]`, still spread over a vector: added to the vector of `sums`
/// that lies as in [`Strided`]. Adding up the numbers of a vector costs more than all of the products; it is done once for many blocks.
#[inline(always)]
pub fn add_dots<S: Simd, T: Real>(
    simd: S,
    a: &[Column<T>],
    b: &[Column<T>],
    sums: &mut [T::Vector<S>],
    strides: (usize, usize),
) {
    for (i, a) in a.iter().enumerate() {
        for (j, b) in b.iter().enumerate() {
            let slot = &mut sums[i * strides.0 + j * strides.1];
            // Four running sums where a column is many vectors, so that none waits for the one before.
            let mut sum = [Vector::splat(simd, T::zero()); 4];
            sum[0] = Vector::of(simd, *slot);
            for n in vectors::<S, T>() {
                let sum = &mut sum[if vectors::<S, T>().len() > 4 {
                    n % 4
                } else {
                    0
                }];
                *sum = load(simd, a, n).mul_add(load(simd, b, n), *sum);
            }
            *slot = ((sum[0] + sum[1]) + (sum[2] + sum[3])).value();
        }
    }
}

/// As [`add_dots`] with columns of ones: `sums[i]` gains the sum over lanes of `a[i]`.
#[inline(always)]
pub fn add_sums<S: Simd, T: Real>(simd: S, a: &[Column<T>], sums: &mut [T::Vector<S>]) {
    for (a, slot) in a.iter().zip(sums) {
        let mut sum = Vector::of(simd, *slot);
        for n in vectors::<S, T>() {
            sum += load(simd, a, n);
        }
        *slot = sum.value();
    }
}
