use std::path::PathBuf;

use serde_json::{Map, json};

use crate::data::{write_csv_rows, write_npy};
use crate::error::Error;
use crate::matrix::Matrix;
use crate::model::Model;

use super::device::Device;
use super::guard::Guard;
use super::output::{Format, Sink, csv_field, rounded};
use super::{DeviceArgs, Failure, OutputArgs, Result, Wrap, input};

#[derive(clap::Args)]
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
    device: DeviceArgs,
}

/// Rows drawn at a time: memory does not grow with their number.
const ROWS: u64 = 1 << 16;

pub fn run(args: &SampleArgs, wrap: Wrap<'_>) -> Result<()> {
    Guard::default()
        .reads("MODEL", Some(&args.model))
        .writes("--out", Some(args.output.path()))
        .check(args.output.force)?;
    let model = Model::load(&args.model).map_err(input)?;
    let most = isize::MAX as u64 / (8 * model.spec.dims as u64);
    if args.rows > most {
        return Err(Failure::usage(format!(
            "-n {}: more rows than any file could hold",
            args.rows
        )));
    }
    let (mut sink, format) = Sink::open(&args.output)?;
    let device = Device::choose(&args.device)?;
    let mut executor = device.open(&model.plan()?, &model.parameters, None, wrap, |executor| {
        executor.sample(0, 0..1).map(drop)
    })?;
    let dims = model.spec.dims;
    let preprocessing = &model.preprocessing;
    // What the flow computes in f32 is known to some 1e-7 of the width that it sees.
    let resolutions: Vec<f64> = match preprocessing.widths() {
        Some(widths) => widths.iter().map(|width| 1e-7 * width).collect(),
        None => vec![0.0; dims],
    };
    let starts = (0..args.rows).step_by(ROWS as usize);
    let parts = starts.map(|first| -> Result<Matrix<f64>, Error> {
        let x = executor.sample(args.seed, first..args.rows.min(first + ROWS))?;
        if let Some(place) = x.values().iter().position(|value| !value.is_finite()) {
            return Err(Error::Model(format!(
                "{}: row {} of the sample is not finite: the inverse of this model overflows; train it with scale_bound",
                args.model.display(),
                first as usize + place % x.rows() + 1
            )));
        }
        let x = preprocessing.undo(&x);
        Ok(Matrix::from_fn(x.rows(), dims, |row, j| {
            match resolutions[j] {
                // Plain f32 numbers, in their shortest form.
                0.0 => (x.get(row, j) as f32).to_string().parse().unwrap_or(f64::NAN),
                resolution => rounded(x.get(row, j), resolution),
            }
        }))
    });
    match format {
        Format::Npy => {
            let written = write_npy(sink.writer(), args.rows as usize, dims, parts)?;
            written.map_err(|error| sink.failed(error))?;
        }
        Format::Csv => {
            let names: Vec<String> = model.columns.iter().map(|name| csv_field(name)).collect();
            sink.write(|out| writeln!(out, "{}", names.join(",")))?;
            for part in parts {
                let part = part?;
                sink.write(|out| {
                    write_csv_rows(out, &part, |value, line| line.push_str(&value.to_string()))
                })?;
            }
        }
        Format::JsonLines => {
            for part in parts {
                let part = part?;
                sink.write(|out| {
                    for row in 0..part.rows() {
                        let numbers = part.row(row).map(|value| json!(value));
                        let object: Map<_, _> =
                            model.columns.iter().cloned().zip(numbers).collect();
                        serde_json::to_writer(&mut *out, &object)?;
                        writeln!(out)?;
                    }
                    Ok(())
                })?;
            }
        }
    }
    sink.finish()
}
