use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::data::{TableOptions, TableReader, table_files};
use crate::error::Error;
use crate::files::{OutputFile, write_whole};
use crate::fit::{DeviceChoice, Flow};
use crate::matrix::Matrix;
use crate::model::Model;
use crate::pictures::{NAMES, Picture, PlotRequest, PlotSet};
use crate::train::LossCurve;

use super::overwrite::OverwriteCheck;
use super::{Failure, Result, input, report_reading};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  couplet plot stars.safetensors                                 what the model says
  couplet plot stars.safetensors --data stars.csv --format png   and the data in it
  couplet plot stars.safetensors --data stars.csv --columns mass..radius --out figures")]
pub struct PlotArgs {
    /// Model file
    model: PathBuf,
    /// Table to hold the model against, with the model's columns among its own, or a folder of them; - is standard input;
    /// repeatable
    #[arg(long, value_name = "FILE")]
    data: Vec<PathBuf>,
    // Here the columns are those to draw.
    #[command(flatten)]
    table: TableOptions,
    /// Context to draw a conditional model for, a=1.5,b=2; repeatable
    #[arg(long, value_name = "NAME=VALUE,...", allow_hyphen_values = true)]
    given: Vec<String>,
    /// Log of the run, as train --log writes it, for the loss curve
    #[arg(long, value_name = "FILE.jsonl")]
    log: Option<PathBuf>,
    /// Folder to write to [default: named after MODEL]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// What to write: svg, png or both
    #[arg(
        long,
        value_name = "svg,png",
        value_enum,
        value_delimiter = ',',
        default_value = "svg",
        hide_possible_values = true
    )]
    format: Vec<PictureFormat>,
    /// Pixels of a PNG for each unit of the SVG, whose pictures are some 700 wide
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = scale)]
    scale: f32,
    /// Let pictures replace a model file
    #[arg(long, hide_short_help = true)]
    force: bool,
    #[command(flatten)]
    device: DeviceChoice,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PictureFormat {
    Svg,
    Png,
}

fn scale(text: &str) -> Result<f32, &'static str> {
    let scale = text
        .parse()
        .ok()
        .filter(|scale| (0.25..=10.0).contains(scale));
    scale.ok_or("a number from 0.25 to 10")
}

/// Columns that a corner plot has room for.
const MOST_COLUMNS: usize = 16;

pub fn run(args: &PlotArgs) -> Result<()> {
    let folder = args.out.clone().unwrap_or_else(|| {
        let mut name = args
            .model
            .file_stem()
            .unwrap_or("model".as_ref())
            .to_owned();
        name.push("-plots");
        name.into()
    });
    let files = files(&folder, &args.format);
    let data = table_files(&args.data).map_err(input)?;
    let mut guard = OverwriteCheck::default()
        .reads("MODEL", Some(&args.model))
        .reads_all("--data", &data)
        .reads("--log", args.log.as_deref());
    for file in &files {
        guard = guard.writes("--out", Some(file));
    }
    guard.run(args.force)?;
    let model = Model::load(&args.model).map_err(input)?;
    let columns = drawn(&args.table, &model)?;
    let contexts = contexts(args, &model)?;
    let log = args.log.as_deref();
    let loss_curve = log.map(LossCurve::read_log).transpose().map_err(input)?;
    let table = match args.data.is_empty() {
        true => None,
        false => {
            let options = TableOptions {
                expected: Some(model.expected_columns()),
                columns: Vec::new(),
                exclude: Vec::new(),
                ..args.table.clone()
            };
            let reader = TableReader::open(&args.data, &options);
            Some(reader.and_then(TableReader::read).map_err(input)?)
        }
    };
    if let Some(table) = &table {
        report_reading(&table.notes, &table.dropped);
    }
    ready(&folder, &files)?;
    let flow = Flow::new(model)?.moved_to(&args.device)?;
    let plots = PlotSet::new(
        &flow,
        &PlotRequest {
            data: table.as_ref().map(|table| &table.values),
            held_out: None,
            loss_curve: loss_curve.as_ref(),
            columns,
            contexts: contexts.as_ref(),
        },
    )?;
    let spec = flow.spec();
    if spec.dims != 2 && spec.context == 0 {
        log::info!(
            "note: a density is drawn of models with 2 columns; this one has {}",
            spec.dims
        );
    }
    for (given, flag, what) in [
        (!args.data.is_empty(), "--data", "latents and scores"),
        (args.log.is_some(), "--log", "the loss curve"),
    ] {
        if !given {
            log::info!("note: with {flag} there are pictures of {what}, too");
        }
    }
    write(&folder, &args.format, args.scale, &plots.pictures)
}

/// The contexts to draw, of a model with context.
fn contexts(args: &PlotArgs, model: &Model) -> Result<Option<Matrix<f64>>> {
    let names = model.context_names();
    if args.given.is_empty() {
        if args.data.is_empty() && !names.is_empty() {
            return Err(model.nothing_given("data").into());
        }
        return Ok(None);
    }
    let mut all: Option<Matrix<f64>> = None;
    for given in &args.given {
        let row = model.context_from_text(std::slice::from_ref(given))?;
        all = Some(match all {
            None => row,
            Some(rows) => rows.followed_by(&row),
        });
    }
    if model.columns.len() > 1 && args.given.len() > 1 {
        return Err(Failure::usage(
            "--given: a model of several columns is drawn for one context at a time",
        ));
    }
    if model.columns.len() > 1 && !args.data.is_empty() {
        return Err(Failure::usage(
            "--given: with --data a model of several columns is drawn for the context of the data; name one of the two",
        ));
    }
    Ok(all)
}

/// The files of a run's pictures.
pub fn of_training(folder: &Path) -> Vec<PathBuf> {
    files(folder, &[PictureFormat::Svg])
}

/// Writes a run's pictures.
pub fn write_training(folder: &Path, pictures: &[Picture]) -> Result<()> {
    write(folder, &[PictureFormat::Svg], 1.0, pictures)
}

/// The indices of the columns to draw.
fn drawn(options: &TableOptions, model: &Model) -> Result<Vec<usize>> {
    if options.columns.is_empty() && options.exclude.is_empty() {
        return Ok(Vec::new());
    }
    let (modelled, order) = (model.modelled(), model.modelled_order());
    let names: Vec<String> = order.iter().map(|&j| modelled[j].clone()).collect();
    let columns = options.selected(&names)?;
    let columns: Vec<usize> = columns.into_iter().map(|k| order[k]).collect();
    match columns.len() {
        0 => Err(Failure::usage("no column is left to draw; exclude fewer")),
        1..=MOST_COLUMNS => Ok(columns),
        many => Err(Failure::usage(format!(
            "{many} columns are more than a picture has room for; name {MOST_COLUMNS} at most with --columns"
        ))),
    }
}

/// Every file that may be written.
fn files(folder: &Path, formats: &[PictureFormat]) -> Vec<PathBuf> {
    let of = |format: &PictureFormat| NAMES.map(|name| folder.join(file_name(name, *format)));
    formats.iter().flat_map(of).collect()
}

fn file_name(picture: &str, format: PictureFormat) -> String {
    let end = match format {
        PictureFormat::Svg => "svg",
        PictureFormat::Png => "png",
    };
    format!("{picture}.{end}")
}

/// Makes the folder, and sees that it can be written to before any work is done for it.
pub fn ready(folder: &Path, files: &[PathBuf]) -> Result<()> {
    fs::create_dir_all(folder).map_err(Error::io(folder))?;
    for file in files {
        OutputFile::check(file)?;
    }
    Ok(())
}

/// Writes pictures, and says what they show.
fn write(folder: &Path, formats: &[PictureFormat], scale: f32, pictures: &[Picture]) -> Result<()> {
    for picture in pictures {
        for &format in formats {
            let path = folder.join(file_name(picture.name, format));
            match format {
                PictureFormat::Svg => write_whole(&path, picture.svg().as_bytes())?,
                PictureFormat::Png => write_whole(&path, &picture.png(scale)?)?,
            }
            log::info!("{}", path.display());
        }
        log::info!("  {}", picture.caption);
    }
    Ok(())
}
