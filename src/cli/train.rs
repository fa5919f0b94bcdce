use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::config::Config;
use crate::cpu::CpuExecutor;
use crate::error::Error;
use crate::executor::Executor;
use crate::train::{self, Comparison, Verdict};

use super::device::Device;
use super::output::print;
use super::resolve::Run;
use super::screen::{Log, Screen};
use super::{DISAGREE, DeviceArgs, Failure, Result, Wrap};

#[derive(clap::Args)]
pub struct TrainArgs {
    /// Table to fit (CSV or NPY, numbers only); none runs the reference experiment
    pub(super) data: Option<PathBuf>,
    /// Run configuration (TOML); flags win over it
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Start from the tensors of this safetensors file
    #[arg(long, value_name = "FILE")]
    pub(super) init: Option<PathBuf>,
    /// Model file to write [default: named after DATA, or experiment.safetensors]
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Write each logged step as a line of JSON
    #[arg(long, value_name = "FILE.jsonl")]
    pub(super) log: Option<PathBuf>,
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
    pub(super) settings: Settings,
}

/// Settings of the configuration that have a flag.
#[derive(clap::Args)]
#[command(next_help_heading = "Settings, as in the configuration")]
pub struct Settings {
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
    pub(super) fn apply(&self, config: &mut Config) {
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
        let known = experiment.measure(executor, &run.model.preprocessing)?;
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
