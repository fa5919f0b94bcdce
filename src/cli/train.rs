use std::fmt;
use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write, stderr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use serde_json::{Value, json};

use crate::config::{Config, ModelConfig};
use crate::cpu::CpuExecutor;
use crate::data::{Table, read_table};
use crate::error::Error;
use crate::executor::{AdamW, Executor, Training};
use crate::files::AtomicFile;
use crate::flow::{Layout, Plan, initial_parameters};
use crate::matrix::Matrix;
use crate::model::{Model, Preprocessing, Standardize, load_parameters};
use crate::train::{self, Comparison, Experiment, Known, StepReport, Verdict, Watch};

use super::device::Device;
use super::output::print;
use super::{DISAGREE, DeviceArgs, Failure, Result, Wrap, input};

#[derive(clap::Args)]
pub struct TrainArgs {
    /// Table to fit (CSV or NPY, numbers only); none runs the reference experiment
    data: Option<PathBuf>,
    /// Run configuration (TOML); flags win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Start from the tensors of this safetensors file
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    /// Model file to write [default: named after DATA, or experiment.safetensors]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write each logged step as a line of JSON
    #[arg(long, value_name = "FILE.jsonl")]
    log: Option<PathBuf>,
    /// Steps between two logged ones
    #[arg(long, value_name = "K", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    log_every: u64,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
    /// Train on the CPU in f64 beside the device, and compare
    #[arg(long)]
    cpu_reference: bool,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    settings: Settings,
}

/// Settings of the configuration that have a flag.
#[derive(clap::Args)]
#[command(next_help_heading = "Settings, as in the configuration")]
struct Settings {
    #[arg(long, value_name = "K")]
    steps: Option<usize>,
    /// Rows in each step; 0 takes all
    #[arg(long, value_name = "ROWS")]
    batch_size: Option<usize>,
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    learning_rate: Option<f64>,
    #[arg(long, value_name = "DECAY", allow_negative_numbers = true)]
    weight_decay: Option<f64>,
    #[arg(long, value_name = "K")]
    layers: Option<usize>,
    /// Widths of the hidden layers, for instance 64,64
    #[arg(long, value_name = "WIDTHS", value_delimiter = ',')]
    hidden: Option<Vec<usize>>,
    /// Bound of the log-scale; 0: none
    #[arg(long, value_name = "C", allow_negative_numbers = true)]
    scale_bound: Option<f64>,
    #[arg(long, value_name = "true|false")]
    standardize: Option<bool>,
    /// Seeds the initial parameters, the order of the rows and the reference experiment
    #[arg(long)]
    seed: Option<u64>,
}

impl Settings {
    fn apply(&self, config: &mut Config) {
        fn set<T: Clone>(flag: &Option<T>, setting: &mut T) {
            if let Some(value) = flag {
                *setting = value.clone();
            }
        }
        set(&self.steps, &mut config.train.steps);
        set(&self.batch_size, &mut config.train.batch_size);
        set(&self.learning_rate, &mut config.train.learning_rate);
        set(&self.weight_decay, &mut config.train.weight_decay);
        set(&self.layers, &mut config.model.layers);
        set(&self.hidden, &mut config.model.hidden);
        set(&self.scale_bound, &mut config.model.scale_bound);
        set(&self.standardize, &mut config.data.standardize);
        set(&self.seed, &mut config.train.seed);
    }
}

/// A run, resolved: everything that flags, configuration and files say, checked before any work begins.
struct Run {
    config: Config,
    model: Model,
    rows: Matrix<f32>,
    experiment: Option<Box<Experiment>>,
    out: PathBuf,
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
    fn resolve(args: &TrainArgs) -> Result<Self> {
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

    fn training(&self) -> Training {
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

pub fn run(args: &TrainArgs, wrap: Wrap<'_>) -> Result<()> {
    let mut run = Run::resolve(args)?;
    let device = Device::choose(&args.device)?;
    let mut log = Log::create(args.log.as_deref())?;
    let plan = run.model.plan()?;
    let mut executor = device.executor(plan.clone(), &run.model.parameters, wrap)?;
    let training = run.training();
    say!("{}", run.model.spec);
    say!(
        "{} rows, {} parameters, on {}",
        run.rows.rows(),
        plan.layout.len(),
        executor.describe()
    );
    let begin = Instant::now();
    executor.start(&run.rows, &training)?;
    let steps = run.config.train.steps;
    let log_every = args.log_every as usize;
    let mut in_steps = None;
    let verdict = if args.cpu_reference {
        let mut reference = CpuExecutor::<f64>::new(plan, &run.model.parameters);
        reference.start(&run.rows, &training)?;
        let offset = -run.model.preprocessing.log_det();
        say!(
            "gradients are compared at the same parameters; parameters over the steps since the last comparison,\n\
             10 at most, after which the reference continues from the device's"
        );
        say!(
            "{:>7} {:>12} {:>12} {:>13} {:>10} {:>14} {:>10}",
            "step",
            "device NLL",
            "CPU f64 NLL",
            "gradient: max",
            "rel. L2",
            "parameters: max",
            "rel. L2"
        );
        let verdict = train::compare(
            executor.as_mut(),
            &mut reference,
            steps,
            log_every,
            run.config.train.seed,
            |at| report_comparison(at, offset, &mut log),
        )?;
        print_verdict(&verdict);
        Some(verdict)
    } else {
        let mut screen = Screen::new(&run, &mut log);
        screen.header();
        in_steps = Some(train::run(
            executor.as_mut(),
            steps,
            log_every,
            &mut screen,
        )?);
        screen.finish();
        None
    };

    let seconds = begin.elapsed().as_secs_f64();
    run.model.parameters = executor
        .parameters()?
        .into_iter()
        .map(|p| p as f32)
        .collect();
    if let Some(place) = run.model.parameters.iter().position(|p| !p.is_finite()) {
        let tensor = executor.plan().layout.tensors().iter();
        let name = tensor
            .filter(|tensor| tensor.range.contains(&place))
            .map(|tensor| tensor.name.clone())
            .next();
        return Err(Error::Diverged(format!(
            "{} is not finite after the last step: training diverged; lower learning_rate, or set scale_bound (3 is a \
             good start). No model was written",
            name.unwrap_or_default()
        ))
        .into());
    }
    let mut summary = summarize(&run, executor.as_mut(), seconds, in_steps)?;
    run.model.save(&run.out)?;
    say!("model written to {}", run.out.display());
    if let Some(verdict) = &verdict {
        summary["agrees"] = json!(verdict.agrees());
    }
    log.line(&summary)?;
    log.finish()?;
    if args.json {
        print(&format!("{summary}\n"))?;
    }
    match verdict {
        Some(verdict) if !verdict.agrees() => Err(Failure {
            code: DISAGREE,
            message: format!("{} and the CPU reference disagree", executor.describe()),
        }),
        _ => Ok(()),
    }
}

/// Prints how good the model is, and returns the same for machines.
fn summarize(
    run: &Run,
    executor: &mut dyn Executor,
    seconds: f64,
    in_steps: Option<Duration>,
) -> Result<Value> {
    let rows = run.rows.map(f64::from);
    let log_prob = executor.log_prob(&rows)?;
    let log_det = run.model.preprocessing.log_det();
    let nll = -log_prob.iter().sum::<f64>() / log_prob.len() as f64 - log_det;
    if !nll.is_finite() {
        return Err(Error::Diverged(format!(
            "the NLL over all rows is {nll} after the last step: training diverged; lower learning_rate, or set \
             scale_bound (3 is a good start). No model was written"
        ))
        .into());
    }
    let mut summary = json!({
        "event": "done",
        "steps": run.config.train.steps,
        "seconds": (seconds * 1e3).round() / 1e3,
        "device": executor.describe(),
        "nll": nll,
        "model": run.out.to_string_lossy(),
    });
    say!();
    say!(
        "final NLL       {nll:.4} nats, over all {} rows",
        rows.rows()
    );
    if let Some(experiment) = &run.experiment {
        let known = measure(experiment, &run.model, executor)?;
        let entropy = experiment.target.entropy();
        let kl = experiment.kl(executor, &run.model.preprocessing)?;
        say!("entropy         {entropy:.4} nats, exact: no model can do better");
        say!("KL divergence   {:.4} nats = NLL - entropy", nll - entropy);
        say!(
            "                {:.4} +- {:.4} on {} rows that training never saw",
            kl.mean,
            kl.standard_error,
            kl.rows
        );
        if let (Some(mean), Some(cov)) = (known.mean_error, known.cov_error) {
            say!("sample errors   mean {mean:.4}, covariance {cov:.4} (relative, 1,000 samples)");
            summary["mean_error"] = json!(mean);
            summary["cov_error"] = json!(cov);
        }
        summary["entropy"] = json!(entropy);
        summary["kl"] = json!(nll - entropy);
        summary["kl_held_out"] = json!(kl.mean);
        summary["kl_standard_error"] = json!(kl.standard_error);
    }
    let mut time = format!("time            {seconds:.1} s");
    if let Some(in_steps) = in_steps {
        let each = 1e3 * in_steps.as_secs_f64() / run.config.train.steps as f64;
        time += &format!(", {each:.2} ms a step");
        summary["ms_per_step"] = json!((each * 1e3).round() / 1e3);
    }
    say!("{time}");
    Ok(summary)
}

fn measure(
    experiment: &Experiment,
    model: &Model,
    executor: &mut dyn Executor,
) -> Result<Known, Error> {
    experiment.measure(executor, &model.preprocessing)
}

fn report_comparison(at: &Comparison, offset: f64, log: &mut Log) -> Result<(), Error> {
    let (device_nll, reference_nll) = (at.device_nll + offset, at.reference_nll + offset);
    say!(
        "{:>7} {device_nll:>12.6} {reference_nll:>12.6} {:>13.2e} {:>10.2e} {:>15.2e} {:>10.2e}",
        at.step,
        at.gradient.largest,
        at.gradient.relative_l2(),
        at.parameters.largest,
        at.parameters.relative_l2()
    );
    log.line(&json!({
        "event": "step",
        "step": at.step,
        "nll": device_nll,
        "reference_nll": reference_nll,
        "gradient_largest": at.gradient.largest,
        "gradient_relative_l2": at.gradient.relative_l2(),
        "parameters_largest": at.parameters.largest,
        "parameters_relative_l2": at.parameters.relative_l2(),
    }))
}

fn print_verdict(verdict: &Verdict) {
    say!("\nlargest differences over the whole run");
    for finding in &verdict.findings {
        let sign = if finding.holds() { "ok  " } else { "FAIL" };
        say!(
            "{sign} {:.2e} of {:.0e} allowed: {}",
            finding.worst,
            finding.tolerance,
            finding.what
        );
        say!("     ({})", finding.reason);
    }
    let word = if verdict.agrees() {
        "agree"
    } else {
        "DISAGREE"
    };
    say!("verdict: the device and the CPU in f64 {word}");
}

/// The log file of a run, if one was asked for.
struct Log {
    file: Option<(BufWriter<File>, PathBuf)>,
}

impl Log {
    fn create(path: Option<&Path>) -> Result<Self> {
        let file = match path {
            None => None,
            Some(path) => {
                // As for a model: a folder that does not exist is named as such.
                drop(AtomicFile::create(path)?);
                let file = File::create(path).map_err(Error::io(path))?;
                Some((BufWriter::new(file), path.to_owned()))
            }
        };
        Ok(Log { file })
    }

    /// A line at a time, on disk at once: a run that ends early leaves the log up to there.
    fn line(&mut self, value: &Value) -> Result<(), Error> {
        let Some((file, path)) = &mut self.file else {
            return Ok(());
        };
        writeln!(file, "{value}")
            .and_then(|()| file.flush())
            .map_err(Error::io(path))
    }

    fn finish(self) -> Result<()> {
        match self.file {
            None => Ok(()),
            Some((file, path)) => {
                let file = file
                    .into_inner()
                    .map_err(|e| Error::io(&path)(e.into_error()))?;
                Ok(file.sync_all().map_err(Error::io(&path))?)
            }
        }
    }
}

/// What the user sees of a run: a table of the logged steps, and on a terminal a progress bar below it.
struct Screen<'a> {
    run: &'a Run,
    log: &'a mut Log,
    bar: Option<ProgressBar>,
    /// What standardising adds to the NLL, to have it in the units of the data.
    offset: f64,
    /// NLL of the first and of the latest logged step.
    ends: Option<(f64, f64)>,
}

impl<'a> Screen<'a> {
    fn new(run: &'a Run, log: &'a mut Log) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(
                "{bar:24} {pos}/{len} steps, {rate}, NLL {msg}, {eta} left",
            );
            ProgressBar::new(run.config.train.steps as u64).with_style(
                style
                    .unwrap_or_else(|_| ProgressStyle::default_bar())
                    .with_key(
                        "rate",
                        |state: &ProgressState, text: &mut dyn fmt::Write| {
                            // Nowhere to report to if the bar's own buffer fails.
                            let _ = write!(text, "{:.1} steps/s", state.per_sec());
                        },
                    ),
            )
        });
        Screen {
            offset: -run.model.preprocessing.log_det(),
            ends: None,
            run,
            log,
            bar,
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => say!("{text}"),
        }
    }

    fn header(&self) {
        self.line(if self.run.experiment.is_some() {
            "   step          NLL           KL   mean error    cov error"
        } else {
            "   step          NLL"
        });
    }

    fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        if let Some((first, last)) = self.ends
            && last > first
        {
            say!(
                "warning: the NLL ended above where it began; lower learning_rate, or set scale_bound"
            );
        }
    }
}

impl Watch for Screen<'_> {
    fn measure(&mut self, executor: &mut dyn Executor) -> Result<Known, Error> {
        match &self.run.experiment {
            Some(experiment) => measure(experiment, &self.run.model, executor),
            None => Ok(Known::default()),
        }
    }

    fn entropy(&self) -> Option<f64> {
        let experiment = self.run.experiment.as_ref()?;
        Some(experiment.target.entropy() - self.offset)
    }

    fn step(&mut self, report: &StepReport) -> Result<(), Error> {
        let report = StepReport {
            nll: report.nll + self.offset,
            ..*report
        };
        let first = self.ends.map_or(report.nll, |(first, _)| first);
        self.ends = Some((first, report.nll));
        let mut line = format!("{:>7} {:>12.4}", report.step, report.nll);
        for known in [
            report.known.kl,
            report.known.mean_error,
            report.known.cov_error,
        ]
        .into_iter()
        .flatten()
        {
            line += &format!(" {known:>12.4}");
        }
        self.line(&line);
        let mut value = json!({ "event": "step" });
        if let (Value::Object(all), Ok(Value::Object(report))) =
            (&mut value, serde_json::to_value(report))
        {
            all.extend(report);
        }
        self.log.line(&value)
    }

    fn progress(&mut self, done: usize, nll: f64) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{:.4}", nll + self.offset));
            bar.set_position(done as u64);
        }
    }
}
