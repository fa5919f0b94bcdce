use std::path::{Path, PathBuf};

use crate::config::{Overrides, Preset, TrainOverrides};
use crate::data::{
    Dropped, Repeats, Table, TableOptions, TableReader, Target, default_names, table_files,
};
use crate::files::{OutputFile, same};
use crate::fit::{Prepared, QualityWarning, quality_warnings};
use crate::memory;
use crate::model::{self, Contents, Model};
use crate::train::Truth;

use super::guard::{Guard, is_dash};
#[cfg(feature = "plots")]
use super::plot;
use super::train_args::TrainArgs;
use super::{Failure, Result, input, say_of_reading};

/// Rows that a built-in target draws where `--rows` does not say.
const ROWS: usize = 50_000;

/// A run, resolved: everything that flags, configuration and files say, checked before any work begins.
pub struct Run {
    pub fit: Prepared,
    pub truth: Option<Box<Truth>>,
    /// What in the table speaks against fitting a density to it.
    pub warnings: Vec<QualityWarning>,
    /// How many rows the table is worth ([`Repeats::worth`]).
    pub worth: usize,
    pub out: PathBuf,
    /// The model that stands there now, in words.
    pub replaced: Option<String>,
}

/// What `--init` brings: a model, or, beside a configuration that says what they are, tensors alone.
fn read_init(path: &Path, with_config: bool) -> Result<Contents> {
    match model::read(path).map_err(input)? {
        Contents::Tensors(_) if !with_config => Err(model::tensors_alone(path).into()),
        contents => Ok(contents),
    }
}

/// The configuration file, if there is one.
pub fn read_config(path: Option<&Path>) -> Result<Overrides> {
    match path {
        Some(path) => Overrides::read(path).map_err(|error| Failure::usage(error.to_string())),
        None => Ok(Overrides::default()),
    }
}

impl Run {
    pub fn resolve(args: &TrainArgs) -> Result<Self> {
        let start = args.start();
        let init = match start {
            Some((_, path)) => Some(read_init(path, args.config.is_some())?),
            None => None,
        };
        let settings = match (&init, &args.go_on) {
            (Some(Contents::Model(model)), Some(path)) => its_settings(model, path),
            _ => read_config(args.config.as_deref())?,
        };
        let settings = settings.and(args.settings.clone());
        let usual = match !args.data.is_empty() || args.target.is_some() {
            true => Preset::Safe,
            false => Preset::Published,
        };
        let spec = init.as_ref().and_then(Contents::spec);
        // Once more when the table's size is known; what is wrong is better said before it is read.
        let seed = settings.config(usual, spec, None)?.train.seed;
        let out = args.out.clone().or_else(|| args.go_on.clone());
        let out = out.unwrap_or_else(|| default_name(args));
        let replaced = guard(args, &out)?;

        let (truth, table) = match args.data.is_empty() {
            false => {
                let options = TableOptions {
                    expected: match &init {
                        Some(Contents::Model(model)) => Some(model.expected_columns()),
                        _ => None,
                    },
                    ..args.table.options()
                };
                let reader = TableReader::open(&args.data, &options);
                (None, reader.and_then(TableReader::read).map_err(input)?)
            }
            true => {
                let target = match &args.target {
                    None => Target::reference(seed),
                    Some(name) => Target::new(*name, args.dims, args.condition, seed)?,
                };
                let truth = Box::new(Truth::new(target, seed));
                let rows = args.rows.map_or(ROWS, |rows| rows as usize);
                // As drawn, in f64, standardised, as f32, and cut in two.
                let bytes = (rows as u64).saturating_mul(truth.dims() as u64 * 40);
                if let Some(shortfall) = memory::shortfall(bytes) {
                    return Err(Failure::usage(format!(
                        "--rows {rows}: such a table {shortfall}; draw fewer"
                    )));
                }
                let values = truth.rows(rows).map(f64::from);
                let columns = default_names(values.columns());
                let table = Table {
                    columns,
                    named: false,
                    values,
                    dropped: Dropped::default(),
                    notes: Vec::new(),
                };
                (Some(truth), table)
            }
        };
        say_of_reading(&table.notes, &table.dropped);
        let repeats = Repeats::of(&table.values);
        let warnings = match truth {
            None => quality_warnings(&table, &repeats),
            Some(_) => Vec::new(),
        };
        for warning in &warnings {
            say!("warning: {}", warning.message);
        }
        let size = (repeats.worth(), table.values.columns());
        let config = settings.config(usual, spec, Some(size))?;
        if let Some((flag, _)) = start
            && let Some(Contents::Model(model)) = &init
            && config.data != model.preprocessing.steps()
        {
            say!(
                "note: columns are standardised, whitened and drawn in, or not, as in the model that {flag} names"
            );
        }
        let init = start.map(|(_, path)| path).zip(init.as_ref());
        Ok(Run {
            fit: Prepared::new(&table, &repeats, config, init)?,
            truth,
            warnings,
            worth: repeats.worth(),
            out,
            replaced,
        })
    }
}

/// The settings that a model was trained with.
fn its_settings(model: &Model, path: &Path) -> Overrides {
    if model.training.is_none() {
        say!(
            "note: {} does not say how it was trained; the usual settings are taken",
            path.display()
        );
    }
    Overrides {
        train: model
            .training
            .as_ref()
            .map(TrainOverrides::all)
            .unwrap_or_default(),
        ..Overrides::default()
    }
}

/// Where the model goes where --out does not say: to a file named after what it was fitted to, in the current folder.
fn default_name(args: &TrainArgs) -> PathBuf {
    let mut name = match (args.data.first(), &args.target) {
        (Some(path), _) if is_stream(path) => "stdin".into(),
        // The whole of it, less what says which kind of table it is.
        (Some(path), _) => path.file_stem().unwrap_or("model".as_ref()).to_owned(),
        (None, Some(target)) => target.name().into(),
        (None, None) => "experiment".into(),
    };
    name.push(".safetensors");
    name.into()
}

/// Standard input, or a pipe that a shell made: names that say nothing.
pub fn is_stream(path: &Path) -> bool {
    is_dash(path) || path.starts_with("/dev") || path.starts_with("/proc")
}

/// No file of the user's is lost: neither what is read, nor what stands where the model or the log will be. Returns what the
/// model replaces.
fn guard(args: &TrainArgs, out: &Path) -> Result<Option<String>> {
    if is_dash(out) {
        return Err(Failure::usage(
            "--out -: a model cannot go to standard output; name a file",
        ));
    }
    #[cfg(feature = "plots")]
    let plots = args.plot.as_deref().map_or(Vec::new(), plot::of_training);
    #[cfg(not(feature = "plots"))]
    let plots: Vec<PathBuf> = Vec::new();
    let start = args.start();
    let data = table_files(&args.data).map_err(input)?;
    let guard = Guard::default()
        .reads_all("DATA", &data)
        .reads("--config", args.config.as_deref())
        // Training may go on in place.
        .reads(
            start.map_or("--init", |(flag, _)| flag),
            start.map(|(_, path)| path).filter(|path| !same(path, out)),
        )
        .writes("--log", args.log.as_deref())
        .writes_model("--out", out);
    #[cfg(feature = "plots")]
    let guard = guard.writes("--report", args.report.as_deref());
    plots
        .iter()
        .fold(guard, |guard, file| guard.writes("--plot", Some(file)))
        .check(args.force)?;
    let replaced = model::peek(out);
    let holds_something = || std::fs::metadata(out).is_ok_and(|m| m.is_file() && m.len() > 0);
    if replaced.is_none() && !args.force && holds_something() {
        return Err(Failure::usage(format!(
            "--out {}: this file is no model of couplet's, and would be lost; name another, or add --force",
            out.display()
        )));
    }
    OutputFile::check(out)?;
    Ok(replaced)
}
