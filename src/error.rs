use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What can go wrong. Every message says what is wrong, where, and what to do;
/// [`Error::location`] and [`Error::remedies`] say the last two to a program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting of the model or of training is out of range, or two settings exclude each other.
    #[error("{0}")]
    Spec(Message),
    /// The data cannot be used: not numbers, not finite, the wrong shape.
    #[error("{0}")]
    Data(Message),
    /// A model file cannot be read, or does not fit what it is used with.
    #[error("{0}")]
    Model(Message),
    /// No GPU matches the request.
    #[error("{0}")]
    NoGpu(Message),
    /// The GPU cannot hold or run this model; names the limit, what was needed and what to lower.
    #[error("{0}")]
    GpuLimit(Message),
    /// The GPU failed: lost, out of memory, or an error that no user can mend.
    #[error("{0}")]
    Gpu(Message),
    /// Training reached numbers that are not finite.
    #[error("{0}")]
    Diverged(Message),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file, or what stands for one.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// What is wrong or worth knowing, where, and what would help. It is shown as one sentence.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Message {
    text: String,
    location: Box<Location>,
    remedies: Vec<Remedy>,
}

/// Where a problem is, as far as it is known. The text of the message says it too, but for the setting.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Location {
    /// The setting whose value is wrong.
    pub setting: Option<Setting>,
    /// The file.
    pub file: Option<PathBuf>,
    /// The row of the table, counted from 1.
    pub row: Option<u64>,
    /// The name of the column.
    pub column: Option<String>,
    /// The name of the tensor.
    pub tensor: Option<String>,
    /// The layer, counted from 0.
    pub layer: Option<usize>,
}

/// Something that would help.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remedy {
    /// What to do, as an imperative: "leave the column out".
    pub action: String,
    /// The setting that does it, if one does.
    pub setting: Option<Setting>,
}

/// A setting and its value. The keys are those of a configuration file, of [`TableOptions`](crate::data::TableOptions) and of
/// [`DeviceChoice`](crate::fit::DeviceChoice).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Setting {
    /// Its key.
    pub key: &'static str,
    /// Its value; empty where the user must choose one.
    pub value: String,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.is_empty() {
            true => f.write_str(self.key),
            false => write!(f, "{} = {}", self.key, self.value),
        }
    }
}

impl Remedy {
    /// Setting `key` to `value` does it.
    pub fn new(action: impl Into<String>, key: &'static str, value: impl fmt::Display) -> Self {
        Remedy {
            action: action.into(),
            setting: Some(Setting {
                key,
                value: value.to_string(),
            }),
        }
    }

    /// Setting `key` does it, to a value that the user knows.
    pub fn with(action: impl Into<String>, key: &'static str) -> Self {
        Self::new(action, key, "")
    }

    /// The CPU does it.
    pub fn on_cpu() -> Self {
        Self::new("compute on the CPU", "device", "cpu")
    }

    /// No setting does it.
    pub fn by_hand(action: impl Into<String>) -> Self {
        Remedy {
            action: action.into(),
            setting: None,
        }
    }
}

impl Message {
    /// A message without a location or a remedy beyond what its text says.
    pub fn new(text: impl Into<String>) -> Self {
        Message {
            text: text.into(),
            ..Message::default()
        }
    }

    /// A message about the value of a setting.
    pub fn about(key: &'static str, value: impl fmt::Display, text: impl Into<String>) -> Self {
        let mut message = Message::new(text);
        message.location.setting = Some(Setting {
            key,
            value: value.to_string(),
        });
        message
    }

    /// Adds something that would help.
    pub fn remedy(mut self, remedy: Remedy) -> Self {
        self.remedies.push(remedy);
        self
    }

    /// Adds several, each of which would help.
    pub fn remedies(mut self, remedies: impl IntoIterator<Item = Remedy>) -> Self {
        self.remedies.extend(remedies);
        self
    }

    /// Says which file it is about.
    pub fn in_file(mut self, path: &Path) -> Self {
        self.location.file = Some(path.to_owned());
        self
    }

    /// Says which row it is about, counted from 1.
    pub fn at_row(mut self, row: u64) -> Self {
        self.location.row = Some(row);
        self
    }

    /// Says which column it is about.
    pub fn in_column(mut self, name: &str) -> Self {
        self.location.column = Some(name.to_owned());
        self
    }

    /// Says which tensor it is about.
    pub fn in_tensor(mut self, name: &str) -> Self {
        self.location.tensor = Some(name.to_owned());
        self
    }

    /// Says which layer it is about, counted from 0.
    pub fn in_layer(mut self, layer: usize) -> Self {
        self.location.layer = Some(layer);
        self
    }

    /// Puts words before the message.
    pub fn prefixed(mut self, words: impl fmt::Display) -> Self {
        self.text = format!("{words}{}", self.text);
        self
    }

    /// Puts words after the text, before the remedies.
    pub fn followed_by(mut self, words: impl fmt::Display) -> Self {
        self.text = format!("{}{words}", self.text);
        self
    }

    /// The message as a sentence, with settings as `show` has them; what it has no words for is left out.
    pub fn to_sentence(&self, show: impl Fn(&Setting) -> String) -> String {
        let shown = |setting: &Setting| Some(show(setting)).filter(|words| !words.is_empty());
        let mut sentence = match self.location.setting.as_ref().and_then(shown) {
            Some(setting) => format!("{setting}: {}", self.text),
            None => self.text.clone(),
        };
        for (index, remedy) in self.remedies.iter().enumerate() {
            sentence += if index == 0 { "; " } else { ", or " };
            sentence += &remedy.action;
            if let Some(setting) = remedy.setting.as_ref().and_then(shown) {
                sentence += &format!(" ({setting})");
            }
        }
        sentence
    }
}

impl From<String> for Message {
    fn from(message: String) -> Self {
        Message::new(message)
    }
}

impl From<&str> for Message {
    fn from(message: &str) -> Self {
        Message::new(message)
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_sentence(Setting::to_string))
    }
}

/// Constructors that take what becomes a [`Message`].
macro_rules! constructors {
    ($($name:ident $kind:ident;)*) => {
        impl Error {
            $(pub(crate) fn $name(message: impl Into<Message>) -> Self {
                Error::$kind(message.into())
            })*
        }
    };
}

constructors! {
    spec Spec;
    data Data;
    model Model;
    no_gpu NoGpu;
    gpu_limit GpuLimit;
    gpu Gpu;
}

impl Error {
    /// For `map_err`: an I/O error at a path.
    pub fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Error::Io { path, source }
    }

    /// What is wrong, where, and what would help; none for an error of input and output.
    pub fn message(&self) -> Option<&Message> {
        match self {
            Error::Spec(message)
            | Error::Data(message)
            | Error::Model(message)
            | Error::NoGpu(message)
            | Error::GpuLimit(message)
            | Error::Gpu(message)
            | Error::Diverged(message) => Some(message),
            Error::Io { .. } => None,
        }
    }

    /// What is wrong, without what would help.
    pub fn text(&self) -> String {
        match self.message() {
            Some(message) => message.text.clone(),
            None => self.to_string(),
        }
    }

    /// Adds something that would help; to an error of input and output nothing.
    pub fn with_remedy(mut self, remedy: Remedy) -> Self {
        match &mut self {
            Error::Spec(message)
            | Error::Data(message)
            | Error::Model(message)
            | Error::NoGpu(message)
            | Error::GpuLimit(message)
            | Error::Gpu(message)
            | Error::Diverged(message) => message.remedies.push(remedy),
            Error::Io { .. } => {}
        }
        self
    }

    /// Where it is.
    pub fn location(&self) -> Location {
        match self {
            Error::Io { path, .. } => Location {
                file: Some(path.clone()),
                ..Location::default()
            },
            _ => self
                .message()
                .map_or_else(Location::default, |it| (*it.location).clone()),
        }
    }

    /// What would help.
    pub fn remedies(&self) -> &[Remedy] {
        self.message().map_or(&[], |message| &message.remedies)
    }
}

/// What can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// How much of a field or name a message repeats, in characters.
const LONGEST_SHOWN: usize = 40;

/// Text from a file as a message repeats it: not all of it where it is long, control characters escaped.
pub(crate) fn truncate_escaped(text: &str) -> String {
    excerpt(text, LONGEST_SHOWN)
}

/// As [`truncate_escaped`], of up to so many characters.
pub(crate) fn excerpt(text: &str, most: usize) -> String {
    let short: String = text.chars().take(most).collect();
    let dots = if short.len() < text.len() { "..." } else { "" };
    format!("{}{dots}", short.escape_debug())
}

/// What another library says of what it was given, which it may repeat: a terminal does nothing but show it.
pub(crate) fn escape_control(error: &impl std::fmt::Display) -> String {
    let mut text = String::new();
    for character in error.to_string().chars() {
        match character.is_control() {
            true => text.extend(character.escape_debug()),
            false => text.push(character),
        }
    }
    text
}

/// As [`truncate_escaped`], in quotes.
pub(crate) fn quote(text: &str) -> String {
    format!("\"{}\"", truncate_escaped(text))
}

/// A column in a message: its number, from 1 on, and its name.
pub(crate) fn column_label(column: usize, names: &[String]) -> String {
    format!("column {} ({})", column + 1, quote(&names[column]))
}

/// Names for a message: the first few of many.
pub(crate) fn list(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().map(|name| truncate_escaped(name)).collect();
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
pub(crate) fn format_row(
    names: &[String],
    values: impl Iterator<Item = impl std::fmt::Debug>,
) -> String {
    const SHOWN: usize = 8;
    let mut shown: Vec<String> = names
        .iter()
        .zip(values)
        .take(SHOWN)
        .map(|(name, value)| format!("{} = {value:?}", truncate_escaped(name)))
        .collect();
    if names.len() > SHOWN {
        shown.push("...".into());
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_without_words_are_left_out_of_a_sentence() {
        let message = Message::about("device", "tpu", "not known")
            .remedy(Remedy::with("leave the column out", "exclude"))
            .remedy(Remedy::on_cpu());
        let hidden = |setting: &Setting| match setting.key {
            "exclude" => String::new(),
            _ => setting.to_string(),
        };
        assert_eq!(
            message.to_sentence(hidden),
            "device = tpu: not known; leave the column out, or compute on the CPU (device = cpu)"
        );
        assert!(
            message
                .to_sentence(|_| String::new())
                .starts_with("not known")
        );
    }
}
