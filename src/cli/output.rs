use std::io::{self, BufWriter, Stdout, Write};
use std::path::{Path, PathBuf};

use crate::data::{TableFormat, Values, write_table};
use crate::error::Error;
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

/// Where rows go: standard output, or a file that appears when it is whole.
pub struct Sink {
    target: Target,
    path: PathBuf,
}

enum Target {
    Stdout(BufWriter<Stdout>),
    File(OutputFile),
}

impl Sink {
    /// Opens what the flags name, before any work is done for it; as JSON Lines if that is asked for.
    pub fn open(args: &OutputArgs, json: bool) -> Result<(Self, TableFormat)> {
        let out = args.file();
        let by_name = out.map(|out| (out, TableFormat::of(out)));
        let format = match (args.format, by_name) {
            (Some(format), _) => format,
            (None, Some((_, Some(TableFormat::Npy)))) if json => {
                return Err(Failure::usage(
                    "--json writes text; name another file than .npy",
                ));
            }
            (None, _) if json => TableFormat::JsonLines,
            (None, None) => TableFormat::Csv,
            // Devices and pipes have names without an end.
            (None, Some((out, None))) if out.extension().is_none() => TableFormat::Csv,
            (None, Some((_, Some(format)))) => format,
            (None, Some((out, None))) => {
                let ends = TableFormat::ENDS.map(|(_, ends)| format!(".{}", ends[0]));
                return Err(Failure::usage(format!(
                    "--out {}: its name does not say a format: {} are known; or name one with --format",
                    out.display(),
                    ends.join(", ")
                )));
            }
        };
        let sink = match out {
            None => Sink {
                target: Target::Stdout(BufWriter::new(io::stdout())),
                path: "standard output".into(),
            },
            Some(path) => Sink {
                target: Target::File(OutputFile::create(path)?),
                path: path.to_owned(),
            },
        };
        Ok((sink, format))
    }

    /// Writes a table.
    pub fn write(
        &mut self,
        format: TableFormat,
        columns: &[String],
        rows: Option<usize>,
        parts: impl Iterator<Item = Vec<Values>>,
    ) -> Result<()> {
        let out: &mut (dyn Write + Send) = match &mut self.target {
            Target::Stdout(out) => out,
            Target::File(out) => out,
        };
        write_table(format, out, columns, rows, parts).map_err(|error| match error.kind() {
            io::ErrorKind::Unsupported => {
                Failure::usage(format!("{}: {error}", self.path.display()))
            }
            _ => Error::io(&self.path)(error).into(),
        })
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

/// A number rounded to so many decimal places, negative for tens, and to nothing where that is finer than f64 is.
pub fn rounded(value: f64, places: i32) -> f64 {
    // Powers of ten up to here, and whole numbers up to here, are exact: the quotient is the nearest number to the decimal
    // one, which is printed in no more digits.
    const LARGEST_POWER: i32 = 22;
    const LARGEST_WHOLE: f64 = 9.0e15;
    if places.abs() > LARGEST_POWER {
        return value;
    }
    let power = 10f64.powi(places.abs());
    let whole = match places >= 0 {
        true => (value * power).round(),
        false => (value / power).round(),
    };
    if whole.abs() > LARGEST_WHOLE {
        return value;
    }
    // No minus sign before a zero.
    0.0 + match places >= 0 {
        true => whole / power,
        false => whole * power,
    }
}

/// The decimal places of a number that is known to within `resolution`, and one more.
pub fn places(resolution: f64) -> i32 {
    1 - resolution.log10().floor() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_show_no_more_than_they_know() {
        let places = places(1e-7);
        assert_eq!(rounded(0.123_456_789_123, places), 0.123_456_79);
        assert_eq!(rounded(123_456.789_123, places), 123_456.789_123);
        assert_eq!(rounded(-1e-9, places).to_string(), "0");
        assert_eq!(rounded(1e300, places), 1e300);
        assert_eq!(rounded(123_456_789.0, super::places(3e4)), 123_457_000.0);
        assert_eq!(rounded(1.5, super::places(1e-300)), 1.5);
    }
}
