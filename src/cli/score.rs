use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;

use serde_json::json;

use crate::data::{Missing, Part, TableOptions, TableReader, write_npy};
use crate::error::{Error, described};
use crate::fit::{Device, DeviceChoice, Work, Wrap, log_prob};
use crate::matrix::Matrix;
use crate::model::Model;

use super::guard::Guard;
use super::output::{Format, Sink};
use super::{FallbackArgs, OutputArgs, Result, TableArgs, input, pipeline, say_dropped, tell};

#[derive(clap::Args)]
pub struct ScoreArgs {
    /// Model file
    model: PathBuf,
    /// Table to score, with the model's columns among its own; - is standard input
    data: PathBuf,
    #[command(flatten)]
    table: TableArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    device: DeviceChoice,
    #[command(flatten)]
    fallback: FallbackArgs,
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
    let mut reader = TableReader::open(&args.data, &options)
        .and_then(|reader| reader.in_order_of(&model.columns))
        .map_err(input)?;
    // Of rows that may be left out the number is known at the end.
    let promised = reader
        .promised()
        .filter(|_| options.missing == Missing::Refuse);
    let (sink, format) = Sink::open(&args.output)?;
    let device = Device::choose(&args.device, &tell)?;
    let one_row = Matrix::zeros(1, model.spec.dims);
    let work = Work {
        plan: model.plan()?,
        parameters: model.parameters.clone(),
        training: None,
        wrap,
        tell: &tell,
        prepare: Box::new(move |executor| executor.log_prob(&one_row).map(drop)),
    };
    let mut executor = device.open_lasting(work, args.fallback.is_cpu(), |_| {})?;
    let mut seen = Seen::default();
    let sink = pipeline::run(
        || reader.next(ROWS).map_err(input),
        |part| {
            let scores = log_prob(&model, executor.as_mut(), &part.values)?;
            seen.note(&part, &scores);
            Ok(scores)
        },
        |scores| write(sink, format, promised, scores),
    )?;
    if seen.rows == 0 {
        return Err(Error::Data(format!("{}: the table has no rows", args.data.display())).into());
    }
    sink.finish()?;
    say_dropped(reader.dropped());
    seen.say(&model.columns, &executor.describe());
    Ok(())
}

/// Rows at a time.
const ROWS: usize = 1 << 15;

/// Writes scores as they come.
fn write(
    mut sink: Sink,
    format: Format,
    promised: Option<usize>,
    scores: Receiver<Vec<f64>>,
) -> Result<Sink> {
    let column = |scores: Vec<f64>| Ok(Matrix::from_values(scores.len(), 1, scores));
    match format {
        Format::Npy => {
            // The header holds the number of rows; where the table does not say it, it is known at the end.
            let written = match promised {
                Some(rows) => write_npy(sink.writer(), rows, 1, scores.into_iter().map(column))?,
                None => {
                    let all: Vec<f64> = scores.into_iter().flatten().collect();
                    write_npy(sink.writer(), all.len(), 1, std::iter::once(column(all)))?
                }
            };
            written.map_err(|error| sink.failed(error))?;
        }
        Format::Csv => {
            sink.write(|out| writeln!(out, "log_prob"))?;
            for scores in scores {
                sink.write(|out| {
                    let mut text = String::with_capacity(10 * scores.len());
                    for score in scores {
                        // Writing to a string does not fail.
                        let _ = writeln!(text, "{score:.5}");
                    }
                    out.write_all(text.as_bytes())
                })?;
            }
        }
        Format::JsonLines => {
            let mut row = 0;
            for scores in scores {
                sink.write(|out| {
                    for score in scores {
                        row += 1;
                        let score = match score.is_finite() {
                            true => json!((score * 1e5).round() / 1e5),
                            // JSON has no infinity; this is how languages read and write one as text.
                            false => json!("-inf"),
                        };
                        writeln!(out, "{}", json!({ "row": row, "log_prob": score }))?;
                    }
                    Ok(())
                })?;
            }
        }
    }
    Ok(sink)
}

/// What is to be said of the rows.
#[derive(Default)]
struct Seen {
    rows: usize,
    /// The sum of the finite scores.
    sum: f64,
    /// Rows without a finite score, and the first of them with its number.
    zero: usize,
    first_zero: Option<(u64, Vec<f64>)>,
}

impl Seen {
    fn note(&mut self, part: &Part, scores: &[f64]) {
        for (row, &score) in scores.iter().enumerate() {
            if score.is_finite() {
                self.sum += score;
            } else {
                self.zero += 1;
                self.first_zero
                    .get_or_insert_with(|| (part.numbers[row], part.values.row(row).collect()));
            }
        }
        self.rows += scores.len();
    }

    fn say(&self, columns: &[String], device: &str) {
        if let Some((number, values)) = &self.first_zero {
            say!(
                "warning: in 32-bit numbers the density of {} {} is 0 (log_prob -inf), the first of them row {number} ({}); \
                 the mean is over the others",
                self.zero,
                if self.zero == 1 { "row" } else { "rows" },
                described(columns, values.iter())
            );
        }
        let mean = match self.rows - self.zero {
            0 => "-inf".into(),
            finite => format!("{:.5}", self.sum / finite as f64),
        };
        say!("{} rows, mean log_prob {mean} nats ({device})", self.rows);
    }
}
