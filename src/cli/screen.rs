use std::fmt;
use std::io::{IsTerminal, stderr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use log::LevelFilter;
use serde_json::Value;

use crate::error::Error;
use crate::files::LogFile;
use crate::fit::{Event, Prepared};
use crate::train::{Retry, StepReport, braille};

use super::{Result, logger, with_flags};

/// What the user sees of a run: a table of the logged steps, on a terminal a progress bar below it, and a log file if one was
/// asked for.
pub struct Screen {
    log: Option<LogFile>,
    shows: Shows,
    /// The learning rate at its peak.
    learning_rate: f64,
    bar: Option<Progress>,
}

/// Columns of the table beside the step and its loss.
#[derive(Default)]
struct Shows {
    validation: bool,
    kl: bool,
    moments: bool,
}

/// A progress bar, and above it the curve of the loss.
struct Progress {
    bar: ProgressBar,
    lines: Lines,
    losses: Vec<f64>,
}

/// What the bar's style reads, and the run writes.
type Lines = Arc<Mutex<[String; braille::LINES]>>;

impl Screen {
    /// A run that continues adds to the log of its beginning.
    pub fn new(log: Option<&Path>, is_resuming: bool) -> Result<Self> {
        let create = |path| LogFile::create(path, is_resuming);
        Ok(Screen {
            log: log.map(create).transpose()?,
            shows: Shows::default(),
            learning_rate: 0.0,
            bar: None,
        })
    }

    /// Begins the table of a run.
    pub fn begin(&mut self, prepared: &Prepared) {
        let truth = prepared.ground_truth.as_ref();
        self.shows = Shows {
            validation: prepared.config.train.validation > 0.0,
            kl: truth.is_some(),
            moments: truth.is_some_and(|truth| truth.has_moments()),
        };
        self.learning_rate = prepared.config.train.learning_rate;
        let mut line = "   step          NLL".to_string();
        for (is_shown, name) in [
            (self.shows.validation, "  validation"),
            (self.shows.kl, "          KL"),
            (self.shows.moments, "  mean error"),
            (self.shows.moments, "   cov error"),
        ] {
            if is_shown {
                line += &format!(" {name}");
            }
        }
        if stderr().is_terminal() && log::max_level() > LevelFilter::Warn {
            self.bar = Some(Progress::new(prepared.config.train.steps));
        }
        log::info!("{line}");
    }

    /// Ends the table, and removes the bar.
    pub fn end(&mut self) {
        self.bar = None;
    }

    /// Shows what happened, and adds it to the log.
    pub fn event(&mut self, event: &Event<'_>) -> crate::Result<()> {
        match *event {
            Event::Warning(message) => log::warn!("{}", with_flags(message)),
            Event::Note(message) => log::info!("note: {}", with_flags(message)),
            Event::Flow { number, of } => self.next_flow(number, of),
            Event::Progress {
                done,
                steps,
                losses,
                validation_nll,
                ..
            } => {
                if let Some(bar) = &mut self.bar {
                    bar.progress(done, steps, losses, validation_nll);
                }
            }
            Event::Step(report) => self.step(report),
            Event::Retry(retry) => self.retry(retry),
            Event::Checkpoint { step } => log::debug!("checkpoint of step {step}"),
            Event::Resumed { .. } | Event::DeviceFailure(_) => {}
        }
        match event.log_line() {
            Some(line) => self.log(&line),
            None => Ok(()),
        }
    }

    fn next_flow(&mut self, number: usize, of: usize) {
        log::info!("flow {number} of {of}");
        if let Some(progress) = &mut self.bar {
            progress.losses.clear();
            progress.bar.reset();
            progress.bar.set_prefix(format!("flow {number} of {of}: "));
        }
    }

    fn step(&mut self, report: &StepReport) {
        let metrics = &report.metrics;
        let mut line = format!("{:>7} {:>12.4}", report.step, report.nll);
        for (is_shown, number) in [
            (self.shows.validation, metrics.validation_nll),
            (self.shows.kl, metrics.kl),
            (self.shows.moments, metrics.mean_error),
            (self.shows.moments, metrics.cov_error),
        ] {
            match number {
                Some(number) => line += &format!(" {number:>12.4}"),
                // Held-out rows are not scored at every logged step.
                None if is_shown => line += &format!(" {:>12}", "-"),
                None => {}
            }
        }
        log::info!("{line}");
    }

    fn retry(&mut self, retry: &Retry) {
        log::info!(
            "step {}: {}; back to step {}, with learning rate {:.1e} (retry {} of {})",
            retry.step,
            retry.fault,
            retry.back_to,
            self.learning_rate * retry.rate_factor,
            retry.number,
            retry.max
        );
        if let Some(bar) = &mut self.bar {
            bar.losses.truncate(retry.back_to as usize);
        }
    }

    /// Writes a line of the log, if there is one.
    pub fn log(&mut self, value: &Value) -> Result<(), Error> {
        match &mut self.log {
            None => Ok(()),
            Some(file) => file.line(&value.to_string()),
        }
    }

    /// Moves the log to its path.
    pub fn finish_log(&mut self) -> Result<()> {
        match self.log.take() {
            None => Ok(()),
            Some(file) => Ok(file.finish()?),
        }
    }
}

impl Progress {
    fn new(steps: usize) -> Self {
        let lines = Lines::default();
        let bar = ProgressBar::new(steps as u64).with_style(style(&lines));
        logger::set_bar(Some(bar.clone()));
        Progress {
            bar,
            lines,
            losses: Vec::new(),
        }
    }

    fn progress(&mut self, done: usize, steps: usize, losses: &[f64], held_out: Option<f64>) {
        self.losses.extend(losses);
        *self.lines.lock().unwrap_or_else(PoisonError::into_inner) =
            braille::draw(self.losses.iter().copied());
        if let Some(nll) = self.losses.last() {
            let held_out = match held_out {
                Some(nll) => format!(", held out {nll:.4}"),
                None => String::new(),
            };
            self.bar.set_message(format!("{nll:.4}{held_out}"));
        }
        self.bar.set_length(steps as u64);
        self.bar.set_position(done as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        logger::set_bar(None);
    }
}

/// A curve, and below it how far the run is.
fn style(lines: &Lines) -> ProgressStyle {
    const KEYS: [&str; braille::LINES] = ["upper", "middle", "lower"];
    let curve = KEYS.map(|key| format!("{{{key}}}\n")).concat();
    let template = format!(
        "{curve}{{prefix}}{{bar:24}} {{pos}}/{{len}} steps, {{rate}}, NLL {{msg}}, {{eta}} left"
    );
    let style = ProgressStyle::with_template(&template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    // Nowhere to report to if the bar's own buffer fails.
    let style = style.with_key(
        "rate",
        |state: &ProgressState, text: &mut dyn fmt::Write| {
            let _ = write!(text, "{:.1} steps/s", state.per_sec());
        },
    );
    KEYS.iter().enumerate().fold(style, |style, (index, key)| {
        let lines = lines.clone();
        style.with_key(key, move |_: &ProgressState, text: &mut dyn fmt::Write| {
            let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = text.write_str(&lines[index]);
        })
    })
}
