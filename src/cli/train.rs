use std::cell::RefCell;
use std::time::Duration;

use serde_json::json;

use crate::fit::{Device, Outcome, QualityKind, Report, Session, StopSignal};
use crate::matrix::Matrix;
use crate::memory;
use crate::train::{self, Comparison};

use super::inputs::Inputs;
use super::interrupt::InterruptGuard;
use super::output::print;
use super::ranks::Ranks;
#[cfg(feature = "plots")]
use super::report;
use super::screen::Screen;
use super::train_args::TrainArgs;
use super::{DISAGREE, Failure, INTERRUPTED, Result, flag, shell, with_flags};

/// How long another process waits, after it failed, for the first one to keep what it has.
const GRACE: Duration = Duration::from_secs(5);

pub fn run(args: &mut TrainArgs) -> Result<()> {
    let ranks = Ranks::join();
    if !ranks.leads() {
        // One process says and writes everything.
        log::set_max_level(log::LevelFilter::Off);
        args.be_silent();
    }
    args.share_between(&ranks);
    let result = run_as(args, &ranks);
    match &result {
        Err(failure) if ranks.are_several() && ![0, INTERRUPTED].contains(&failure.code) => {
            if !ranks.leads() {
                std::thread::sleep(GRACE);
                log::set_max_level(log::LevelFilter::Error);
                log::error!("rank {}: {}", ranks.all.rank(), failure.message);
            } else {
                log::error!("{}", failure.message);
            }
            ranks.abort(failure.code);
        }
        _ => {}
    }
    result
}

/// Trains as one of several processes, or alone.
fn run_as(args: &TrainArgs, ranks: &Ranks) -> Result<()> {
    let has_checkpoints = !args.dry_run && ranks.leads();
    let checkpoints = has_checkpoints.then(|| args.checkpoints()).transpose()?;
    let mut inputs = Inputs::read(args)?;
    if args.dry_run {
        return match ranks.leads() {
            true => dry_run(args, &mut inputs),
            false => Ok(()),
        };
    }
    let is_resuming = checkpoints.as_ref().is_some_and(|it| it.is_resuming());
    #[cfg(feature = "plots")]
    report::check_outputs(args)?;
    let screen = RefCell::new(Screen::new(args.log.as_deref(), is_resuming)?);
    let stop = StopSignal::default();
    let mut fit = inputs
        .fit(args)?
        .collective(ranks.all.clone())
        .stop_signal(stop.clone())
        .on_event(|event| screen.borrow_mut().event(event));
    if let Some(checkpoints) = checkpoints {
        fit = fit.checkpoints(checkpoints);
    }
    let session = fit.open()?;
    describe(&session);
    let run = Run {
        args,
        inputs: &inputs,
        screen: &screen,
        leads: ranks.leads(),
        session,
    };
    let interrupts = InterruptGuard::new(stop);
    match args.cpu_reference {
        true => run.compare(interrupts),
        false => run.train(interrupts),
    }
}

/// Says what a run would be.
fn dry_run(args: &TrainArgs, inputs: &mut Inputs) -> Result<()> {
    let fit = inputs.fit(args)?;
    let prepared = fit.prepare()?;
    let device = Device::choose(&args.device())?;
    let of_flow = prepared.of_flow(0);
    let request = of_flow.request()?;
    let held_out = of_flow.validation.as_ref().map_or(0, Matrix::rows);
    let (each, several) = match prepared.config.train.ensemble {
        1 => ("", String::new()),
        count => (" by each flow", format!("{count} of ")),
    };
    log::info!("flow        {several}{}", prepared.model.spec);
    log::info!(
        "rows        {} to train on, {held_out} held out{each}",
        of_flow.row_count()
    );
    log::info!("parameters  {}", request.plan.layout.len());
    log::info!("device      {}", device.describe());
    log::info!("memory      {}", memory::readable(device.memory(&request)?));
    log::info!("model       {}", inputs.destination());
    print(&prepared.config.to_toml())
}

/// Says what is about to be trained.
fn describe(session: &Session<'_>) {
    let prepared = session.prepared();
    log::debug!("{}", prepared.config.to_toml());
    log::debug!("columns {}", prepared.model.columns.join(", "));
    if let Ok(bytes) = session.memory() {
        log::debug!("memory {}", memory::readable(bytes));
    }
    let (count, of_flow) = (prepared.config.train.ensemble, prepared.of_flow(0));
    let held_out = match &of_flow.validation {
        Some(rows) if count > 1 => {
            format!(" (each flow holds out others, {} of them)", rows.rows())
        }
        Some(rows) => format!(" ({} more held out for validation)", rows.rows()),
        None => String::new(),
    };
    if prepared.is_mixture_alone() {
        log::info!(
            "{}, a stack of Gaussian mixtures, fitted to {} rows on the CPU",
            match prepared.model.columns.len() {
                1 => "1 column".into(),
                count => format!("{count} columns"),
            },
            prepared.row_count()
        );
        return;
    }
    let beside = match prepared.config.model.mixture {
        true if count > 1 => ", Gaussian mixtures beside them",
        true => ", Gaussian mixtures beside it",
        false => "",
    };
    let several = match count {
        1 => String::new(),
        _ => format!("{count} flows of "),
    };
    log::info!("{several}{}{beside}", prepared.model.spec);
    log::info!(
        "{} rows{held_out}, {} parameters, on {}",
        prepared.row_count(),
        prepared.parameters().len(),
        session.device()
    );
}

/// A run in progress.
struct Run<'r, 's> {
    args: &'r TrainArgs,
    inputs: &'r Inputs,
    screen: &'r RefCell<Screen>,
    /// Whether this is the process that writes.
    leads: bool,
    session: Session<'s>,
}

impl Run<'_, '_> {
    fn train(mut self, interrupts: InterruptGuard) -> Result<()> {
        self.screen.borrow_mut().begin(self.session.prepared());
        let outcome = self.session.train();
        self.screen.borrow_mut().end();
        let outcome = outcome?;
        if let Some((event, failure)) = ended_early(&outcome) {
            let failure = self.end_early(outcome.best_step, event, failure);
            return Err(match (&outcome.checkpoint, event) {
                // A run that diverged would diverge again.
                (None, _) | (_, "diverged") => failure,
                (Some(dir), _) => {
                    let command = shell::resuming(&self.args.command, dir);
                    Failure::new(
                        failure.code,
                        format!("{}. To continue: {command}", failure.message),
                    )
                }
            });
        }
        self.save()?;
        drop(interrupts);
        let report = self.session.report(&outcome)?;
        self.finish(&report, None)?;
        #[cfg(feature = "plots")]
        report::write(self.args, self.inputs, self.session, &report)?;
        Ok(())
    }

    /// Trains the device and the CPU in f64 side by side.
    fn compare(mut self, interrupts: InterruptGuard) -> Result<()> {
        let prepared = self.session.prepared();
        if prepared.config.train.patience > 0 && prepared.validation.is_some() {
            log::info!(
                "note: --cpu-reference takes all steps and keeps the last parameters, whatever held-out rows say"
            );
        }
        log::info!(
            "gradients are compared at the same parameters; parameters over the steps since the last comparison,\n\
             {} at most, after which the reference continues from the device's",
            train::sync_interval(&prepared.model.plan()?)
        );
        log::info!("{}", Comparison::HEADER);
        let screen = self.screen;
        let compared = self.session.compare(|at| {
            log::info!("{at}");
            screen.borrow_mut().log(&at.log_line())
        })?;
        let step = compared.step;
        let agreement = match compared.result {
            Ok(agreement) => agreement,
            Err(error) => return Err(self.end_early(step, "failed", error.into())),
        };
        log::info!("\n{agreement}");
        if compared.stopped {
            let message = format!("interrupted after step {step}");
            let failure = Failure::new(INTERRUPTED, message);
            return Err(self.end_early(step, "interrupted", failure));
        }
        self.save()?;
        drop(interrupts);
        let agrees = agreement.agrees();
        let report = self
            .session
            .report_comparison(agreement.steps, compared.took)?;
        self.finish(&report, Some(agrees))?;
        if agrees {
            return Ok(());
        }
        let mut message = format!("{} and the CPU reference disagree", report.device);
        let mut warnings = report.warnings.iter();
        if let Some(warning) = warnings.find(|warning| warning.kind == QualityKind::Relation) {
            // Where the density has no width, the last digits decide everything.
            let warning = with_flags(&warning.message);
            message += &format!("; but {warning}, then compare again");
        }
        Err(Failure::new(DISAGREE, message))
    }

    /// Writes the model, before anything else can go wrong.
    fn save(&self) -> Result<()> {
        if !self.leads {
            return Ok(());
        }
        self.session.prepared().model.save(&self.inputs.out)?;
        log::info!("\nmodel written to {}", self.inputs.destination());
        Ok(())
    }

    /// Saves the best model of a run that ended early, and returns the failure to report. An existing file is not replaced
    /// by parameters that no step has improved.
    fn end_early(&self, step: usize, event: &str, failure: Failure) -> Failure {
        if !self.leads {
            return failure;
        }
        let out = &self.inputs.out;
        let saved = match step == 0 && out.exists() {
            true => format!(
                "No step had improved the initial parameters, so {} is left as it was",
                out.display()
            ),
            false => match self.session.prepared().model.save(out) {
                Ok(()) => format!(
                    "The best model so far, that of step {step}{}, is in {}",
                    if step == 0 {
                        " (the initial parameters)"
                    } else {
                        ""
                    },
                    self.inputs.destination()
                ),
                Err(error) => format!("The best model so far could not be saved: {error}"),
            },
        };
        let message = format!("{}. {saved}", failure.message);
        // A failing log has been reported already, or matters less than the failure itself.
        let line = json!({ "event": event, "step": step, "message": message });
        let mut screen = self.screen.borrow_mut();
        if screen.log(&line).is_ok() {
            let _ = screen.finish_log();
        }
        Failure { message, ..failure }
    }

    /// Prints the report, and writes it as the last line of the log. `agrees` is the result of a comparison of executors.
    fn finish(&self, report: &Report, agrees: Option<bool>) -> Result<()> {
        log::info!("{}", report.to_text(flag));
        let mut line = report.to_json();
        line["event"] = json!("done");
        line["model"] = json!(self.inputs.out.to_string_lossy());
        if let Some(agrees) = agrees {
            line["agrees"] = json!(agrees);
        }
        let mut screen = self.screen.borrow_mut();
        screen.log(&line)?;
        screen.finish_log()?;
        if self.args.json {
            print(&format!("{line}\n"))?;
        }
        Ok(())
    }
}

/// The event and the failure of a run that ended early.
fn ended_early(outcome: &Outcome) -> Option<(&'static str, Failure)> {
    let after = outcome.steps;
    if let Some(error) = &outcome.error {
        let failure = Failure::of(error);
        return Some(match error {
            crate::Error::Diverged(_) => ("diverged", failure),
            _ => {
                let message = format!("training failed after step {after}: {}", failure.message);
                ("failed", Failure::new(failure.code, message))
            }
        });
    }
    outcome.stopped.then(|| {
        let message = format!("interrupted after step {after}");
        ("interrupted", Failure::new(INTERRUPTED, message))
    })
}
