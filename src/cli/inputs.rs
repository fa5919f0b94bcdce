use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{DataConfig, Overrides, Preset};
use crate::data::{ChunkedTable, Table, TableOptions, TableReader, Target, table_files};
use crate::files::{OutputFile, same};
use crate::fit::Fit;
use crate::kinds::{ColumnKind, Kind};
use crate::model::{self, Model, ModelFileKind};
use crate::train::GroundTruth;

use super::overwrite::{OverwriteCheck, is_dash};
#[cfg(feature = "plots")]
use super::plot;
use super::train_args::TrainArgs;
use super::{Failure, Result, input, report_reading};

/// Rows that a built-in target draws where `--rows` does not say.
const ROWS: usize = 50_000;

/// What a run is made of: the table, the settings and the file to start from, read and checked before any work begins.
pub struct Inputs {
    /// Until a fit takes it.
    table: Option<ChunkedTable<'static>>,
    settings: Overrides,
    preset: Preset,
    start: Option<(PathBuf, ModelFileKind)>,
    ground_truth: Option<Arc<GroundTruth>>,
    /// Where the model goes.
    pub out: PathBuf,
    /// The model that stands there now, in words.
    replaced: Option<String>,
}

/// What `--init` brings: a model, or, beside a configuration that says what they are, tensors alone.
fn read_init(path: &Path, with_config: bool) -> Result<ModelFileKind> {
    match model::read(path).map_err(input)? {
        ModelFileKind::Tensors(_) if !with_config => Err(model::tensors_alone(path).into()),
        content => Ok(content),
    }
}

/// The configuration file, if there is one.
pub fn read_config(path: Option<&Path>) -> Result<Overrides> {
    match path {
        Some(path) => Overrides::read(path).map_err(|error| Failure::usage(error.to_string())),
        None => Ok(Overrides::default()),
    }
}

impl Inputs {
    pub fn read(args: &TrainArgs) -> Result<Self> {
        let start = match args.start() {
            Some((_, path)) => Some((path.to_owned(), read_init(path, args.config.is_some())?)),
            None => None,
        };
        let content = start.as_ref().map(|(_, content)| content);
        let settings = match (content, &args.continue_from) {
            (Some(ModelFileKind::Model(model)), Some(path)) => settings_of_model(model, path),
            _ => read_config(args.config.as_deref())?,
        };
        let mut settings = settings.and(args.settings.clone());
        let preset = match !args.data.is_empty() || args.target.is_some() {
            true => Preset::Safe,
            false => Preset::Published,
        };
        // Resolved again when the table's size is known; errors are reported before the table is read.
        let shape = content.and_then(ModelFileKind::shape);
        let config = settings.config(preset, shape, None)?;
        if let Some((flag, _)) = args.start()
            && let Some(ModelFileKind::Model(model)) = content
            && config.data.preprocessing() != model.preprocessing.steps()
        {
            log::info!(
                "note: columns are standardized, whitened and compressed, or not, as in the model that {flag} names"
            );
        }
        let out = args.model_file();
        let replaced = check_outputs(args, &out)?;
        let (ground_truth, table) = match args.data.is_empty() {
            false => (None, read_table(args, content, &mut settings, config.data)?),
            true => {
                let (truth, table) = draw_table(args, config.train.seed)?;
                (Some(Arc::new(truth)), ChunkedTable::from_table(table))
            }
        };
        report_reading(&table.sample().notes, &table.sample().dropped);
        Ok(Inputs {
            table: Some(table),
            settings,
            preset,
            start,
            ground_truth,
            out,
            replaced,
        })
    }

    /// The fit, which takes the table.
    pub fn fit<'a>(&mut self, args: &TrainArgs) -> Result<Fit<'a>> {
        let Some(table) = self.table.take() else {
            return Err(Failure::usage("the table was taken already"));
        };
        let mut fit = Fit::chunked(table)
            .settings(self.settings.clone())
            .preset(self.preset)
            .device(args.device())
            .log_every(args.log_every as usize);
        if let Some((path, content)) = &self.start {
            fit = fit.start_from_file(path, content.clone());
        }
        if let Some(truth) = &self.ground_truth {
            fit = fit.ground_truth(truth.clone());
        }
        Ok(fit)
    }

    /// Where the model goes, and what it replaces.
    pub fn destination(&self) -> String {
        let out = self.out.display();
        match &self.replaced {
            Some(spec) => format!("{out}, in place of the model that was there ({spec})"),
            None => out.to_string(),
        }
    }
}

/// Reads the table. The columns that settings choose by their numbers in the file have their names in the settings then.
fn read_table(
    args: &TrainArgs,
    start: Option<&ModelFileKind>,
    settings: &mut Overrides,
    data: DataConfig,
) -> Result<ChunkedTable<'static>> {
    let options = TableOptions {
        expected: match start {
            Some(ModelFileKind::Model(model)) => Some(model.expected_columns()),
            _ => None,
        },
        given: data.given.clone(),
        categories: categories_of(&data.columns),
        takes_text: true,
        weights: (!data.weights.is_empty()).then(|| data.weights.clone()),
        ..args.table.clone()
    };
    let reader = TableReader::open(&args.data, &options).map_err(input)?;
    if !data.given.is_empty() {
        settings.data.given = Some(reader.named("given", &data.given)?);
    }
    if !data.weights.is_empty() {
        let names = reader.named("weights", &[data.weights])?;
        settings.data.weights = names.into_iter().next();
    }
    reader.read_chunked(Some(args.streaming())).map_err(input)
}

/// The columns that are said to hold categories.
fn categories_of(kinds: &[ColumnKind]) -> Vec<String> {
    let kinds = kinds.iter().filter(|it| it.kind == Kind::Categorical);
    kinds.map(|it| it.column.clone()).collect()
}

/// Rows of a built-in target.
fn draw_table(args: &TrainArgs, seed: u64) -> Result<(GroundTruth, Table)> {
    let target = match &args.target {
        None => Target::reference(seed),
        Some(name) => Target::new(*name, args.dims, args.condition, seed)?,
    };
    let truth = GroundTruth::new(target, seed);
    let rows = args.rows.map_or(ROWS, |rows| rows as usize);
    let table = truth.table(rows)?;
    Ok((truth, table))
}

/// The settings that a model was trained with.
fn settings_of_model(model: &Model, path: &Path) -> Overrides {
    if model.training.is_none() {
        log::info!(
            "note: {} does not say how it was trained; the usual settings are taken",
            path.display()
        );
    }
    Overrides::of_training(model.training.as_ref())
}

/// Refuses to overwrite a file of the user's: an input, or what exists where the model or the log will be. Returns what the
/// model replaces.
fn check_outputs(args: &TrainArgs, out: &Path) -> Result<Option<String>> {
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
    let check = OverwriteCheck::default()
        .reads_all("DATA", &data)
        .reads("--config", args.config.as_deref())
        // Training may continue in place.
        .reads(
            start.map_or("--init", |(flag, _)| flag),
            start.map(|(_, path)| path).filter(|path| !same(path, out)),
        )
        .writes("--log", args.log.as_deref())
        .writes_model("--out", out);
    #[cfg(feature = "plots")]
    let check = check.writes("--report", args.report.as_deref());
    plots
        .iter()
        .fold(check, |check, file| check.writes("--plot", Some(file)))
        .run(args.force)?;
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
