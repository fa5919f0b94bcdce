use std::time::Instant;

use serde_json::json;

use crate::cpu::CpuExecutor;
use crate::error::Error;
use crate::executor::Executor;
#[cfg(feature = "plots")]
use crate::files::OutputFile;
use crate::fit::{self, Device, QualityKind, Wrap};
use crate::matrix::Matrix;
use crate::memory;
use crate::train::{self, Comparison, Ending, Verdict};

use super::checkpoints::{self, Plans};
use super::interrupt::Patience;
use super::output::print;
use super::resolve::Run;
use super::screen::{Log, Screen};
use super::summary::Summary;
use super::train_args::TrainArgs;
use super::{DISAGREE, Failure, INTERRUPTED, Result, interrupt, tell};
#[cfg(feature = "plots")]
use super::{plot, report};

pub fn run(args: &TrainArgs, wrap: Wrap<'_>) -> Result<()> {
    if args.dry_run {
        return dry_run(args, wrap);
    }
    let mut plans = Plans::new(args)?;
    let mut run = Run::resolve(args)?;
    plans.make_folder()?;
    let device = Device::choose(&args.device, &tell)?;
    let log = Log::create(args.log.as_deref(), plans.goes_on())?;
    #[cfg(feature = "plots")]
    if let Some(folder) = &args.plot {
        plot::ready(folder, &plot::of_training(folder))?;
    }
    #[cfg(feature = "plots")]
    if let Some(path) = &args.report {
        OutputFile::check(path)?;
    }
    let work = run.fit.work(wrap, &tell)?;
    let plan = work.plan.clone();
    detail!("{}", run.fit.config.to_toml());
    detail!("columns {}", run.fit.model.columns.join(", "));
    detail!("memory {}", memory::readable(device.memory(&work)?));
    let failures = log.clone();
    let mut executor =
        device
            .clone()
            .open_lasting(work, args.fallback.is_cpu(), move |failure| {
                let (step, back_to) = failure.steps.unzip();
                let message = failure.error.to_string();
                // A log that fails ends the run at its next line.
                let _ = failures.line(&json!({
                    "event": "device_failed",
                    "step": step,
                    "back_to": back_to,
                    "message": message,
                }));
            })?;
    say!("{}", run.fit.model.spec);
    let held_out = match &run.fit.validation {
        Some(rows) => format!(" ({} more held out for validation)", rows.rows()),
        None => String::new(),
    };
    say!(
        "{} rows{held_out}, {} parameters, on {}",
        run.fit.rows.rows(),
        plan.layout.len(),
        executor.describe()
    );
    if args.cpu_reference {
        return compare(args, &mut run, executor.as_mut(), &log);
    }

    let (mut keeper, from) = plans.begin(&run, &executor.describe())?;
    if let Some(snapshot) = &from {
        log.line(&json!({ "event": "resumed", "step": snapshot.state.step }))?;
    }
    let begin = Instant::now();
    let settings = run.fit.settings(args.log_every as usize);
    let patience = Patience::begin();
    let mut screen = Screen::new(&run, &log, &mut keeper);
    screen.header();
    let outcome = match &from {
        Some(snapshot) => train::resume(executor.as_mut(), &settings, snapshot, &mut screen),
        None => train::run(executor.as_mut(), &settings, &mut screen),
    }?;
    let mut history = screen.into_history();
    history.entropy = run.truth.as_ref().map(|truth| truth.entropy());
    if let Some(complaint) = keeper.settle() {
        say!("warning: {complaint}");
    }
    let command = keeper.written_to().map(checkpoints::command);
    drop(keeper);
    let took = begin.elapsed();
    run.fit.keep(&outcome.parameters);
    let step = outcome.best_step;
    history.best = Some(step as f64);
    let ended_early = match &outcome.ending {
        Ending::Done | Ending::Patience => None,
        Ending::Diverged(divergence) => {
            let message = fit::explain(&run.fit, &plan, divergence);
            Some(("diverged", Error::Diverged(message).into()))
        }
        Ending::Interrupted => {
            let message = format!("interrupted after step {}", outcome.steps);
            Some(("interrupted", Failure::new(INTERRUPTED, message)))
        }
        Ending::Failed(error) => {
            let message = format!("training failed after step {}: {error}", outcome.steps);
            Some(("failed", Failure::new(Failure::code_of(error), message)))
        }
    };
    if let Some((event, failure)) = ended_early {
        let mut failure = end_early(&run, step, event, failure, &log);
        let is_hopeless = matches!(outcome.ending, Ending::Diverged(_));
        if let Some(command) = command.filter(|_| !is_hopeless) {
            failure.message += &format!(". To go on: {command}");
        }
        return Err(failure);
    }
    save(&run)?;
    drop(patience);
    if outcome.worsened {
        say!(
            "warning: the NLL ended above where it began, so the parameters of step {step}, the best of all checks, are kept; \
             lower learning_rate, or set scale_bound"
        );
    }
    let summary = Summary::new(&run, executor.as_mut())?.of_training(&run, &outcome, took);
    summary.say();
    drop(executor);
    finish(args, &summary, &log)?;
    #[cfg(feature = "plots")]
    report::show(args, &run, &device, &history, &summary)?;
    Ok(())
}

/// Says what a run would be.
fn dry_run(args: &TrainArgs, wrap: Wrap<'_>) -> Result<()> {
    let run = Run::resolve(args)?;
    let device = Device::choose(&args.device, &tell)?;
    let work = run.fit.work(wrap, &tell)?;
    let rows = run.fit.rows.rows();
    let held_out = run.fit.validation.as_ref().map_or(0, Matrix::rows);
    say!("flow        {}", run.fit.model.spec);
    say!("rows        {rows} to train on, {held_out} held out");
    say!("parameters  {}", work.plan.layout.len());
    say!("device      {}", device.describe());
    say!("memory      {}", memory::readable(device.memory(&work)?));
    say!("model       {}{}", run.out.display(), in_place_of(&run));
    print(&run.fit.config.to_toml())
}

/// Writes the model, before anything else can go wrong.
fn save(run: &Run) -> Result<()> {
    run.fit.model.save(&run.out)?;
    say!(
        "\nmodel written to {}{}",
        run.out.display(),
        in_place_of(run)
    );
    Ok(())
}

fn in_place_of(run: &Run) -> String {
    match &run.replaced {
        Some(spec) => format!(", in place of the model that was there ({spec})"),
        None => String::new(),
    }
}

/// Writes what a run that ended before its time had reached, and returns how it ends. What stands there already is not
/// given up for parameters that no step has improved.
fn end_early(run: &Run, step: usize, event: &str, failure: Failure, log: &Log) -> Failure {
    let out = run.out.display();
    let saved = if step == 0 && run.out.exists() {
        Ok(format!(
            "No step had improved the initial parameters, so {out} is left as it was"
        ))
    } else {
        run.fit.model.save(&run.out).map(|()| {
            let initial = if step == 0 {
                " (the initial parameters)"
            } else {
                ""
            };
            let replaced = in_place_of(run);
            format!("The best model so far, that of step {step}{initial}, is in {out}{replaced}")
        })
    };
    let saved =
        saved.unwrap_or_else(|error| format!("The best model so far could not be saved: {error}"));
    let message = format!("{}. {saved}", failure.message);
    // A log that fails has been named already, or will not be missed beside what is said here.
    let line = json!({ "event": event, "step": step, "message": message });
    if log.line(&line).is_ok() {
        let _ = log.finish();
    }
    Failure { message, ..failure }
}

/// Writes the last line of the log, and prints the summary for machines.
fn finish(args: &TrainArgs, summary: &Summary, log: &Log) -> Result<()> {
    let summary = summary.json();
    log.line(&summary)?;
    log.finish()?;
    if args.json {
        print(&format!("{summary}\n"))?;
    }
    Ok(())
}

/// Trains the device and the CPU in f64 side by side.
fn compare(args: &TrainArgs, run: &mut Run, executor: &mut dyn Executor, log: &Log) -> Result<()> {
    let begin = Instant::now();
    let train = &run.fit.config.train;
    let mut reference = CpuExecutor::<f64>::new(executor.plan().clone(), &run.fit.model.parameters);
    reference.start(&run.fit.rows, &run.fit.config.training())?;
    if train.patience > 0 && run.fit.validation.is_some() {
        say!(
            "note: --cpu-reference takes all steps and keeps the last parameters, whatever held-out rows say"
        );
    }
    let offsets = &run.fit.offsets;
    say!(
        "gradients are compared at the same parameters; parameters over the steps since the last comparison,\n\
         {} at most, after which the reference continues from the device's",
        train::stretch(executor.plan())
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
    let patience = Patience::begin();
    let compared = train::compare(
        executor,
        &mut reference,
        train.steps,
        args.log_every as usize,
        train.seed,
        |at| report_comparison(at, offsets.of_step(at.step as u64), log),
        interrupt::is_asked,
    );
    let state = match &compared {
        Ok(_) => executor.state(),
        Err(_) => reference.state(),
    }?;
    run.fit.keep(state.result());
    let step = state.step as usize;
    let verdict = match compared {
        Ok(verdict) => verdict,
        Err(error) => return Err(end_early(run, step, "failed", error.into(), log)),
    };
    print_verdict(&verdict);
    if verdict.steps < run.fit.config.train.steps {
        let message = format!("interrupted after step {step}");
        let failure = Failure::new(INTERRUPTED, message);
        return Err(end_early(run, step, "interrupted", failure, log));
    }
    save(run)?;
    drop(patience);
    executor.set_parameters(state.result())?;
    let (steps, agrees) = (verdict.steps, verdict.agrees());
    let took = begin.elapsed();
    let summary = Summary::new(run, executor)?.of_comparison(steps, agrees, took);
    summary.say();
    finish(args, &summary, log)?;
    if agrees {
        return Ok(());
    }
    let mut message = format!("{} and the CPU reference disagree", executor.describe());
    let mut warnings = run.warnings.iter();
    if let Some(warning) = warnings.find(|warning| warning.kind == QualityKind::Relation) {
        // Where the density has no width, the last digits decide everything.
        message += &format!("; but {}, then compare again", warning.message);
    }
    Err(Failure::new(DISAGREE, message))
}

fn report_comparison(at: &Comparison, offset: f64, log: &Log) -> Result<(), Error> {
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
