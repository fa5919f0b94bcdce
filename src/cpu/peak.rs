//! Measures the peak throughput of this machine, with which training times are compared.

use web_time::{Duration, Instant};

use pulp::{Simd, WithSimd};

use super::instructions::dispatch;

/// Multiply-adds on all cores at once, in GFLOP/s of f32: a loop in registers alone, two operations each.
pub fn multiply_adds() -> f64 {
    /// Long enough for clocks to settle, and for the start of threads not to matter.
    const ROUNDS: usize = 1 << 21;
    let one = || dispatch(MultiplyAdds(ROUNDS));
    // Once to wake the cores.
    rayon::broadcast(|_| one());
    let begin = Instant::now();
    let operations: f64 = rayon::broadcast(|_| one()).into_iter().sum();
    operations / begin.elapsed().as_secs_f64() / 1e9
}

struct MultiplyAdds(usize);

impl WithSimd for MultiplyAdds {
    /// The number of operations.
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        /// More than any processor has under way at once.
        const RUNNING: usize = 12;
        let factor = simd.splat_f32s(std::hint::black_box(0.999));
        let addend = simd.splat_f32s(std::hint::black_box(1e-3));
        let mut sums = [simd.splat_f32s(1.0); RUNNING];
        for _ in 0..self.0 {
            for sum in &mut sums {
                *sum = simd.mul_add_e_f32s(*sum, factor, addend);
            }
        }
        std::hint::black_box(sums);
        (2 * self.0 * RUNNING * S::F32_LANES) as f64
    }
}

/// A copy on all cores at once, in GB/s, read and written counted both.
pub fn copy() -> f64 {
    /// Beyond the caches.
    const NUMBERS: usize = 1 << 25;
    const TIME: Duration = Duration::from_millis(200);
    let threads = rayon::current_num_threads();
    let part = NUMBERS / threads.max(1);
    let rates = rayon::broadcast(|_| {
        let from = vec![1.0f32; part];
        let mut to = vec![0.0f32; part];
        let begin = Instant::now();
        let mut bytes = 0.0;
        while begin.elapsed() < TIME {
            to.copy_from_slice(std::hint::black_box(&from));
            std::hint::black_box(&mut to);
            bytes += (8 * part) as f64;
        }
        bytes / begin.elapsed().as_secs_f64() / 1e9
    });
    rates.into_iter().sum()
}
