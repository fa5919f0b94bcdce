use std::time::Instant;

use serde_json::{Value, json};

use crate::cpu::CpuExecutor;
use crate::error::Error;
use crate::executor::Executor;
use crate::fit::{self, Device, Wrap};
use crate::matrix::Matrix;
use crate::memory;
use crate::train::{self, Comparison, Ending, History, Outcome, Verdict};

use super::checkpoints::{self, Plans};
use super::interrupt::Patience;
use super::output::print;
#[cfg(feature = "plots")]
use super::plot;
use super::resolve::Run;
use super::screen::{Log, Screen};
use super::train_args::TrainArgs;
use super::{DISAGREE, Failure, INTERRUPTED, Result, interrupt, tell};

pub fn run(args: &TrainArgs, wrap: Wrap<'_>) -> Result<()> {
    if args.dry_run {
        return dry_run(args, wrap);
    }
    let plans = Plans::new(args)?;
    let mut run = Run::resolve(args)?;
    let device = Device::choose(&args.device, &tell)?;
    let log = Log::create(args.log.as_deref(), plans.goes_on())?;
    #[cfg(feature = "plots")]
    if let Some(folder) = &args.plot {
        plot::ready(folder, &plot::of_training(folder))?;
    }
    let work = run.fit.work(wrap, &tell)?;
    let plan = work.plan.clone();
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
    if let Some(complaint) = keeper.settle() {
        say!("warning: {complaint}");
    }
    let command = keeper.written_to().map(checkpoints::command);
    drop(keeper);
    let seconds = begin.elapsed().as_secs_f64();
    run.fit.keep(&outcome.parameters);
    let step = outcome.best_step;
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
    let mut summary = summarize(&run, executor.as_mut())?;
    summary["steps"] = json!(outcome.steps);
    print_course(&run, &outcome, &mut summary);
    print_baselines(&run, &mut summary);
    let each = 1e3 * outcome.in_steps.as_secs_f64() / outcome.steps.max(1) as f64;
    summary["ms_per_step"] = json!((each * 1e3).round() / 1e3);
    say!("time            {seconds:.1} s, {each:.2} ms a step");
    drop(executor);
    finish(args, seconds, summary, &log)?;
    history.best = Some(step as f64);
    history.entropy = run.truth.as_ref().map(|truth| truth.entropy());
    draw(args, &run, &device, &history)
}

/// Draws the run, if that is asked for.
#[cfg(feature = "plots")]
fn draw(args: &TrainArgs, run: &Run, device: &Device, history: &History) -> Result<()> {
    match &args.plot {
        None => Ok(()),
        Some(folder) => plot::of_run(&run.fit, device, history, folder),
    }
}

#[cfg(not(feature = "plots"))]
fn draw(_: &TrainArgs, _: &Run, _: &Device, _: &History) -> Result<()> {
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

/// How the steps went, as far as held-out rows tell.
fn print_course(run: &Run, outcome: &Outcome, summary: &mut Value) {
    let Some((best, last)) = outcome.validation else {
        return;
    };
    let [best, last] = [best, last].map(|nll| nll + run.fit.offsets.validation());
    if !best.is_finite() {
        return;
    }
    let rows = run.fit.validation.as_ref().map_or(0, Matrix::rows);
    say!("validation NLL  {best:.4} nats, on the {rows} rows held out");
    let kept = outcome.best_step;
    match outcome.ending {
        Ending::Patience => say!(
            "stopped         at step {}: nothing better since step {kept}; kept are the parameters of step {kept}\n                \
             (those of the last step: {last:.4})",
            outcome.steps
        ),
        _ if kept < outcome.steps => say!(
            "kept            the parameters of step {kept}, the best on held-out rows (those of the last step: {last:.4})"
        ),
        _ => {}
    }
    summary["validation_nll"] = json!(best);
    summary["last_validation_nll"] = json!(last);
    summary["best_step"] = json!(kept);
}

/// How much better the flow is than what is known without one. Targets have their entropy to compare with.
fn print_baselines(run: &Run, summary: &mut Value) {
    if run.truth.is_some() {
        return;
    }
    let baselines = run.fit.baselines();
    let nll = summary["validation_nll"].as_f64();
    let Some(nll) = nll.or(summary["nll"].as_f64()) else {
        return;
    };
    let kinds = [
        ("a Gaussian", "gaussian", baselines.gaussian),
        ("single columns", "independent", baselines.independent),
    ];
    let known: Vec<_> = kinds
        .into_iter()
        .filter_map(|(words, key, value)| Some((words, key, value?)))
        .collect();
    let Some(best) = known.iter().map(|(.., value)| *value).reduce(f64::min) else {
        return;
    };
    let words: Vec<String> = known
        .iter()
        .map(|(words, _, value)| format!("{value:.4} by {words}"))
        .collect();
    let verdict = match best - nll {
        better if better > 0.0 => format!("the flow is better by {better:.4} nats a row"),
        worse => format!(
            "the flow is worse by {:.4} nats a row; it has not learned this table",
            -worse
        ),
    };
    say!("for comparison  {}; {verdict}", words.join(", "));
    for (_, key, value) in known {
        summary["baselines"][key] = json!(value);
    }
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
fn finish(args: &TrainArgs, seconds: f64, mut summary: Value, log: &Log) -> Result<()> {
    summary["seconds"] = json!((seconds * 1e3).round() / 1e3);
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
    let seconds = begin.elapsed().as_secs_f64();
    let mut summary = summarize(run, executor)?;
    summary["steps"] = json!(verdict.steps);
    summary["agrees"] = json!(verdict.agrees());
    say!("time            {seconds:.1} s");
    finish(args, seconds, summary, log)?;
    if verdict.agrees() {
        return Ok(());
    }
    let mut message = format!("{} and the CPU reference disagree", executor.describe());
    if let Some(relation) = run.relations.first() {
        // Where the density has no width, the last digits decide everything.
        message += &format!("; but {relation}, then compare again");
    }
    Err(Failure::new(DISAGREE, message))
}

/// Names the first row whose log-density is not finite; `rows` are its numbers in the table.
fn warn_of_overflow(log_prob: &[f64], rows: &[u32]) {
    let overflows = |p: &&f64| !p.is_finite();
    let count = log_prob.iter().filter(overflows).count();
    if let Some(place) = log_prob.iter().position(|p| !p.is_finite()) {
        let what = if count == 1 {
            "1 row".into()
        } else {
            format!("{count} rows")
        };
        say!(
            "warning: the log-density of {what} overflows 32-bit numbers, the first of them row {}; set standardize or \
             scale_bound, or look at the row",
            rows[place] + 1
        );
    }
}

/// Prints how good the model is, and returns the same for machines.
fn summarize(run: &Run, executor: &mut dyn Executor) -> Result<Value> {
    let log_prob = executor.log_prob(&run.fit.rows.map(f64::from))?;
    let nll = run.fit.nll(&log_prob);
    let mut summary = json!({
        "event": "done",
        "device": executor.describe(),
        "nll": nll,
        "model": run.out.to_string_lossy(),
    });
    warn_of_overflow(&log_prob, &run.fit.split.training);
    if let Some(rows) = &run.fit.validation {
        warn_of_overflow(&executor.log_prob(rows)?, &run.fit.split.held_out);
    }
    say!(
        "final NLL       {nll:.4} nats, over all {} rows trained on",
        run.fit.rows.rows()
    );
    if let Some(truth) = &run.truth {
        let known = truth.measure(executor, &run.fit.model.preprocessing)?;
        let entropy = truth.entropy();
        let kl = truth.kl(executor, &run.fit.model.preprocessing)?;
        say!("entropy         {entropy:.4} nats, exact: no model can do better");
        say!(
            "KL divergence   {:.4} +- {:.4} nats, on {} rows that training never saw",
            kl.mean,
            kl.standard_error,
            kl.rows
        );
        say!(
            "                {:.4} = NLL - entropy, with the luck of the rows trained on",
            nll - entropy
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
    Ok(summary)
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
