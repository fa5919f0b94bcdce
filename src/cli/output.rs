use std::io::{self, BufWriter, Stdout, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::data::{TableFormat, TableHeader, Values, write_table};
use crate::error::Error;
use crate::files::OutputFile;

use super::overwrite::is_dash;
use super::{Failure, OutputArgs, Result};

/// Whether standard output was closed when the program began. Rust opens a device instead that takes everything, so that
/// nothing fails, and nothing arrives.
static IS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Says that standard output was closed when the program began, which can only be seen at program start.
pub fn stdout_is_closed() {
    IS_CLOSED.store(true, Ordering::Relaxed);
}

/// Standard output, if it can be written to.
pub fn stdout() -> Result<Stdout, Error> {
    match IS_CLOSED.load(Ordering::Relaxed) {
        false => Ok(io::stdout()),
        true => {
            let closed = io::Error::new(io::ErrorKind::NotConnected, "it is closed");
            Err(Error::io(Path::new(STDOUT))(closed))
        }
    }
}

/// For messages.
pub const STDOUT: &str = "standard output";

/// Prints to standard output. A reader that has gone away ends the command quietly.
pub fn print(text: &str) -> Result<()> {
    let mut out = stdout()?;
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    Ok(written.map_err(Error::io(Path::new(STDOUT)))?)
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
        let named = out.and_then(TableFormat::of);
        let format = match (args.format, named) {
            (Some(format), _) => format,
            (None, Some(format)) if json && !format.is_text() => {
                return Err(Failure::usage(format!(
                    "--json writes text; name another file than .{}",
                    format.ends()[0]
                )));
            }
            _ if json => TableFormat::JsonLines,
            (None, Some(format)) => format,
            // Standard output, devices and pipes have names without an end.
            (None, None) if out.and_then(Path::extension).is_none() => TableFormat::Csv,
            (None, None) => {
                let ends = TableFormat::ALL.map(|format| format!(".{}", format.ends()[0]));
                return Err(Failure::usage(format!(
                    "--out {}: its name does not say a format: {} are known; or name one with --format",
                    args.path().display(),
                    ends.join(", ")
                )));
            }
        };
        let sink = match out {
            None => Sink {
                target: Target::Stdout(BufWriter::new(stdout()?)),
                path: STDOUT.into(),
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
        header: &TableHeader,
        rows: Option<usize>,
        parts: impl Iterator<Item = Vec<Values>>,
    ) -> Result<()> {
        let out: &mut (dyn Write + Send) = match &mut self.target {
            Target::Stdout(out) => out,
            Target::File(out) => out,
        };
        write_table(format, out, header, rows, parts).map_err(|error| match error.kind() {
            io::ErrorKind::Unsupported => {
                Failure::usage(format!("{}: {error}", self.path.display()))
            }
            _ => Error::io(&self.path)(error).into(),
        })
    }

    /// Moves the file to its path.
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

    /// The output path, to be compared with the input paths.
    pub fn path(&self) -> &Path {
        self.file().unwrap_or(Path::new("/dev/stdout"))
    }
}
