use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::config::{Config, ConfigFile, ModelConfig, Preset, Start};
use crate::data::{Split, Table, Target, default_names, read_table, relations, suspects, take};
use crate::error::Error;
use crate::executor::Batches;
use crate::files::{OutputFile, same};
use crate::flow::{Plan, initial_parameters, start_at_identity};
use crate::matrix::Matrix;
use crate::memory;
use crate::model::{self, Contents, Model, parameters_of};
use crate::preprocessing::Preprocessing;
use crate::train::{self, Offsets, Truth};

use super::guard::{Guard, is_dash};
use super::train_args::TrainArgs;
use super::{Failure, Result, input};

/// Rows that a built-in target draws where `--rows` does not say.
const ROWS: usize = 50_000;

/// A run, resolved: everything that flags, configuration and files say, checked before any work begins.
pub struct Run {
    pub config: Config,
    pub model: Model,
    /// The rows to train on.
    pub rows: Rc<Matrix<f32>>,
    /// The rows held out, if any.
    pub validation: Option<Matrix<f64>>,
    /// What preprocessing adds to the NLL of these rows.
    pub offsets: Offsets,
    /// Which of the table's rows are which.
    pub split: Split,
    pub truth: Option<Box<Truth>>,
    /// Columns that follow from others, a sentence each.
    pub relations: Vec<String>,
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
pub fn read_config(path: Option<&Path>) -> Result<ConfigFile> {
    match path {
        Some(path) => ConfigFile::read(path).map_err(|error| Failure::usage(error.to_string())),
        None => Ok(ConfigFile::default()),
    }
}

/// The parameters that a configuration has training start from.
pub fn starting_parameters(plan: &Plan, config: &Config) -> Vec<f32> {
    let mut parameters = initial_parameters(&plan.layout, config.train.seed);
    if config.train.start == Start::Identity {
        start_at_identity(plan, &mut parameters);
    }
    parameters
}

impl Run {
    pub fn resolve(args: &TrainArgs) -> Result<Self> {
        let init = match &args.init {
            Some(path) => Some(read_init(path, args.config.is_some())?),
            None => None,
        };
        // Once more when the table's size is known; what is wrong is better said before it is read.
        let file = read_config(args.config.as_deref())?;
        let seed = configure(args, &file, init.as_ref(), None)?.train.seed;
        let out = args.out.clone().unwrap_or_else(|| default_name(args));
        let replaced = guard(args, &out)?;

        let (truth, table) = match &args.data {
            Some(path) => (
                None,
                read_table(path, &args.table.options()).map_err(input)?,
            ),
            None => {
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
                };
                (Some(truth), table)
            }
        };
        let (doubts, relations) = match truth {
            None => (suspects(&table), relations(&table)),
            Some(_) => Default::default(),
        };
        for sentence in doubts.iter().chain(&relations) {
            say!("warning: {sentence}");
        }
        let Table {
            columns, values, ..
        } = table;
        if values.columns() < 2 {
            return Err(Error::Data(
                "the table has 1 column; a coupling flow conditions columns on one another and needs at least 2".into(),
            )
            .into());
        }
        let config = configure(args, &file, init.as_ref(), Some(&values))?;
        let spec = config.model.spec(values.columns())?;
        let split = Split::new(values.rows(), config.train.validation, seed);
        let preprocessing = match &init {
            // The parameters belong to the units that they were trained in.
            Some(Contents::Model(model)) => {
                if model.spec.dims != spec.dims {
                    return Err(Error::Model(format!(
                        "the model that --init names has {} columns; this table has {}",
                        model.spec.dims, spec.dims
                    ))
                    .into());
                }
                let theirs = &model.preprocessing;
                if config.data != theirs.steps() {
                    say!(
                        "note: columns are standardised, whitened and drawn in, or not, as in the model that --init names"
                    );
                }
                theirs.clone()
            }
            _ => {
                let rows = take(&values, &split.training);
                Preprocessing::fit(&rows, &columns, config.data)?
            }
        };
        let as_seen = preprocessing.training_rows(&values, &columns)?;
        let rows = take(&as_seen, &split.training);
        let validation =
            (!split.held_out.is_empty()).then(|| take(&as_seen, &split.held_out).map(f64::from));
        let offsets = Offsets::new(
            &preprocessing,
            &rows,
            validation.as_ref(),
            &config.training(),
        );
        let plan = Plan::new(&spec)?;
        let parameters = match init {
            None => starting_parameters(&plan, &config),
            Some(Contents::Model(model)) => model
                .parameters_for(&plan.layout)
                .map_err(|error| Error::Model(format!("the model that --init names: {error}")))?,
            Some(Contents::Tensors(bytes)) => {
                let path = args.init.as_deref().expect("read from there");
                parameters_of(path, &bytes, &plan.layout)?
            }
        };
        Ok(Run {
            config,
            model: Model {
                spec,
                columns,
                preprocessing,
                parameters,
            },
            rows: Rc::new(rows),
            validation,
            offsets,
            split,
            truth,
            relations,
            out,
            replaced,
        })
    }

    /// Rows in each step.
    pub fn batch(&self) -> usize {
        let train = &self.config.train;
        Batches::new(self.rows.rows(), train.batch_size, train.seed).size()
    }

    /// What the training loop needs to know.
    pub fn settings(&self, log_every: usize) -> train::Settings {
        let train = &self.config.train;
        let batch = self.batch();
        train::Settings {
            steps: train.steps,
            log_every,
            check_every: check_every(
                self.rows.rows(),
                batch,
                self.validation.as_ref().map_or(0, Matrix::rows),
            ),
            validation: self.validation.clone(),
            yardstick: (self.validation.is_none() && batch < self.rows.rows())
                .then(|| yardstick(&self.rows)),
            patience: train.patience,
        }
    }

    /// Takes over trained parameters.
    pub fn keep(&mut self, parameters: &[f64]) {
        self.model.parameters = parameters.iter().map(|&p| p as f32).collect();
    }
}

/// Rows from all over the table that one step can be compared with another by.
fn yardstick(rows: &Matrix<f32>) -> Matrix<f64> {
    const ROWS: usize = 1024;
    let count = rows.rows().min(ROWS);
    let places: Vec<u32> = (0..count)
        .map(|k| (k * rows.rows() / count) as u32)
        .collect();
    take(rows, &places).map(f64::from)
}

/// Steps between two checks: ten epochs, as a short table is learnt by heart in a few, from 10 to 50 steps; or as many
/// times 50 as it takes for validation to cost no more than a third of the steps (a step costs three times as much a row).
fn check_every(rows: usize, batch: usize, held_out: usize) -> usize {
    match held_out.div_ceil(batch * 50) {
        0 | 1 => match 10 * rows.div_ceil(batch) {
            0..=10 => 10,
            11..=25 => 25,
            _ => 50,
        },
        many => 50 * many,
    }
}

/// The configuration that preset, `--init`, file and flags make, each over the one before, for a table of so many rows and
/// columns, where that is known.
fn configure(
    args: &TrainArgs,
    file: &ConfigFile,
    init: Option<&Contents>,
    table: Option<&Matrix<f64>>,
) -> Result<Config> {
    let settings = &args.settings;
    let preset = match settings.preset.or(file.preset) {
        Some(preset) => preset,
        None if args.data.is_some() || args.target.is_some() => Preset::Safe,
        None => Preset::Published,
    };
    let conditioner = settings.conditioner.or(file.conditioner());
    let size = table.map(|table| (table.rows(), table.columns()));
    let mut config = preset.defaults(conditioner, size);
    if let Some(Contents::Model(model)) = init {
        config.model = ModelConfig::of(&model.spec);
    }
    config = file.over(&config);
    settings.apply(&mut config);
    if preset == Preset::Safe {
        // What follows from others that were set.
        if settings.whiten.is_none() && !file.says("data", "whiten") {
            config.data.whiten &= config.data.standardize;
        }
        if settings.robust.is_none() && !file.says("data", "robust") {
            config.data.robust &= config.data.standardize;
        }
        if settings.patience.is_none() && !file.says("train", "patience") {
            config.train.patience = config.train.steps / 2;
        }
    }
    config.validate()?;
    Ok(config)
}

/// Where the model goes where --out does not say: to a file named after what it was fitted to, in the current folder.
fn default_name(args: &TrainArgs) -> PathBuf {
    let mut name = match (&args.data, &args.target) {
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
fn is_stream(path: &Path) -> bool {
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
    Guard::default()
        .reads("DATA", args.data.as_deref())
        .reads("--config", args.config.as_deref())
        // Training may go on in place.
        .reads(
            "--init",
            args.init.as_deref().filter(|init| !same(init, out)),
        )
        .writes("--log", args.log.as_deref())
        .writes_model("--out", out)
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
