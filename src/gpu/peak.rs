//! Measures the peak throughput of a GPU, with which training times are compared.

use web_time::Instant;

use crate::error::Result;

use super::adapter::Adapter;
use super::device::Gpu;
use super::dispatch::{Dispatch, Grid};
use super::kernels::{GROUP, Kernel, PEAK_ROUNDS, Step};
use super::pipelines::Pipelines;
use super::ring::Ring;
use super::timestamps::{self, Timed};

/// By measurement, on one device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PeakThroughput {
    /// Multiply-adds in f32, two operations each, in 10^9 a second.
    pub gflops: f64,
    /// Bytes copied, read and written counted both, in 10^9 a second.
    pub copy: f64,
}

/// Long enough against the clock and the start of a dispatch, short against watchdogs; in seconds.
const LONG: f64 = 0.02;

/// Runs after the first; the best one counts.
const RUNS: usize = 5;

/// Numbers copied: beyond the caches.
const NUMBERS: usize = 1 << 24;

/// Measures both.
///
/// # Errors
/// [`crate::error::Error::NoGpu`] where the adapter cannot be opened; others where it fails.
pub fn measure(adapter: &Adapter) -> Result<PeakThroughput> {
    let gpu = Gpu::open(adapter, wgpu::Limits::default())?;
    let pipelines = Pipelines::new(&gpu);
    let clock = Clock {
        ring: Ring::new(&gpu, &pipelines),
        gpu: &gpu,
    };
    clock.ring.write(&gpu, &[Step::default()]);

    let sums = gpu.allocate("sums", || gpu.buffer("sums", NUMBERS / 64))?;
    let multiply_adds = |groups: u32| {
        Dispatch::new(
            &gpu,
            &pipelines,
            Kernel::PeakMultiplyAdds,
            Grid::Numbers(groups * GROUP),
            &[&sums],
        )
    };
    let mut groups = 256;
    // As many as take long, but no more than one dimension has.
    while groups < 1 << 15 && clock.seconds(&multiply_adds(groups)?)? < LONG {
        groups *= 2;
    }
    // Eight fours of multiply-adds a round.
    let operations = 64.0 * f64::from(PEAK_ROUNDS) * f64::from(groups * GROUP);
    let gflops = operations / clock.best(&multiply_adds(groups)?)? / 1e9;

    let (from, to) = gpu.allocate("a copy", || {
        (gpu.buffer("source", NUMBERS), gpu.buffer("copied", NUMBERS))
    })?;
    let copy = Dispatch::new(
        &gpu,
        &pipelines,
        Kernel::PeakCopy,
        Grid::Numbers(NUMBERS as u32 / 4),
        &[&from, &to],
    )?;
    let copy = (8 * NUMBERS) as f64 / clock.best(&copy)? / 1e9;
    Ok(PeakThroughput { gflops, copy })
}

/// Times single dispatches: by the device where it can, else from submission to the end.
struct Clock<'a> {
    gpu: &'a Gpu,
    ring: Ring,
}

impl Clock<'_> {
    fn seconds(&self, dispatch: &Dispatch) -> Result<f64> {
        let step = Step::default();
        if self.gpu.has_clock() {
            let mut times = Vec::new();
            let timed = Timed::parts(dispatch, step, false);
            timestamps::add(self.gpu, &self.ring, &timed, &mut times)?;
            return Ok(times.iter().map(|time| time.seconds).sum::<f64>().max(1e-9));
        }
        let begin = Instant::now();
        let mut encoder = self.gpu.encoder();
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            self.ring.bind(&mut pass, 0);
            dispatch.record(&mut pass, &step);
        }
        self.gpu.run(encoder)?;
        Ok(begin.elapsed().as_secs_f64())
    }

    fn best(&self, dispatch: &Dispatch) -> Result<f64> {
        self.seconds(dispatch)?;
        let mut best = f64::INFINITY;
        for _ in 0..RUNS {
            best = best.min(self.seconds(dispatch)?);
        }
        Ok(best)
    }
}
