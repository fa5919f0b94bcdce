//! Prints the records of the `log` crate on standard error, above the progress bar.

use std::fmt;
use std::io::{Write, stderr};
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;
use log::{Level, LevelFilter, Log, Metadata, Record};

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// Warnings and errors alone.
    Quiet,
    Usual,
    /// Settings, memory, checkpoints and speed too.
    Verbose,
}

/// Sends records to standard error from now on. Of a program that calls this twice, the level is the later one.
pub fn listen(verbosity: Verbosity) {
    // Another logger is in place where this is a part of a program that has its own.
    let _ = log::set_logger(&Logger);
    log::set_max_level(match verbosity {
        Verbosity::Quiet => LevelFilter::Warn,
        Verbosity::Usual => LevelFilter::Info,
        Verbosity::Verbose => LevelFilter::Debug,
    });
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        target == "couplet" || target.starts_with("couplet::")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = record.args();
        // The command's own lines stand as they are; what the library has to say is a note between them.
        let is_ours = record.target().starts_with("couplet::cli");
        match record.level() {
            Level::Error => write_line(format_args!("error: {text}")),
            Level::Warn => write_line(format_args!("warning: {text}")),
            Level::Info if !is_ours => write_line(format_args!("note: {text}")),
            _ => write_line(*text),
        }
    }

    fn flush(&self) {}
}

/// The progress bar on the terminal, if there is one.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Puts lines above this bar from now on, or above none.
pub fn set_bar(bar: Option<ProgressBar>) {
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = bar;
}

/// A message that cannot be written must not end the run.
fn write_line(text: fmt::Arguments<'_>) {
    let write = || {
        let _ = writeln!(stderr(), "{text}");
    };
    match &*BAR.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}
