use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;
use serde_json::json;

use crate::config::Preset;
use crate::cpu;
use crate::error::Error;
use crate::executor::{Batches, Executor, KernelTime};
use crate::fit::{Device, DeviceChoice, DeviceName, Work, Wrap, starting_parameters};
use crate::flow::{Op, Plan};
use crate::gpu::{self, adapters};
use crate::matrix::Matrix;

use super::output::print;
use super::resolve::read_config;
use super::workload::{Workload, WorkloadName};
use super::{Result, tell};

#[derive(clap::Args)]
pub struct BenchArgs {
    /// Workloads to time, separated by commas: seed, small, table, wide, default [default: all]
    #[arg(value_enum, value_delimiter = ',', hide_possible_values = true)]
    workloads: Vec<WorkloadName>,
    /// Time the flow of this configuration instead, on --rows rows of --dims columns
    #[arg(long, value_name = "FILE", conflicts_with = "workloads")]
    config: Option<PathBuf>,
    /// Rows of the table, with --config
    #[arg(long, value_name = "N", requires = "config", default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..))]
    rows: u32,
    /// Columns of the table, with --config
    #[arg(long, value_name = "D", requires = "config", default_value_t = 4)]
    dims: usize,
    /// Rounds to take the median of
    #[arg(long, value_name = "K", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceChoice,
}

/// How long a round should take, in seconds: long against the clock and short against the machine's moods.
const ROUND: f64 = 0.3;

/// Rows scored or drawn in a call, at most.
const MOST_ROWS: usize = 1 << 18;

/// One thing that was timed.
#[derive(Serialize)]
struct Timing {
    workload: String,
    device: String,
    /// "train", "score" or "sample".
    what: &'static str,
    /// Milliseconds a step, or a million rows scored or drawn: median, least, most.
    ms: f64,
    least: f64,
    most: f64,
    rows_per_second: f64,
    /// Of the matrix products alone, by the whole time.
    gflops: f64,
    /// As a share of what the device can do at most.
    of_ceiling: f64,
    /// The same by the time of the kernels that make products, where the device has a clock for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    products_of_ceiling: Option<f64>,
    /// Of a step, where the device has a clock for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kernels: Vec<KernelShare>,
}

/// A kernel's share of a step.
#[derive(Serialize)]
struct KernelShare {
    kernel: &'static str,
    dispatches: usize,
    /// Microseconds of all of them together.
    us: f64,
    /// What they are given to read and to write, by that time.
    gb_per_second: f64,
    /// As a share of what the device copies at most.
    of_copy_ceiling: f64,
}

impl KernelShare {
    /// Whether matrix products are its work.
    fn multiplies(&self) -> bool {
        self.kernel.starts_with("linear_") || self.kernel == "fused_evaluate"
    }
}

pub fn run(args: &BenchArgs, wrap: Wrap<'_>) -> Result<()> {
    let workloads = workloads(args)?;
    let devices = match (args.device.device, &args.device.adapter) {
        (DeviceName::Auto, None) => at_hand(),
        _ => vec![Device::choose(&args.device, &tell)?],
    };
    say!("measuring what each device can do at most");
    let mut ceilings = Vec::new();
    for device in &devices {
        let ceiling = ceiling(device)?;
        say!(
            "ceiling    {:.0} GFLOP/s of multiply-adds in f32, {:.1} GB/s of copying: {}",
            ceiling.gflops,
            ceiling.copy_gb_per_second,
            ceiling.device
        );
        ceilings.push(ceiling);
    }
    say!(
        "\nworkload  device                 what                 median     least      most     rows/s  GFLOP/s of ceiling"
    );
    let mut timings = Vec::new();
    for workload in &workloads {
        for (device, ceiling) in devices.iter().zip(&ceilings) {
            for timing in time(workload, device, ceiling, args.rounds as usize, wrap)? {
                show(&timing);
                timings.push(timing);
            }
        }
    }
    if args.json {
        let value = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "ceilings": ceilings,
            "timings": timings,
        });
        print(&format!("{value}\n"))?;
    }
    Ok(())
}

fn workloads(args: &BenchArgs) -> Result<Vec<Workload>> {
    let Some(path) = &args.config else {
        let all = [
            WorkloadName::Seed,
            WorkloadName::Small,
            WorkloadName::Table,
            WorkloadName::Wide,
            WorkloadName::Default,
        ];
        let names = if args.workloads.is_empty() {
            &all[..]
        } else {
            &args.workloads
        };
        return Ok(names.iter().map(|&name| Workload::of(name)).collect());
    };
    let file = read_config(Some(path))?;
    let rows = args.rows as usize;
    let config = file.config(Preset::Safe, None, Some((rows, args.dims)))?;
    config.model.spec(args.dims)?;
    Ok(vec![Workload {
        name: path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        config,
        rows,
        columns: args.dims,
    }])
}

/// The CPU, and every GPU that is one.
fn at_hand() -> Vec<Device> {
    let gpus = adapters()
        .into_iter()
        .filter(|adapter| !adapter.is_software());
    std::iter::once(Device::cpu())
        .chain(gpus.map(|adapter| Device::gpu(adapter, false, &tell)))
        .collect()
}

/// What a device can do at most.
#[derive(Serialize)]
struct Ceiling {
    device: String,
    /// Of multiply-adds in f32.
    gflops: f64,
    copy_gb_per_second: f64,
}

/// What a device can do at most, by measurement.
fn ceiling(device: &Device) -> Result<Ceiling> {
    let Some(adapter) = device.adapter() else {
        let threads = rayon::current_num_threads();
        return Ok(Ceiling {
            device: format!("CPU, {threads} threads, {}", cpu::instructions()),
            gflops: cpu::ceiling::multiply_adds(),
            copy_gb_per_second: cpu::ceiling::copy(),
        });
    };
    let top = gpu::ceiling::measure(adapter)?;
    Ok(Ceiling {
        device: adapter.describe(),
        gflops: top.gflops,
        copy_gb_per_second: top.copy,
    })
}

/// Trains, scores and samples.
fn time(
    workload: &Workload,
    device: &Device,
    ceiling: &Ceiling,
    rounds: usize,
    wrap: Wrap<'_>,
) -> Result<Vec<Timing>> {
    let peak = ceiling.gflops;
    let config = &workload.config;
    let plan = Plan::new(&config.model.spec(workload.columns)?)?;
    let parameters = starting_parameters(&plan, config);
    let data = workload.data();
    let training = config.training();
    let batch = Batches::new(workload.rows, training.batch_size, training.seed).size();
    let mut executor = device.open(&Work {
        plan: plan.clone(),
        parameters,
        training: Some((workload.rows, batch)),
        wrap,
        tell: &tell,
        prepare: Box::new(|executor| executor.start(&data, &training)),
    })?;
    let (forward, all) = products(&plan);
    let name = executor.describe();
    let timing = |what, each: Each, rows: usize, operations: f64, per: f64| Timing {
        of_ceiling: operations * rows as f64 / each.median / 1e9 / peak,
        products_of_ceiling: None,
        workload: workload.name.clone(),
        device: name.clone(),
        what,
        ms: 1e3 * each.median * per,
        least: 1e3 * each.least * per,
        most: 1e3 * each.most * per,
        rows_per_second: rows as f64 / each.median,
        gflops: operations * rows as f64 / each.median / 1e9,
        kernels: Vec::new(),
    };
    let steps = repeat(executor.as_mut(), rounds, |executor, count| {
        executor.train(count).map(drop)
    })?;
    let mut trained = timing("train", steps, batch, all, 1.0);
    trained.kernels = kernels(executor.as_mut(), rounds, ceiling.copy_gb_per_second)?;
    let products = trained.kernels.iter().filter(|share| share.multiplies());
    let seconds = 1e-6 * products.map(|share| share.us).sum::<f64>();
    trained.products_of_ceiling =
        (seconds > 0.0).then(|| all * batch as f64 / seconds / 1e9 / peak);
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
    most_gb_per_second: f64,
) -> Result<Vec<KernelShare>> {
    let steps: Vec<Vec<KernelTime>> = (0..rounds)
        .map(|_| executor.timed_step())
        .collect::<Result<_, Error>>()?;
    let median = |kernel: usize| {
        let mut times: Vec<f64> = steps.iter().map(|step| step[kernel].seconds).collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let first = steps[0].iter().enumerate();
    let mut shares: Vec<KernelShare> = first
        .map(|(place, time)| {
            let seconds = median(place);
            let gb_per_second = 1e-9 * time.bytes / seconds.max(1e-9);
            KernelShare {
                kernel: time.kernel,
                dispatches: time.dispatches,
                us: 1e6 * seconds,
                gb_per_second,
                of_copy_ceiling: gb_per_second / most_gb_per_second,
            }
        })
        .collect();
    shares.sort_by(|a, b| b.us.total_cmp(&a.us));
    Ok(shares)
}

/// Seconds of one repetition.
struct Each {
    median: f64,
    least: f64,
    most: f64,
}

/// Warms up, then takes rounds of as many repetitions as fill [`ROUND`].
fn repeat(
    executor: &mut dyn Executor,
    rounds: usize,
    mut work: impl FnMut(&mut dyn Executor, usize) -> Result<(), Error>,
) -> Result<Each> {
    let mut count = 1;
    loop {
        let begin = Instant::now();
        work(executor, count)?;
        let taken = begin.elapsed().as_secs_f64().max(1e-9);
        if taken > ROUND / 2.0 {
            count = ((count as f64 * ROUND / taken) as usize).max(1);
            break;
        }
        count = (count * 2).max((count as f64 * ROUND / taken / 2.0) as usize);
    }
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let begin = Instant::now();
        work(executor, count)?;
        times.push(begin.elapsed().as_secs_f64() / count as f64);
    }
    times.sort_by(f64::total_cmp);
    Ok(Each {
        median: times[times.len() / 2],
        least: times[0],
        most: times[times.len() - 1],
    })
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

fn show(timing: &Timing) {
    let (ms, least, most) = (timing.ms, timing.least, timing.most);
    let unit = if timing.what == "train" {
        "step"
    } else {
        "million"
    };
    let device: String = timing.device.chars().take(22).collect();
    say!(
        "{:<9} {device:<22} {:<6} ms/{unit:<7} {ms:>9.3} {least:>9.3} {most:>9.3} {:>10.3e} {:>8.1} {:>9.0}%",
        timing.workload,
        timing.what,
        timing.rows_per_second,
        timing.gflops,
        100.0 * timing.of_ceiling
    );
    let whole: f64 = timing.kernels.iter().map(|share| share.us).sum();
    for share in &timing.kernels {
        say!(
            "          {:<32} {:>4} dispatches {:>9.3} ms a step {:>4.0}% of the kernels' time {:>8.1} GB/s {:>4.0}% of copying",
            share.kernel,
            share.dispatches,
            1e-3 * share.us,
            100.0 * share.us / whole,
            share.gb_per_second,
            100.0 * share.of_copy_ceiling
        );
    }
    if let Some(share) = timing.products_of_ceiling {
        say!(
            "          the kernels that make products reach {:.1}% of the ceiling",
            100.0 * share
        );
    }
}
