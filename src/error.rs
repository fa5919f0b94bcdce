use std::io;
use std::path::{Path, PathBuf};

/// What can go wrong, by whose move is next. Every message says what is wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting of the model or of training is out of range, or two settings exclude each other.
    #[error("{0}")]
    Spec(String),
    /// The data cannot be used: not numbers, not finite, the wrong shape.
    #[error("{0}")]
    Data(String),
    /// A model file cannot be read, or does not fit what it is used with.
    #[error("{0}")]
    Model(String),
    /// No GPU answers to what was asked for.
    #[error("{0}")]
    NoGpu(String),
    /// The GPU cannot hold or run this model; names the limit, what was needed and what to lower.
    #[error("{0}")]
    GpuLimit(String),
    /// The GPU failed: lost, out of memory, or an error that no user can mend.
    #[error("{0}")]
    Gpu(String),
    /// Training arrived at numbers that are not finite.
    #[error("{0}")]
    Diverged(String),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file, or what stands for one.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: an I/O error at a path.
    pub fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Error::Io { path, source }
    }
}

/// What can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// How much of a field or name a message repeats, in characters.
const LONGEST_SHOWN: usize = 40;

/// Text from a file as a message repeats it: not all of it where it is long, control characters escaped.
pub(crate) fn plain(text: &str) -> String {
    excerpt(text, LONGEST_SHOWN)
}

/// As [`plain`], of up to so many characters.
pub(crate) fn excerpt(text: &str, most: usize) -> String {
    let short: String = text.chars().take(most).collect();
    let dots = if short.len() < text.len() { "..." } else { "" };
    format!("{}{dots}", short.escape_debug())
}

/// What another library says of what it was given, which it may repeat: a terminal does nothing but show it.
pub(crate) fn told(error: &impl std::fmt::Display) -> String {
    let mut text = String::new();
    for character in error.to_string().chars() {
        match character.is_control() {
            true => text.extend(character.escape_debug()),
            false => text.push(character),
        }
    }
    text
}

/// As [`plain`], in quotes.
pub(crate) fn shown(text: &str) -> String {
    format!("\"{}\"", plain(text))
}

/// A column in a message: its number, from 1 on, and its name.
pub(crate) fn column_place(column: usize, names: &[String]) -> String {
    format!("column {} ({})", column + 1, shown(&names[column]))
}

/// Names for a message: the first few of many.
pub(crate) fn list(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().map(|name| plain(name)).collect();
    first_few(&shown)
}

/// What a message has room for of many things, as they stand there.
pub(crate) fn first_few(things: &[String]) -> String {
    const SHOWN: usize = 8;
    match things.len().saturating_sub(SHOWN) {
        0 => things.join(", "),
        more => format!("{} and {more} more", things[..SHOWN].join(", ")),
    }
}

/// The numbers of a row with the names of their columns, as far as a message has room.
pub(crate) fn described(
    names: &[String],
    values: impl Iterator<Item = impl std::fmt::Debug>,
) -> String {
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
