use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::json;

use crate::config::{Preset, TableSize};
use crate::fit::{Device, DeviceChoice, DeviceName};
use crate::gpu::adapters;
use crate::timing::{self, PeakThroughput, Timing, Workload, WorkloadName};

use super::Result;
use super::inputs::read_config;
use super::output::print;

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

pub fn run(args: &BenchArgs) -> Result<()> {
    let workloads = workloads(args)?;
    let devices = match (args.device.device, &args.device.adapter) {
        (DeviceName::Auto, None) => at_hand(),
        _ => vec![Device::choose(&args.device)?],
    };
    log::info!("measuring what each device can do at most");
    let mut peaks = Vec::new();
    for device in &devices {
        let peak = PeakThroughput::of(device)?;
        log::info!("peak    {peak}");
        peaks.push(peak);
    }
    log::info!("\n{}", Timing::HEADER);
    let mut timings = Vec::new();
    for workload in &workloads {
        for (device, peak) in devices.iter().zip(&peaks) {
            for timing in timing::time(workload, device, peak, args.rounds as usize)? {
                log::info!("{timing}");
                timings.push(timing);
            }
        }
    }
    if args.json {
        let value = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "peaks": peaks,
            "timings": timings,
        });
        print(&format!("{value}\n"))?;
    }
    Ok(())
}

fn workloads(args: &BenchArgs) -> Result<Vec<Workload>> {
    let Some(path) = &args.config else {
        let names = match &args.workloads[..] {
            [] => WorkloadName::value_variants(),
            named => named,
        };
        return Ok(names.iter().map(|&name| Workload::of(name)).collect());
    };
    let file = read_config(Some(path))?;
    let rows = args.rows as usize;
    let config = file.config(Preset::Safe, None, Some(TableSize::new(rows, args.dims)))?;
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
        .chain(gpus.map(|adapter| Device::gpu(adapter, false)))
        .collect()
}
