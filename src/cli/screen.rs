use std::fmt;
use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write, stderr};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use serde_json::{Value, json};

use crate::error::Error;
use crate::executor::Executor;
use crate::files::AtomicFile;
use crate::train::{Known, StepReport, Watch};

use super::Result;
use super::resolve::Run;

/// The log file of a run, if one was asked for.
pub struct Log {
    file: Option<(BufWriter<File>, PathBuf)>,
}

impl Log {
    pub fn create(path: Option<&Path>) -> Result<Self> {
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
    pub fn line(&mut self, value: &Value) -> Result<(), Error> {
        let Some((file, path)) = &mut self.file else {
            return Ok(());
        };
        writeln!(file, "{value}")
            .and_then(|()| file.flush())
            .map_err(Error::io(path))
    }

    pub fn finish(self) -> Result<()> {
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
pub struct Screen<'a> {
    run: &'a Run,
    log: &'a mut Log,
    bar: Option<ProgressBar>,
    /// What standardising adds to the NLL, to have it in the units of the data.
    offset: f64,
    /// NLL of the first and of the latest logged step.
    ends: Option<(f64, f64)>,
}

impl<'a> Screen<'a> {
    pub fn new(run: &'a Run, log: &'a mut Log) -> Self {
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

    pub fn header(&self) {
        self.line(if self.run.experiment.is_some() {
            "   step          NLL           KL   mean error    cov error"
        } else {
            "   step          NLL"
        });
    }

    pub fn finish(self) {
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
            Some(experiment) => experiment.measure(executor, &self.run.model.preprocessing),
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
