use std::path::PathBuf;

use serde_json::json;

use crate::data::{TableOptions, read_table, write_csv_rows, write_npy};
use crate::error::Error;
use crate::matrix::Matrix;
use crate::model::Model;

use super::device::Device;
use super::guard::Guard;
use super::output::{Format, Sink, described};
use super::{DeviceArgs, Failure, OutputArgs, Result, TableArgs, Wrap, input};

#[derive(clap::Args)]
pub struct ScoreArgs {
    /// Model file
    model: PathBuf,
    /// Table to score (CSV or NPY; - is standard input), with the model's columns
    data: PathBuf,
    #[command(flatten)]
    table: TableArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    device: DeviceArgs,
}

pub fn run(args: &ScoreArgs, wrap: Wrap<'_>) -> Result<()> {
    Guard::default()
        .reads("MODEL", Some(&args.model))
        .reads("DATA", Some(&args.data))
        .writes("--out", Some(args.output.path()))
        .check(args.output.force)?;
    let model = Model::load(&args.model).map_err(input)?;
    let options = TableOptions {
        wanted: model.columns.clone(),
        ..args.table.options()
    };
    let table = read_table(&args.data, &options).map_err(input)?;
    let table = table.in_order_of(&model.columns).map_err(|error| {
        let message = format!("{}: {error}", args.data.display());
        Failure::from(Error::Data(message))
    })?;
    let (mut sink, format) = Sink::open(&args.output)?;
    let device = Device::choose(&args.device)?;
    let one_row = Matrix::zeros(1, model.spec.dims);
    let mut executor = device.open(&model.plan()?, &model.parameters, None, wrap, |executor| {
        executor.log_prob(&one_row).map(drop)
    })?;
    let log_det = model.preprocessing.log_det();
    let scores: Vec<f64> = executor
        .log_prob(&model.preprocessing.apply(&table.values))?
        .into_iter()
        .map(|log_prob| log_prob + log_det)
        .collect();

    let rows = scores.len();
    let column = Matrix::from_values(rows, 1, scores);
    match format {
        Format::Npy => {
            let parts = std::iter::once(Ok(column.clone()));
            let written = write_npy(sink.writer(), rows, 1, parts)?;
            written.map_err(|error| sink.failed(error))?;
        }
        Format::Csv => sink.write(|out| {
            writeln!(out, "log_prob")?;
            write_csv_rows(out, &column, |value, line| {
                line.push_str(&format!("{value:.5}"))
            })
        })?,
        Format::JsonLines => sink.write(|out| {
            for (row, &value) in column.values().iter().enumerate() {
                let value = match value.is_finite() {
                    true => json!((value * 1e5).round() / 1e5),
                    // JSON has no infinity; this is how languages read and write one as text.
                    false => json!("-inf"),
                };
                writeln!(out, "{}", json!({ "row": row + 1, "log_prob": value }))?;
            }
            Ok(())
        })?,
    }
    sink.finish()?;
    let finite = || column.values().iter().filter(|value| value.is_finite());
    let zero = rows - finite().count();
    if zero > 0 {
        let first = column.values().iter().position(|value| !value.is_finite());
        let row = first.unwrap_or(0);
        say!(
            "warning: in 32-bit numbers the density of {zero} {} is 0 (log_prob -inf), the first of them row {} ({}); the mean \
             is over the others",
            if zero == 1 { "row" } else { "rows" },
            row + 1,
            described(&model.columns, table.values.row(row))
        );
    }
    let mean = finite().sum::<f64>() / (rows - zero) as f64;
    let mean = match zero == rows {
        true => "-inf".into(),
        false => format!("{mean:.5}"),
    };
    say!(
        "{rows} rows, mean log_prob {mean} nats ({})",
        executor.describe()
    );
    Ok(())
}
