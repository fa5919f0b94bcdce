use super::real::Real;

/// Rows that go through the flow together. Long enough for full vector registers, short enough that a small flow's
/// activations stay in the first cache.
pub const LANES: usize = 64;

/// One number for each row of a block.
pub type Column<T> = [T; LANES];

/// The sum over rows of a * b, in sixteen running sums that the compiler keeps in vector registers.
pub fn dot<T: Real>(a: &Column<T>, b: &Column<T>) -> T {
    const WAYS: usize = 16;
    let mut sums = [T::zero(); WAYS];
    for (a, b) in a.chunks_exact(WAYS).zip(b.chunks_exact(WAYS)) {
        for way in 0..WAYS {
            sums[way] += a[way] * b[way];
        }
    }
    sums.into_iter().sum()
}
