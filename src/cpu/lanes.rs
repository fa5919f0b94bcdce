use super::real::Real;

/// Rows that go through the flow together. Long enough for full vector registers, short enough that a small flow's
/// activations stay in the first cache.
pub const LANES: usize = 64;

/// One number for each row of a block.
pub type Column<T> = [T; LANES];

/// The sum over rows of a * b, in sixteen running sums that the compiler keeps in vector registers.
#[inline(always)]
pub fn dot<T: Real>(a: &Column<T>, b: &Column<T>) -> T {
    const WAYS: usize = 16;
    let mut sums = [T::zero(); WAYS];
    for (a, b) in a.chunks_exact(WAYS).zip(b.chunks_exact(WAYS)) {
        for way in 0..WAYS {
            sums[way] += a[way] * b[way];
        }
    }
    let mut half = WAYS / 2;
    while half > 0 {
        for way in 0..half {
            sums[way] += sums[way + half];
        }
        half /= 2;
    }
    sums[0]
}

/// `start + sum_k weight(k) * columns[k]`. The sums of a stretch of lanes stay in registers over all of k.
#[inline(always)]
pub fn weighted_sum<T: Real>(
    start: T,
    columns: &[Column<T>],
    weight: impl Fn(usize) -> T,
) -> Column<T> {
    const STRETCH: usize = 32;
    let mut result = [start; LANES];
    for (stretch, result) in result.chunks_exact_mut(STRETCH).enumerate() {
        let mut sums = [start; STRETCH];
        for (k, column) in columns.iter().enumerate() {
            let weight = weight(k);
            let column = &column[stretch * STRETCH..][..STRETCH];
            for lane in 0..STRETCH {
                sums[lane] += weight * column[lane];
            }
        }
        result.copy_from_slice(&sums);
    }
    result
}
