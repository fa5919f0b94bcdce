use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use crate::data::{TableFormat, TableHeader, Values};
use crate::error::Error;
use crate::fit::{Device, DeviceChoice, Flow, Purpose};
use crate::matrix::Matrix;
use crate::model::Model;
use crate::pipeline;

use super::output::Sink;
use super::overwrite::OverwriteCheck;
use super::{Failure, FallbackArgs, OutputArgs, Result, input, report_speed};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  couplet sample stars.safetensors -n 5 --seed 7
  couplet sample stars.safetensors -n 1000000 --out new.parquet")]
pub struct SampleArgs {
    /// Model file
    model: PathBuf,
    /// Rows to draw
    #[arg(short = 'n', long, default_value_t = 1000)]
    rows: u64,
    /// Row i depends on the seed and i alone
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    device: DeviceChoice,
    #[command(flatten)]
    fallback: FallbackArgs,
}

/// Rows drawn at a time: memory does not grow with their number.
const ROWS: u64 = 1 << 15;

pub fn run(args: &SampleArgs) -> Result<()> {
    OverwriteCheck::default()
        .reads("MODEL", Some(&args.model))
        .writes("--out", Some(args.output.path()))
        .run(args.output.force)?;
    let model = Model::load(&args.model).map_err(input)?;
    let most = isize::MAX as u64 / (8 * model.spec.dims as u64);
    if args.rows > most {
        return Err(Failure::usage(format!(
            "-n {}: more rows than any file could hold",
            args.rows
        )));
    }
    let (sink, format) = Sink::open(&args.output, args.output.json)?;
    let device = Device::choose(&args.device)?;
    let fallback = args.fallback.applied_to(&args.device).fallback_to_cpu;
    let flow = Flow::ready_for(Purpose::Sample, model, &device, fallback)?;
    let model = flow.model();
    let begin = Instant::now();
    let mut starts = (0..args.rows).step_by(ROWS as usize);
    let sink = pipeline::run(
        || Ok(starts.next()),
        |first| {
            let x = flow.sample(first..args.rows.min(first + ROWS), args.seed)?;
            if let Some(index) = x.values().iter().position(|value| !value.is_finite()) {
                return Err(Error::model(format!(
                    "{}: row {} of the sample is not finite: the inverse of this model overflows; train it with scale_bound",
                    args.model.display(),
                    first as usize + index % x.rows() + 1
                ))
                .into());
            }
            Ok(x)
        },
        |parts| write(sink, format, model, args.rows, parts),
    )?;
    report_speed(args.rows, begin.elapsed());
    sink.finish()
}

/// Writes rows as they come, with the digits that are significant.
fn write(
    mut sink: Sink,
    format: TableFormat,
    model: &Model,
    rows: u64,
    parts: Receiver<Matrix<f64>>,
) -> Result<Sink> {
    let rounding = model.sample_rounding();
    let parts = parts.into_iter().map(|x| {
        let column = |j| {
            x.column(j)
                .iter()
                .map(|&value| rounding.round(value, j))
                .collect()
        };
        (0..x.columns())
            .map(|j| Values::Numbers(column(j)))
            .collect()
    });
    let header = TableHeader::from(&model.columns[..]);
    sink.write(format, &header, Some(rows as usize), parts)?;
    Ok(sink)
}
