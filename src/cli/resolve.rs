use std::path::{Path, PathBuf};

use crate::config::{Config, ModelConfig};
use crate::data::{Table, read_table};
use crate::error::Error;
use crate::executor::{AdamW, Training};
use crate::files::AtomicFile;
use crate::flow::{Layout, Plan, initial_parameters};
use crate::matrix::Matrix;
use crate::model::{Model, Preprocessing, Standardize, load_parameters};
use crate::train::Experiment;

use super::train::TrainArgs;
use super::{Failure, Result, input};

/// A run, resolved: everything that flags, configuration and files say, checked before any work begins.
pub struct Run {
    pub config: Config,
    pub model: Model,
    pub rows: Matrix<f32>,
    pub experiment: Option<Box<Experiment>>,
    pub out: PathBuf,
}

/// What `--init` brings.
enum Init {
    /// A model file, which says itself what it is.
    Model(Box<Model>),
    /// Tensors alone; the configuration says what they are.
    Tensors,
}

impl Init {
    fn read(path: &Path, with_config: bool) -> Result<Self> {
        match Model::load(path) {
            Ok(model) => Ok(Init::Model(Box::new(model))),
            // With a configuration, whatever is wrong is found when the tensors are matched.
            Err(_) if with_config => Ok(Init::Tensors),
            Err(error) => Err(input(error)),
        }
    }
}

impl Run {
    pub fn resolve(args: &TrainArgs) -> Result<Self> {
        let mut config = match (&args.config, &args.data) {
            (Some(path), _) => Config::read(path).map_err(|error| Failure {
                code: super::USAGE,
                message: error.to_string(),
            })?,
            (None, None) => Config::default(),
            (None, Some(_)) => Config::for_data(),
        };
        let init = match &args.init {
            Some(path) => Some(Init::read(path, args.config.is_some())?),
            None => None,
        };
        if let (Some(Init::Model(model)), None) = (&init, &args.config) {
            config.model = ModelConfig::of(&model.spec);
        }
        args.settings.apply(&mut config);
        config.validate()?;
        let out = args.out.clone().unwrap_or_else(|| match &args.data {
            Some(path) => Path::new(path.file_stem().unwrap_or("model".as_ref()))
                .with_extension("safetensors"),
            None => "experiment.safetensors".into(),
        });
        refuse_to_overwrite_inputs(args, &out)?;

        let (experiment, table) = match &args.data {
            None => {
                let experiment = Box::new(Experiment::new(config.train.seed));
                let table = Table {
                    columns: experiment.columns(),
                    named: false,
                    values: experiment.rows.map(f64::from),
                };
                (Some(experiment), table)
            }
            Some(path) => (None, read_table(path).map_err(input)?),
        };
        let Table {
            columns, values, ..
        } = table;
        if values.columns() < 2 {
            return Err(Error::Data(
                "the table has 1 column; a coupling flow conditions columns on one another and needs at least 2".into(),
            )
            .into());
        }
        let spec = config.model.spec(values.columns())?;
        let preprocessing = match &init {
            // The parameters belong to the units that they were trained in.
            Some(Init::Model(model)) => {
                if model.spec.dims != spec.dims {
                    return Err(Error::Model(format!(
                        "the model that --init names has {} columns; this table has {}",
                        model.spec.dims, spec.dims
                    ))
                    .into());
                }
                if config.data.standardize != model.preprocessing.standardize.is_some() {
                    say!(
                        "note: columns are standardised, or not, as in the model that --init names"
                    );
                }
                model.preprocessing.clone()
            }
            _ if config.data.standardize => Preprocessing {
                standardize: Some(Standardize::of(&values, &columns)?),
            },
            _ => Preprocessing::default(),
        };
        let rows = preprocessing.training_rows(&values, &columns)?;
        let plan = Plan::new(&spec)?;
        let parameters = match init {
            None => initial_parameters(&plan.layout, config.train.seed),
            Some(Init::Model(model)) if Layout::new(&model.spec) == plan.layout => model.parameters,
            // By name and shape, or with a message that says which tensor does not fit.
            Some(Init::Model(_) | Init::Tensors) => {
                let path = args.init.as_deref().expect("read from there");
                load_parameters(path, &plan.layout).map_err(input)?
            }
        };
        // A folder that cannot be written is better known before the training than after it.
        drop(AtomicFile::create(&out)?);
        Ok(Run {
            config,
            model: Model {
                spec,
                columns,
                preprocessing,
                parameters,
            },
            rows,
            experiment,
            out,
        })
    }

    pub fn training(&self) -> Training {
        let train = &self.config.train;
        Training {
            batch_size: train.batch_size,
            seed: train.seed,
            optimizer: AdamW {
                learning_rate: train.learning_rate,
                weight_decay: train.weight_decay,
            },
        }
    }
}

/// Data, configuration and log are nobody's output.
fn refuse_to_overwrite_inputs(args: &TrainArgs, out: &Path) -> Result<()> {
    let same = |a: &Path, b: &Path| {
        a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
    };
    let inputs = [("DATA", &args.data), ("--config", &args.config)];
    for (flag, output) in [("--out", Some(out)), ("--log", args.log.as_deref())] {
        for (name, input) in inputs {
            if let (Some(output), Some(input)) = (output, input)
                && same(output, input)
            {
                return Err(Failure::usage(format!(
                    "{flag} {}: this is {name}, which it would overwrite; name another file",
                    output.display()
                )));
            }
        }
    }
    match (&args.log, &args.init) {
        (Some(log), _) if same(log, out) => Err(Failure::usage(
            "--log and --out name the same file; name two",
        )),
        (Some(log), Some(init)) if same(log, init) => Err(Failure::usage(
            "--log would overwrite the file that --init names; name another",
        )),
        _ => Ok(()),
    }
}
