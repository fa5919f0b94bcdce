use std::path::PathBuf;
use std::time::Instant;

use crate::data::{self, Part, TableHeader, TableOptions, TableReader, Values, table_files};
use crate::error::{Error, format_row};
use crate::fit::{Device, DeviceChoice, Flow, Purpose, Scored, Scores};
use crate::model::Model;
use crate::pipeline;

use super::output::{Sink, print};
use super::overwrite::OverwriteCheck;
use super::{Failure, FallbackArgs, OutputArgs, Result, input, report_reading, report_speed};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  couplet score stars.safetensors new.csv                        a log_prob a row, to standard output
  couplet score stars.safetensors new.csv --append --out scored.parquet
  couplet score stars.safetensors new.csv --top 20               the anomalies
  couplet score stars.safetensors new.csv --summary
  couplet score mass.safetensors new.csv --cdf                   and the probability of less, given its context")]
pub struct ScoreArgs {
    /// Model file
    model: PathBuf,
    /// Table to score, with the model's columns among its own: files, or a folder of them; - is standard input
    #[arg(required = true)]
    data: Vec<PathBuf>,
    #[command(flatten)]
    table: TableOptions,
    /// Write the table's columns too, text among them
    #[arg(long)]
    append: bool,
    /// Write the K rows of the lowest density alone, the lowest first
    #[arg(long, value_name = "K", conflicts_with_all = ["append", "summary"])]
    top: Option<usize>,
    /// Print mean, quantiles and the lowest rows; the scores themselves go to --out alone
    #[arg(long)]
    summary: bool,
    /// Write the probability below each row's number as well, given its context: of models of one column
    #[arg(long, conflicts_with_all = ["top", "summary"])]
    cdf: bool,
    /// Write how far the flows of an ensemble differ as well: the standard deviation of log_prob over them
    #[arg(long, conflicts_with_all = ["top", "summary"])]
    spread: bool,
    /// Compute in 64-bit arithmetic, on the CPU: slower, and right to the last digit that is written
    #[arg(long, conflicts_with_all = ["device", "adapter", "gpu_path", "fallback"])]
    f64: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    device: DeviceChoice,
    #[command(flatten)]
    fallback: FallbackArgs,
}

impl ScoreArgs {
    /// Whether scores are written as JSON Lines; with a summary JSON is its form, and a file's name says its own.
    fn writes_json(&self) -> bool {
        self.output.json && !self.summary
    }

    /// The names of what is added to a row.
    fn added(&self) -> Vec<&'static str> {
        let cdf = self.cdf.then_some("cdf");
        let spread = self.spread.then_some("spread");
        [Some("log_prob"), cdf, spread]
            .into_iter()
            .flatten()
            .collect()
    }

    /// A score rounded to the digits that the arithmetic gives.
    fn rounded(&self, score: f64) -> f64 {
        data::rounded(score, if self.f64 { 10 } else { 5 })
    }
}

/// The lowest rows that a summary shows.
const LOWEST_SHOWN: usize = 10;

pub fn run(args: &ScoreArgs) -> Result<()> {
    let files = table_files(&args.data).map_err(input)?;
    OverwriteCheck::default()
        .reads("MODEL", Some(&args.model))
        .reads_all("DATA", &files)
        .writes("--out", Some(args.output.path()))
        .run(args.output.force)?;
    let model = Model::load(&args.model).map_err(input)?;
    if args.cdf && model.columns.len() != 1 {
        return Err(Failure::usage(format!(
            "--cdf: the model has {} columns, and one column alone has a distribution function here",
            model.columns.len()
        )));
    }
    if args.spread {
        model.check_spread()?;
    }
    let options = TableOptions {
        expected: Some(model.expected_columns()),
        keeps_table: args.append,
        ..args.table.clone()
    };
    let mut reader = TableReader::open(&args.data, &options).map_err(input)?;
    let row_count = reader.row_count_hint();
    let header = header(args, &reader)?;
    // A summary without --out is all that there is to print.
    let mut sink = match args.summary && args.output.file().is_none() {
        true => None,
        false => Some(Sink::open(&args.output, args.writes_json())?),
    };
    let flow = open(args, model)?;
    let begin = Instant::now();
    let lowest = args
        .top
        .unwrap_or(if args.summary { LOWEST_SHOWN } else { 0 });
    let mut seen = Scores::new(lowest, args.summary);
    let writes_each = args.top.is_none();
    pipeline::run(
        || reader.next(ROWS).map_err(input),
        |part| {
            if part.numbers.is_empty() {
                return Ok((part, vec![Vec::new(); args.added().len()]));
            }
            let scores = flow.log_prob(&part.values)?;
            seen.note(&part, &scores);
            let mut added = vec![scores];
            if args.cdf {
                added.push(flow.cdf(&part.values)?);
            }
            if args.spread {
                added.push(flow.spread(&part.values)?);
            }
            Ok((part, added))
        },
        |parts| {
            let parts = parts.into_iter();
            match &mut sink {
                Some((sink, format)) if writes_each => {
                    let parts = parts.map(|(part, added)| written(args, part, added));
                    sink.write(*format, &header, row_count, parts)
                }
                _ => {
                    parts.for_each(drop);
                    Ok(())
                }
            }
        },
    )?;
    if seen.rows == 0 {
        let what = match reader.dropped().rows {
            0 => "the table has no rows",
            _ => "every row lacks a value in some column",
        };
        return Err(Error::data(format!("{}: {what}", args.data[0].display())).into());
    }
    report_reading(&reader.notes(), reader.dropped());
    report_speed(seen.rows as u64, begin.elapsed());
    let columns = flow.all_columns();
    report(args, &seen, &columns, &flow.device());
    if args.summary {
        let levels = flow.model().row_levels();
        let summary = seen.summary(&columns, &levels);
        print(&match args.output.json {
            true => format!("{}\n", summary.to_json(|score| args.rounded(score))),
            false => summary.to_string(),
        })?;
    } else if args.top.is_some()
        && let Some((sink, format)) = &mut sink
    {
        let rows = seen.into_lowest();
        let levels = flow.model().row_levels();
        let count = rows.len();
        sink.write(
            *format,
            &header,
            Some(count),
            std::iter::once(top(args, rows, &levels)),
        )?;
    }
    match sink {
        Some((sink, _)) => sink.finish(),
        None => Ok(()),
    }
}

/// The flow, on the device that was chosen.
fn open(args: &ScoreArgs, model: Model) -> Result<Flow> {
    if args.f64 {
        return Ok(Flow::new(model)?.in_f64()?);
    }
    let device = Device::choose(&args.device)?;
    let fallback = args.fallback.applied_to(&args.device).fallback_to_cpu;
    Ok(Flow::ready_for(Purpose::Score, model, &device, fallback)?)
}

/// Rows at a time.
const ROWS: usize = 1 << 15;

/// The columns that are written, and what else the table says of itself.
fn header(args: &ScoreArgs, reader: &TableReader) -> Result<TableHeader> {
    let mut columns: Vec<String> = if args.append {
        reader.all_columns().to_vec()
    } else if args.top.is_some() {
        let columns = reader.columns();
        // The model may have a column of that name.
        let is_free = |name: &&str| columns.iter().all(|column| column != name);
        let name = ["row", "row_number", "row_of_table"]
            .into_iter()
            .find(is_free);
        let row = name.unwrap_or("number_of_the_row").to_string();
        std::iter::once(row)
            .chain(columns.iter().cloned())
            .collect()
    } else if args.writes_json() {
        vec!["row".into()]
    } else {
        Vec::new()
    };
    let added = args.added();
    if let Some(there) = added
        .iter()
        .find(|added| columns.iter().any(|name| name == *added))
    {
        return Err(Error::data(format!(
            "{}: the table has a column {there} already; rename it",
            args.data[0].display()
        ))
        .into());
    }
    columns.extend(added.into_iter().map(String::from));
    Ok(TableHeader {
        names: columns,
        metadata: match args.append {
            true => reader.metadata().to_vec(),
            false => Vec::new(),
        },
    })
}

/// What is written of some rows: a line a row of the table, without what is added where a value is missing.
fn written(args: &ScoreArgs, part: Part, added: Vec<Vec<f64>>) -> Vec<Values> {
    let of_all_rows = |of_rows: Vec<f64>| {
        let mut all = vec![f64::NAN; (part.rows.end - part.rows.start) as usize];
        for (number, score) in part.numbers.iter().zip(of_rows) {
            all[(number - part.rows.start) as usize] = args.rounded(score);
        }
        Values::Numbers(all)
    };
    let mut written = match part.table {
        Some(table) => table,
        None if args.writes_json() => vec![Values::Whole(part.rows.clone().collect())],
        None => Vec::new(),
    };
    written.extend(added.into_iter().map(of_all_rows));
    written
}

/// The lowest rows as columns.
fn top(args: &ScoreArgs, rows: Vec<Scored>, levels: &[Vec<String>]) -> Vec<Values> {
    let width = rows.first().map_or(0, |row| row.values.len());
    let column = |j: usize| {
        let values = rows.iter().map(|row| row.values[j]);
        match levels[j].is_empty() {
            true => Values::Numbers(values.collect()),
            false => Values::Text(values.map(|x| levels[j].get(x as usize).cloned()).collect()),
        }
    };
    let numbers = rows.iter().map(|row| row.number).collect();
    let mut columns = vec![Values::Whole(numbers)];
    columns.extend((0..width).map(column));
    let scores = rows.iter().map(|row| args.rounded(row.log_prob)).collect();
    columns.push(Values::Numbers(scores));
    columns
}

fn report(args: &ScoreArgs, seen: &Scores, columns: &[String], device: &str) {
    if let Some(first) = &seen.first_overflow {
        log::warn!(
            "in {}-bit numbers the density of {} {} is 0 (log_prob -inf), the first of them row {} ({}); the mean is \
             over the others",
            if args.f64 { 64 } else { 32 },
            seen.overflows,
            if seen.overflows == 1 { "row" } else { "rows" },
            first.number,
            format_row(columns, first.values.iter())
        );
    }
    let mean = match seen.mean() {
        None => "-inf".into(),
        Some((mean, _)) => format!("{mean:.5}"),
    };
    log::info!("{} rows, mean log_prob {mean} nats ({device})", seen.rows);
}
