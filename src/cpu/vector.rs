use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use pulp::Simd;

use super::arithmetic::Arithmetic;
use super::columns::{BLOCK_ROWS, Column};
use super::real::Real;

/// Some neighboring numbers of a column, computed with at once: what the loops of the ops are written in, so that they read
/// like the maths and are the processor's vector instructions, whichever it has.
#[derive(Clone, Copy)]
pub struct Vector<S: Simd, T: Real> {
    simd: S,
    value: T::Vector<S>,
}

/// How many vectors make up a column.
#[inline(always)]
pub fn vectors<S: Simd, T: Real>() -> std::ops::Range<usize> {
    0..BLOCK_ROWS * size_of::<T>() / size_of::<T::Vector<S>>()
}

/// Vector `index` of a column.
#[inline(always)]
pub fn load<S: Simd, T: Real>(simd: S, column: &Column<T>, index: usize) -> Vector<S, T> {
    let vectors: &[T::Vector<S>] = bytemuck::cast_slice(column);
    Vector {
        simd,
        value: vectors[index],
    }
}

/// Writes a vector of a column.
#[inline(always)]
pub fn store<S: Simd, T: Real>(vector: Vector<S, T>, column: &mut Column<T>, index: usize) {
    let vectors: &mut [T::Vector<S>] = bytemuck::cast_slice_mut(column);
    vectors[index] = vector.value;
}

/// The vectors of a slice whose length is a multiple of theirs, and the numbers that are left over.
#[inline(always)]
pub fn split<S: Simd, T: Real>(numbers: &[T]) -> (&[T::Vector<S>], &[T]) {
    let whole = numbers.len() - numbers.len() % (size_of::<T::Vector<S>>() / size_of::<T>());
    let (vectors, rest) = numbers.split_at(whole);
    (bytemuck::cast_slice(vectors), rest)
}

/// As [`split`], to write to.
#[inline(always)]
pub fn split_mut<S: Simd, T: Real>(numbers: &mut [T]) -> (&mut [T::Vector<S>], &mut [T]) {
    let whole = numbers.len() - numbers.len() % (size_of::<T::Vector<S>>() / size_of::<T>());
    let (vectors, rest) = numbers.split_at_mut(whole);
    (bytemuck::cast_slice_mut(vectors), rest)
}

impl<S: Simd, T: Real> Vector<S, T> {
    /// The same number in each lane.
    #[inline(always)]
    pub fn splat(simd: S, number: T) -> Self {
        Vector {
            simd,
            value: <T as Arithmetic>::splat(simd, number),
        }
    }

    /// As it lies in memory.
    #[inline(always)]
    pub fn of(simd: S, value: T::Vector<S>) -> Self {
        Vector { simd, value }
    }

    #[inline(always)]
    pub fn value(self) -> T::Vector<S> {
        self.value
    }

    #[inline(always)]
    fn with(self, value: T::Vector<S>) -> Self {
        Vector {
            simd: self.simd,
            value,
        }
    }

    /// `self * factor + addend`.
    #[inline(always)]
    pub fn mul_add(self, factor: Self, addend: Self) -> Self {
        self.with(<T as Arithmetic>::mul_add(
            self.simd,
            self.value,
            factor.value,
            addend.value,
        ))
    }

    #[inline(always)]
    pub fn exp(self) -> Self {
        self.with(<T as Arithmetic>::exp_(self.simd, self.value))
    }

    #[inline(always)]
    pub fn tanh(self) -> Self {
        self.with(<T as Arithmetic>::tanh_(self.simd, self.value))
    }

    #[inline(always)]
    pub fn ln_1p(self) -> Self {
        self.with(<T as Arithmetic>::ln_1p_(self.simd, self.value))
    }

    /// The natural logarithm of a positive number.
    #[inline(always)]
    pub fn ln(self) -> Self {
        self.with(<T as Arithmetic>::ln_(self.simd, self.value))
    }

    #[inline(always)]
    pub fn abs(self) -> Self {
        self.with(<T as Arithmetic>::abs(self.simd, self.value))
    }

    #[inline(always)]
    pub fn sqrt(self) -> Self {
        self.with(<T as Arithmetic>::sqrt(self.simd, self.value))
    }

    /// 1 / (1 + exp(-x)). exp(-x) overflows to infinity for very negative x, whose reciprocal is the right answer, 0.
    #[inline(always)]
    pub fn sigmoid(self) -> Self {
        let one = Self::splat(self.simd, T::one());
        one / (one + (-self).exp())
    }

    /// `self`, but 0 where it is negative. A NaN stays: a fault must show.
    #[inline(always)]
    pub fn relu(self) -> Self {
        let zero = Self::splat(self.simd, T::zero());
        zero.where_greater(self, zero, self)
    }

    /// `self` where `other` is above 0, else 0.
    #[inline(always)]
    pub fn only_where_positive(self, other: Self) -> Self {
        let zero = Self::splat(self.simd, T::zero());
        other.where_greater(zero, self, zero)
    }

    /// `yes` where `self` is above `other`, `no` elsewhere, also where either is NaN.
    #[inline(always)]
    pub fn where_greater(self, other: Self, yes: Self, no: Self) -> Self {
        self.with(<T as Arithmetic>::where_greater(
            self.simd,
            self.value,
            other.value,
            yes.value,
            no.value,
        ))
    }

    /// The larger of the two; `self` where either is NaN.
    #[inline(always)]
    pub fn max(self, other: Self) -> Self {
        other.where_greater(self, other, self)
    }

    /// The largest of its numbers, and at least 0.
    #[inline(always)]
    pub fn largest(self) -> T {
        let numbers: &[T] = bytemuck::cast_slice(std::slice::from_ref(&self.value));
        let larger = |a: T, &b: &T| if b > a { b } else { a };
        numbers.iter().fold(T::zero(), larger)
    }

    /// The sum of its numbers.
    #[inline(always)]
    pub fn sum(self) -> T {
        <T as Arithmetic>::sum(self.simd, self.value)
    }
}

impl<S: Simd, T: Real> Add for Vector<S, T> {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.with(<T as Arithmetic>::add(self.simd, self.value, other.value))
    }
}

impl<S: Simd, T: Real> AddAssign for Vector<S, T> {
    #[inline(always)]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl<S: Simd, T: Real> Sub for Vector<S, T> {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.with(<T as Arithmetic>::sub(self.simd, self.value, other.value))
    }
}

impl<S: Simd, T: Real> Mul for Vector<S, T> {
    type Output = Self;

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.with(<T as Arithmetic>::mul(self.simd, self.value, other.value))
    }
}

impl<S: Simd, T: Real> Div for Vector<S, T> {
    type Output = Self;

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.with(<T as Arithmetic>::div(self.simd, self.value, other.value))
    }
}

impl<S: Simd, T: Real> Neg for Vector<S, T> {
    type Output = Self;

    #[inline(always)]
    fn neg(self) -> Self {
        Self::splat(self.simd, -T::zero()) - self
    }
}
