use std::ops::Range;

use bytemuck::Pod;
use pulp::Simd;

use crate::flow::{Linear, Op, Plan, Triangular};

use super::columns::{BLOCK_ROWS, Columns};
use super::real::Real;
use super::vector::Vector;
use super::{linear, triangular};

/// Gradient accumulators: for each parameter a vector of partial sums, one a lane, over the blocks of a chunk. The
/// lanes are reduced once, at the end of the chunk.
pub struct Sums<T> {
    /// Where the sums of each op of the plan's forward list lie, and of the base, in vectors.
    ranges: Vec<Range<usize>>,
    /// The parameters that these are the gradients of.
    parameters: Vec<Range<usize>>,
    /// As many as the widest vectors need.
    numbers: Columns<T>,
}

impl<T: Real> Sums<T> {
    pub fn new(plan: &Plan) -> Self {
        let parameters: Vec<Range<usize>> = summed::<T>(plan).collect();
        let mut end = 0;
        let ranges = parameters.iter().map(|range| {
            end += range.len();
            end - range.len()..end
        });
        Sums {
            ranges: ranges.collect(),
            parameters,
            numbers: Columns::zeros(Self::count(plan).div_ceil(BLOCK_ROWS)),
        }
    }

    /// How many numbers the sums of a plan take.
    pub fn count(plan: &Plan) -> usize {
        summed::<T>(plan).map(|range| range.len()).sum::<usize>() * T::WIDEST
    }

    /// The sums of an op by its index in the plan's forward list.
    #[inline(always)]
    pub fn of_op<S: Simd>(&mut self, _: S, op: usize) -> &mut [T::Vector<S>] {
        let range = self.ranges[op].clone();
        &mut vectors_mut::<T, T::Vector<S>>(&mut self.numbers)[range]
    }

    /// The sums of the base: location, then raw spread.
    #[inline(always)]
    pub fn of_base<S: Simd>(&mut self, simd: S) -> &mut [T::Vector<S>] {
        self.of_op(simd, self.ranges.len() - 1)
    }

    /// Begins a chunk.
    pub fn clear(&mut self) {
        self.numbers.as_flattened_mut().fill(T::zero());
    }

    /// Ends a chunk: writes the gradients of all parameters that have sums.
    #[inline(always)]
    pub fn write<S: Simd>(&self, simd: S, gradient: &mut [T]) {
        let vectors = vectors::<T, T::Vector<S>>(&self.numbers);
        for (range, parameters) in self.ranges.iter().zip(&self.parameters) {
            let of_op = &vectors[range.clone()];
            for (gradient, sums) in gradient[parameters.clone()].iter_mut().zip(of_op) {
                *gradient = Vector::<S, T>::of(simd, *sums).sum();
            }
        }
    }
}

/// The parameters whose gradients are summed in vectors: of each op of the forward list, then of the base.
fn summed<T: Real>(plan: &Plan) -> impl Iterator<Item = Range<usize>> {
    let of_ops = plan.forward.iter().map(|op| match op {
        Op::Linear(op) => of_linear::<T>(op),
        Op::Triangular(op) => of_triangular::<T>(op),
        Op::Concat(_) | Op::Basis(_) | Op::Coupling(_) => 0..0,
    });
    // Location and raw spread lie side by side.
    let base = plan.base.location.start..plan.base.raw_spread.end;
    of_ops.chain([base])
}

/// The parameters of a triangular map whose gradients are summed in vectors; its log-diagonal lies right behind its matrix.
fn of_triangular<T: Real>(op: &Triangular) -> Range<usize> {
    let first = match triangular::is_wide::<T>(op) {
        true => op.matrix.end,
        false => op.matrix.start,
    };
    first..op.matrix.end + op.log_diagonal.len()
}

/// The parameters of a linear map whose gradients are summed in vectors; its bias lies right behind its weight.
fn of_linear<T: Real>(op: &Linear) -> Range<usize> {
    if linear::is_wide::<T>(op) {
        op.bias.clone()
    } else {
        op.weight.start..op.bias.end
    }
}

#[inline(always)]
fn vectors<T: Pod, V: Pod>(numbers: &Columns<T>) -> &[V] {
    bytemuck::cast_slice(numbers.as_flattened())
}

#[inline(always)]
fn vectors_mut<T: Pod, V: Pod>(numbers: &mut Columns<T>) -> &mut [V] {
    bytemuck::cast_slice_mut(numbers.as_flattened_mut())
}
