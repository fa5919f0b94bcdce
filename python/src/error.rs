use couplet::{Error, Message, Setting};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

use crate::of_package;
use crate::settings::{is_setting, name_of};

/// Arguments of methods that settings have other names than.
const ARGUMENTS: [(&str, &str); 3] = [
    ("given", "given"),
    ("weights", "sample_weight"),
    ("column", "kinds"),
];

/// A setting as Python says it; those that are only the command's are left out.
pub fn argument(setting: &Setting) -> String {
    let other = ARGUMENTS.iter().find(|(key, _)| *key == setting.key);
    let name = match other {
        Some((_, name)) => *name,
        None if is_setting(setting.key) => name_of(setting.key),
        None => return String::new(),
    };
    let value = &setting.value;
    let is_plain = value.parse::<f64>().is_ok() || value.starts_with(['[', '"']);
    match &value[..] {
        "" => name.into(),
        "true" => format!("{name}=True"),
        "false" => format!("{name}=False"),
        _ if is_plain => format!("{name}={value}"),
        _ => format!("{name}={value:?}"),
    }
}

/// A message in Python's words.
pub fn words(message: &Message) -> String {
    message.to_sentence(argument)
}

/// The exception that an error is.
pub fn exception(error: Error) -> PyErr {
    let text = error.message().map_or_else(|| error.to_string(), words);
    let name = match error {
        Error::Spec(_) | Error::Data(_) | Error::Model(_) => return PyValueError::new_err(text),
        Error::Io { path, source } => {
            return match source.raw_os_error() {
                // Python makes it a FileNotFoundError, or what else it is.
                Some(code) => {
                    let words = source.to_string();
                    let words = words.split(" (os error").next().unwrap_or("").to_owned();
                    PyOSError::new_err((code, words, path.into_os_string()))
                }
                None => PyOSError::new_err(text),
            };
        }
        Error::Diverged(_) => "DivergedError",
        _ => "DeviceError",
    };
    Python::attach(|py| {
        match of_package(py, "couplet._errors", name).and_then(|kind| kind.call1((text,))) {
            Ok(exception) => PyErr::from_value(exception),
            Err(error) => error,
        }
    })
}

/// For `map_err`.
pub fn raise<T>(result: couplet::Result<T>) -> PyResult<T> {
    result.map_err(exception)
}
