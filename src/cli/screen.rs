use std::cell::RefCell;
use std::fmt;
use std::io::{IsTerminal, Write, stderr};
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use serde_json::{Value, json};

use crate::checkpoint::Keeper;
use crate::error::Error;
use crate::executor::Executor;
use crate::files::LogFile;
use crate::train::{History, Known, Retry, Snapshot, StepReport, Watch};

use super::resolve::Run;
use super::{Result, curve, interrupt};

/// The log file of a run, if one was asked for and is not finished.
#[derive(Clone)]
pub struct Log(Rc<RefCell<Option<LogFile>>>);

impl Log {
    /// A run that goes on adds to the log of its beginning.
    pub fn create(path: Option<&Path>, goes_on: bool) -> Result<Self> {
        let create = |path| LogFile::create(path, goes_on);
        let file = path.map(create).transpose()?;
        Ok(Log(Rc::new(RefCell::new(file))))
    }

    pub fn line(&self, value: &Value) -> Result<(), Error> {
        match &mut *self.0.borrow_mut() {
            None => Ok(()),
            Some(file) => file.line(&value.to_string()),
        }
    }

    pub fn finish(&self) -> Result<()> {
        match self.0.take() {
            None => Ok(()),
            Some(file) => Ok(file.finish()?),
        }
    }
}

/// The progress bar on the terminal, if there is one.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loudness {
    /// Warnings and errors alone.
    Quiet,
    Usual,
    /// Whatever may help to see what a command does.
    Verbose,
}

static LOUDNESS: Mutex<Loudness> = Mutex::new(Loudness::Usual);

/// Has so much said from now on.
pub fn set_loudness(loudness: Loudness) {
    *LOUDNESS.lock().unwrap_or_else(PoisonError::into_inner) = loudness;
}

fn loudness() -> Loudness {
    *LOUDNESS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A line for whoever wants to know more.
pub fn detail(text: fmt::Arguments<'_>) {
    if loudness() == Loudness::Verbose {
        say(text);
    }
}

/// A line on standard error, above the progress bar. A message that nobody can receive must not end the work.
pub fn say(text: fmt::Arguments<'_>) {
    let write = || {
        let _ = writeln!(stderr(), "{text}");
    };
    if loudness() == Loudness::Quiet {
        let text = text.to_string();
        if !text.starts_with("warning: ") && !text.starts_with("error: ") {
            return;
        }
    }
    match &*BAR.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// What the user sees of a run: a table of the logged steps, and on a terminal a progress bar below it.
pub struct Screen<'a, 'r> {
    run: &'r Run,
    log: &'a Log,
    keeper: &'a mut Keeper<'r>,
    bar: Option<ProgressBar>,
    /// The curve of the loss, above the bar.
    lines: Lines,
    history: History,
}

/// What the bar's style reads, and the run writes.
type Lines = Arc<Mutex<[String; curve::LINES]>>;

/// A curve, and below it how far the run is.
fn style(lines: &Lines) -> ProgressStyle {
    const KEYS: [&str; curve::LINES] = ["upper", "middle", "lower"];
    let curve = KEYS.map(|key| format!("{{{key}}}\n")).concat();
    let template =
        format!("{curve}{{bar:24}} {{pos}}/{{len}} steps, {{rate}}, NLL {{msg}}, {{eta}} left");
    let style = ProgressStyle::with_template(&template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    // Nowhere to report to if the bar's own buffer fails.
    let style = style.with_key(
        "rate",
        |state: &ProgressState, text: &mut dyn fmt::Write| {
            let _ = write!(text, "{:.1} steps/s", state.per_sec());
        },
    );
    KEYS.iter().enumerate().fold(style, |style, (place, key)| {
        let lines = lines.clone();
        style.with_key(key, move |_: &ProgressState, text: &mut dyn fmt::Write| {
            let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = text.write_str(&lines[place]);
        })
    })
}

impl<'a, 'r> Screen<'a, 'r> {
    pub fn new(run: &'r Run, log: &'a Log, keeper: &'a mut Keeper<'r>) -> Self {
        let is_seen = stderr().is_terminal() && loudness() > Loudness::Quiet;
        let lines = Arc::new(Mutex::new(<[String; curve::LINES]>::default()));
        let bar = is_seen.then(|| {
            let bar = ProgressBar::new(run.fit.config.train.steps as u64);
            bar.with_style(style(&lines))
        });
        BAR.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(&bar);
        Screen {
            run,
            log,
            keeper,
            bar,
            lines,
            history: History::default(),
        }
    }

    /// Ends, with what it has seen.
    pub fn into_history(mut self) -> History {
        std::mem::take(&mut self.history)
    }

    pub fn header(&self) {
        let mut line = "   step          NLL".to_string();
        for (shown, name) in [
            (self.run.fit.validation.is_some(), "  validation"),
            (self.run.truth.is_some(), "          KL"),
            (self.has_moments(), "  mean error"),
            (self.has_moments(), "   cov error"),
        ] {
            if shown {
                line += &format!(" {name}");
            }
        }
        say!("{line}");
    }

    fn has_moments(&self) -> bool {
        let truth = self.run.truth.as_ref();
        truth.is_some_and(|truth| truth.has_moments())
    }
}

impl Drop for Screen<'_, '_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            BAR.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }
}

impl Watch for Screen<'_, '_> {
    fn measure(&mut self, executor: &mut dyn Executor) -> Result<Known, Error> {
        match &self.run.truth {
            Some(truth) => truth.measure(executor, &self.run.fit.model.preprocessing),
            None => Ok(Known::default()),
        }
    }

    fn step(&mut self, report: &StepReport) -> Result<(), Error> {
        let (step, offsets) = (report.step, &self.run.fit.offsets);
        let nll = report.nll + offsets.of_step(step as u64);
        let truth = self.run.truth.as_ref();
        let known = Known {
            validation_nll: report
                .known
                .validation_nll
                .map(|nll| nll + offsets.validation()),
            kl: truth.map(|truth| nll - truth.entropy()),
            ..report.known
        };
        let mut line = format!("{step:>7} {nll:>12.4}");
        for (shown, number) in [
            (self.run.fit.validation.is_some(), known.validation_nll),
            (self.run.truth.is_some(), known.kl),
            (self.has_moments(), known.mean_error),
            (self.has_moments(), known.cov_error),
        ] {
            match number {
                Some(number) => line += &format!(" {number:>12.4}"),
                // Held-out rows are not scored at every logged step.
                None if shown => line += &format!(" {:>12}", "-"),
                None => {}
            }
        }
        let held_out = known.validation_nll.map(|nll| (step as f64, nll));
        self.history.validation.extend(held_out);
        let report = StepReport { step, nll, known };
        say!("{line}");
        let mut value = json!({ "event": "step" });
        if let (Value::Object(all), Ok(Value::Object(report))) =
            (&mut value, serde_json::to_value(report))
        {
            all.extend(report);
        }
        self.log.line(&value)
    }

    fn retry(&mut self, retry: &Retry) -> Result<(), Error> {
        self.history.back_to(retry.back_to);
        let peak = self.run.fit.config.train.learning_rate;
        say!(
            "step {}: {}; back to step {}, with learning rate {:.1e} (retry {} of {})",
            retry.step,
            retry.fault,
            retry.back_to,
            peak * retry.rate_factor,
            retry.number,
            retry.most
        );
        self.log.line(&json!({
            "event": "retry",
            "step": retry.step,
            "back_to": retry.back_to,
            "learning_rate_factor": retry.rate_factor,
        }))
    }

    fn is_due(&mut self) -> bool {
        self.keeper.is_due()
    }

    fn keep(&mut self, snapshot: Snapshot) {
        detail!("checkpoint of step {}", snapshot.state.step);
        if let Some(complaint) = self.keeper.keep(snapshot) {
            say!("warning: {complaint}");
        }
    }

    fn stop(&mut self) -> bool {
        interrupt::is_asked()
    }

    fn progress(&mut self, done: usize, losses: &[f64]) {
        // Close enough for a picture: each batch's own offset is work that grows with the batch.
        self.history.steps(done, losses, self.run.fit.offsets.all());
        if let Some(bar) = &self.bar {
            let all = self.history.losses.iter().map(|(_, nll)| *nll);
            *self.lines.lock().unwrap_or_else(PoisonError::into_inner) = curve::draw(all);
            if let Some((_, nll)) = self.history.losses.last() {
                let held_out = match self.history.validation.last() {
                    Some((_, nll)) => format!(", held out {nll:.4}"),
                    None => String::new(),
                };
                bar.set_message(format!("{nll:.4}{held_out}"));
            }
            bar.set_position(done as u64);
        }
    }
}
