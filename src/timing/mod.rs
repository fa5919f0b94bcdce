//! Benchmarks of devices: standard workloads, each compared with the peak throughput of the device.

mod rounds;
mod text;
mod workload;

use std::sync::Arc;

use serde::Serialize;

use crate::cpu;
use crate::error::Result;
use crate::executor::{Batches, Executor, KernelTime};
use crate::fit::{Device, ExecutorRequest, Purpose, starting_parameters};
use crate::flow::{Op, Plan};
use crate::gpu;
use crate::matrix::Matrix;

pub use rounds::{Stats, repeat};
pub use workload::{Workload, WorkloadName};

/// Rows scored or drawn in a call, at most.
const MOST_ROWS: usize = 1 << 18;

/// One thing that was timed.
#[derive(Serialize)]
pub struct Timing {
    /// The workload's name.
    pub workload: String,
    /// What did it.
    pub device: String,
    /// "train", "score" or "sample".
    pub what: &'static str,
    /// Milliseconds a step, or a million rows scored or drawn: median, min, max.
    pub ms: f64,
    /// The fastest round.
    pub min: f64,
    /// The slowest round.
    pub max: f64,
    /// Of the median round.
    pub rows_per_second: f64,
    /// Of the matrix products alone, by the whole time.
    pub gflops: f64,
    /// As a fraction of the device's peak.
    pub of_peak: f64,
    /// The same by the time of the kernels that make products, where the device has a clock for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub products_of_peak: Option<f64>,
    /// Of a step, where the device has a clock for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kernels: Vec<KernelShare>,
}

/// A kernel's share of a step.
#[derive(Serialize)]
pub struct KernelShare {
    /// Its entry point.
    pub kernel: &'static str,
    /// How many a step.
    pub dispatches: usize,
    /// Microseconds of all of them together.
    pub us: f64,
    /// What they are given to read and to write, by that time.
    pub gb_per_second: f64,
    /// As a fraction of the device's peak copying rate.
    pub of_copy_peak: f64,
}

impl KernelShare {
    /// Whether matrix products are its work.
    fn multiplies(&self) -> bool {
        self.kernel.starts_with("linear_") || self.kernel == "fused_evaluate"
    }
}

/// The peak throughput of a device.
#[derive(Serialize)]
pub struct PeakThroughput {
    /// Which device.
    pub device: String,
    /// Of multiply-adds in f32.
    pub gflops: f64,
    /// Read and written counted both, in 10^9 bytes.
    pub copy_gb_per_second: f64,
}

impl PeakThroughput {
    /// By measurement, in a second or so.
    ///
    /// # Errors
    /// Those of a GPU that cannot be opened, or fails.
    pub fn of(device: &Device) -> Result<Self> {
        let (gflops, copy_gb_per_second) = match device.adapter() {
            None => (cpu::peak::multiply_adds(), cpu::peak::copy()),
            Some(adapter) => {
                let top = gpu::peak::measure(adapter)?;
                (top.gflops, top.copy)
            }
        };
        Ok(PeakThroughput {
            device: device.describe(),
            gflops,
            copy_gb_per_second,
        })
    }
}

/// Trains, scores and samples, each in `rounds` rounds of a third of a second.
///
/// # Errors
/// Those of a flow that the workload's configuration does not describe, and of a device that cannot run it.
pub fn time(
    workload: &Workload,
    device: &Device,
    peak: &PeakThroughput,
    rounds: usize,
) -> Result<Vec<Timing>> {
    let peak_gflops = peak.gflops;
    let config = &workload.config;
    let plan = Plan::new(&config.model.spec(workload.columns)?)?;
    let parameters = starting_parameters(&plan, config);
    let data = Arc::new(workload.data());
    let training = config.training();
    let batch = Batches::new(workload.rows, training.batch_size, training.seed).size();
    let mut executor = device.open(&ExecutorRequest {
        plan: plan.clone(),
        parameters,
        purpose: Purpose::Train(data.clone(), Arc::default(), training),
    })?;
    let (forward, all) = products(&plan);
    let name = executor.describe();
    let timing = |what, each: Stats, rows: usize, operations: f64, per: f64| Timing {
        of_peak: operations * rows as f64 / each.median / 1e9 / peak_gflops,
        products_of_peak: None,
        workload: workload.name.clone(),
        device: name.clone(),
        what,
        ms: 1e3 * each.median * per,
        min: 1e3 * each.min * per,
        max: 1e3 * each.max * per,
        rows_per_second: rows as f64 / each.median,
        gflops: operations * rows as f64 / each.median / 1e9,
        kernels: Vec::new(),
    };
    let steps = repeat(executor.as_mut(), rounds, |executor, count| {
        executor.train(count).map(drop)
    })?;
    let mut trained = timing("train", steps, batch, all, 1.0);
    trained.kernels = kernels(executor.as_mut(), rounds, peak.copy_gb_per_second)?;
    let products = trained.kernels.iter().filter(|share| share.multiplies());
    let seconds = 1e-6 * products.map(|share| share.us).sum::<f64>();
    trained.products_of_peak =
        (seconds > 0.0).then(|| all * batch as f64 / seconds / 1e9 / peak_gflops);
    let rows = MOST_ROWS.min(workload.rows);
    let few = Matrix::from_fn(rows, workload.columns, |row, column| {
        f64::from(data.get(row, column))
    });
    let million = 1e6 / rows as f64;
    let scores = repeat(executor.as_mut(), rounds, |executor, count| {
        (0..count).try_for_each(|_| executor.log_prob(&few).map(drop))
    })?;
    let scored = timing("score", scores, rows, forward, million);
    let samples = repeat(executor.as_mut(), rounds, |executor, count| {
        (0..count).try_for_each(|_| executor.sample(1, 0..rows as u64).map(drop))
    })?;
    let sampled = timing("sample", samples, rows, forward, million);
    Ok(vec![trained, scored, sampled])
}

/// Each kernel's median over as many steps as there are rounds, the longest first.
fn kernels(
    executor: &mut dyn Executor,
    rounds: usize,
    peak_gb_per_second: f64,
) -> Result<Vec<KernelShare>> {
    let steps: Vec<Vec<KernelTime>> = (0..rounds)
        .map(|_| executor.timed_step())
        .collect::<Result<_>>()?;
    let median = |kernel: usize| {
        let mut times: Vec<f64> = steps.iter().map(|step| step[kernel].seconds).collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let first = steps[0].iter().enumerate();
    let mut shares: Vec<KernelShare> = first
        .map(|(index, time)| {
            let seconds = median(index);
            let gb_per_second = 1e-9 * time.bytes / seconds.max(1e-9);
            KernelShare {
                kernel: time.kernel,
                dispatches: time.dispatches,
                us: 1e6 * seconds,
                gb_per_second,
                of_copy_peak: gb_per_second / peak_gb_per_second,
            }
        })
        .collect();
    shares.sort_by(|a, b| b.us.total_cmp(&a.us));
    Ok(shares)
}

/// Operations of a row's matrix products, two for each multiply-add: forward alone, and with the backward pass.
fn products(plan: &Plan) -> (f64, f64) {
    let (mut forward, mut all) = (0.0, 0.0);
    for op in &plan.forward {
        if let Op::Linear(op) = op {
            let once = 2.0 * op.weight.len() as f64;
            forward += once;
            let times = match op.input_gradient {
                None => 2.0,
                Some(_) => 3.0,
            };
            all += times * once;
        }
    }
    (forward, all)
}
