use std::fmt::Debug;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, plain};
use crate::files::OutputFile;

use super::guard::is_dash;
use super::{Failure, OutputArgs, Result};

/// Prints to standard output. A reader that has gone away ends the command quietly.
pub fn print(text: &str) -> Result<()> {
    let failed = Error::io(Path::new("standard output"));
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| failed(error).into())
}

/// How rows are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Csv,
    JsonLines,
    Npy,
}

/// Where rows go: standard output, or a file that appears when it is whole.
pub struct Sink {
    target: Target,
    path: PathBuf,
}

enum Target {
    Stdout(BufWriter<StdoutLock<'static>>),
    File(OutputFile),
}

impl Sink {
    /// Opens what the flags name, before any work is done for it.
    pub fn open(args: &OutputArgs) -> Result<(Self, Format)> {
        let out = args.file();
        let format = match out.and_then(Path::extension) {
            Some(extension) if args.json && extension.eq_ignore_ascii_case("npy") => {
                return Err(Failure::usage(
                    "--json writes text; name another file than .npy",
                ));
            }
            _ if args.json => Format::JsonLines,
            None => Format::Csv,
            Some(extension) if extension.eq_ignore_ascii_case("csv") => Format::Csv,
            Some(extension) if extension.eq_ignore_ascii_case("npy") => Format::Npy,
            Some(extension) => {
                return Err(Failure::usage(format!(
                    "--out: cannot write .{} files; name a .csv or .npy file, or add --json",
                    extension.to_string_lossy()
                )));
            }
        };
        let sink = match out {
            None => Sink {
                target: Target::Stdout(BufWriter::new(io::stdout().lock())),
                path: "standard output".into(),
            },
            Some(path) => Sink {
                target: Target::File(OutputFile::create(path)?),
                path: path.to_owned(),
            },
        };
        Ok((sink, format))
    }

    /// Runs a step that writes.
    pub fn write(&mut self, step: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        let result = match &mut self.target {
            Target::Stdout(out) => step(out),
            Target::File(out) => step(out),
        };
        result.map_err(|error| Error::io(&self.path)(error).into())
    }

    /// The writer itself.
    pub fn writer(&mut self) -> &mut dyn Write {
        match &mut self.target {
            Target::Stdout(out) => out,
            Target::File(out) => out,
        }
    }

    /// An error of the writer, as the command reports it.
    pub fn failed(&self, error: io::Error) -> Failure {
        Error::io(&self.path)(error).into()
    }

    /// Puts the file in its place.
    pub fn finish(self) -> Result<()> {
        match self.target {
            Target::Stdout(mut out) => out
                .flush()
                .map_err(|error| Error::io(&self.path)(error).into()),
            Target::File(out) => Ok(out.commit()?),
        }
    }
}

impl OutputArgs {
    /// The file to write, if it is not standard output.
    pub fn file(&self) -> Option<&Path> {
        self.out.as_deref().filter(|path| !is_dash(path))
    }

    /// The path by which what is written can be told from what is read.
    pub fn path(&self) -> &Path {
        self.file().unwrap_or(Path::new("/dev/stdout"))
    }
}

/// A name or value as a CSV field.
pub fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// The numbers of a row with the names of their columns, as far as a message has room.
pub fn described(names: &[String], values: impl Iterator<Item = impl Debug>) -> String {
    const SHOWN: usize = 8;
    let mut shown: Vec<String> = names
        .iter()
        .zip(values)
        .take(SHOWN)
        .map(|(name, value)| format!("{} = {value:?}", plain(name)))
        .collect();
    if names.len() > SHOWN {
        shown.push("...".into());
    }
    shown.join(", ")
}

/// A number with the digits that it deserves: none finer than `resolution`.
pub fn rounded(value: f64, resolution: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let digits = (value.abs() / resolution).log10().ceil().clamp(0.0, 16.0) as usize;
    // The shortest number with these digits; formatting and parsing are exact where arithmetic is not.
    format!("{value:.digits$e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_show_no_more_than_they_know() {
        assert_eq!(rounded(0.123_456_789_123, 1e-7), 0.123_456_79);
        assert_eq!(rounded(123_456.789_123, 1e-7), 123_456.789_123);
        assert_eq!(rounded(-1e-9, 1e-7), -1e-9);
        assert_eq!(csv_field("a,\"b\""), "\"a,\"\"b\"\"\"");
    }
}
