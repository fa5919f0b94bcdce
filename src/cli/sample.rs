use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::time::Instant;

use crate::data::{TableFormat, TableHeader, TableOptions, TableReader, Values, default_names};
use crate::error::{Error, Message, Remedy};
use crate::fit::{Device, DeviceChoice, Flow, Purpose};
use crate::matrix::Matrix;
use crate::model::Model;
use crate::pipeline;
use crate::preprocessing::ContextColumn;

use super::output::Sink;
use super::overwrite::OverwriteCheck;
use super::{Failure, FallbackArgs, OutputArgs, Result, input, report_speed};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  couplet sample stars.safetensors -n 5 --seed 7
  couplet sample stars.safetensors -n 1000000 --out new.parquet
  couplet sample mass.safetensors --given color=0.7,kind=dwarf -n 1000   of a model of mass given both
  couplet sample mass.safetensors --given-file stars.csv -n 10 --out masses.csv")]
pub struct SampleArgs {
    /// Model file
    model: PathBuf,
    /// Rows to draw, for each row of --given-file [default: 1000, or 1 for each]
    #[arg(short = 'n', long)]
    rows: Option<u64>,
    /// Row i depends on the seed, on i and on what is given alone
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// What is given, of a model with context: a=1.5,b=2. It is written beside the samples
    #[arg(long, value_name = "NAME=VALUE,...", allow_hyphen_values = true)]
    given: Vec<String>,
    /// Table whose rows are given one after the other; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "given")]
    given_file: Option<PathBuf>,
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
        .reads("--given-file", args.given_file.as_deref())
        .writes("--out", Some(args.output.path()))
        .run(args.output.force)?;
    let model = Model::load(&args.model).map_err(input)?;
    let mut contexts = Contexts::open(args, &model)?;
    let most = isize::MAX as u64 / (8 * model.all_columns().len() as u64);
    if contexts.each > most {
        return Err(Failure::usage(format!(
            "-n {}: more rows than any file could hold",
            contexts.each
        )));
    }
    let (sink, format) = Sink::open(&args.output, args.output.json)?;
    let device = Device::choose(&args.device)?;
    let fallback = args.fallback.applied_to(&args.device).fallback_to_cpu;
    let flow = Flow::ready_for(Purpose::Sample, model, &device, fallback)?;
    let model = flow.model();
    let begin = Instant::now();
    let (mut drawn, row_count) = (0, contexts.row_count_hint());
    let sink = pipeline::run(
        || contexts.next(),
        |context: Matrix<f64>| {
            let first = drawn;
            drawn += context.rows() as u64;
            let x = flow.sample_given(&context, first..drawn, args.seed)?;
            if let Some(index) = x.values().iter().position(|value| !value.is_finite()) {
                return Err(Error::model(format!(
                    "{}: row {} of the sample is not finite: the inverse of this model overflows; train it with scale_bound",
                    args.model.display(),
                    first as usize + index % x.rows() + 1
                ))
                .into());
            }
            Ok((x, context))
        },
        |parts| write(sink, format, model, row_count, parts),
    )?;
    report_speed(drawn, begin.elapsed());
    sink.finish()
}

/// The context of each row to draw, in parts of [`ROWS`] at most; without columns where the model takes none.
struct Contexts {
    /// Rows to draw for each row of context.
    each: u64,
    reader: Option<TableReader>,
    /// The rows of context at hand, and how many rows have been drawn for them, all together.
    part: Matrix<f64>,
    drawn: u64,
}

impl Contexts {
    fn open(args: &SampleArgs, model: &Model) -> Result<Self> {
        let names = model.context_names();
        let flag = match &args.given_file {
            Some(_) => "given_file",
            None => "given",
        };
        if names.is_empty() && (args.given_file.is_some() || !args.given.is_empty()) {
            let text = "the model is a density without context, so nothing is given";
            return Err(Error::Spec(Message::new(text).remedy(Remedy::new(
                "leave it out",
                flag,
                "",
            )))
            .into());
        }
        if !names.is_empty() && args.given_file.is_none() && args.given.is_empty() {
            return Err(model.nothing_given("given_file").into());
        }
        let reader = args
            .given_file
            .as_deref()
            .map(|path| reader_of(path, model));
        let part = match (&reader, names.is_empty()) {
            (Some(_), _) => Matrix::zeros(0, names.len()),
            (None, true) => Matrix::zeros(1, 0),
            (None, false) => model.context_from_text(&args.given)?,
        };
        Ok(Contexts {
            each: args.rows.unwrap_or(if reader.is_some() { 1 } else { 1000 }),
            reader: reader.transpose()?,
            part,
            drawn: 0,
        })
    }

    /// All rows that will be drawn, where that is known.
    fn row_count_hint(&self) -> Option<usize> {
        let contexts = match &self.reader {
            Some(reader) => reader.row_count_hint()?,
            None => 1,
        };
        contexts.checked_mul(self.each as usize)
    }

    fn next(&mut self) -> Result<Option<Matrix<f64>>> {
        while self.drawn == self.part.rows() as u64 * self.each {
            let reader = self.reader.as_mut();
            let part = reader.map_or(Ok(None), |reader| reader.next(ROWS as usize));
            let Some(part) = part.map_err(input)? else {
                return Ok(None);
            };
            (self.part, self.drawn) = (part.values, 0);
        }
        let first = self.drawn;
        self.drawn = (first + ROWS).min(self.part.rows() as u64 * self.each);
        let count = (self.drawn - first) as usize;
        Ok(Some(Matrix::from_fn(count, self.part.columns(), |k, j| {
            let row = (first + k as u64) / self.each;
            self.part.get(row as usize, j)
        })))
    }
}

fn reader_of(path: &Path, model: &Model) -> Result<TableReader> {
    let options = TableOptions {
        expected: Some(model.expected_context()),
        ..TableOptions::default()
    };
    TableReader::open(&[path], &options).map_err(input)
}

/// Where the columns of a model stand in a table: as in the one that it was trained on where that had no names, since formats
/// without names have them by their positions; none otherwise.
fn order(columns: &[String]) -> Option<Vec<usize>> {
    let by_position = default_names(columns.len());
    let find = |name: &String| columns.iter().position(|column| column == name);
    by_position.iter().map(find).collect()
}

fn in_order<T>(columns: Vec<T>, order: &[usize]) -> Vec<T> {
    let mut columns: Vec<Option<T>> = columns.into_iter().map(Some).collect();
    order.iter().filter_map(|&j| columns[j].take()).collect()
}

/// Writes rows as they come, with the digits that are significant, and their context.
fn write(
    mut sink: Sink,
    format: TableFormat,
    model: &Model,
    rows: Option<usize>,
    parts: Receiver<(Matrix<f64>, Matrix<f64>)>,
) -> Result<Sink> {
    let rounding = model.sample_rounding();
    let (categories, given) = (model.categories(), model.given());
    let columns = model.all_columns();
    let order = match given.is_empty() {
        true => model.table_order(),
        false => order(&columns).unwrap_or_else(|| model.table_order()),
    };
    let of_context = |column: &ContextColumn, values: &[f64]| match column.levels.is_empty() {
        true => Values::Numbers(values.to_vec()),
        false => {
            let level = |&level: &f64| Some(column.value_to_text(level));
            Values::Text(values.iter().map(level).collect())
        }
    };
    let parts = parts.into_iter().map(|(x, context)| {
        let dims = model.columns.len();
        let column = |j| {
            x.column(j)
                .iter()
                .map(|&value| rounding.round(value, j))
                .collect()
        };
        let numbers = (0..dims).map(|j| Values::Numbers(column(j)));
        let categories = categories.iter().zip(dims..);
        let categories = categories.map(|(column, j)| of_context(column, x.column(j)));
        let given = given.iter().enumerate();
        let given = given.map(|(j, column)| of_context(column, context.column(j)));
        in_order(numbers.chain(categories).chain(given).collect(), &order)
    });
    let header = TableHeader::from(&in_order(columns, &order)[..]);
    sink.write(format, &header, rows, parts)?;
    Ok(sink)
}
