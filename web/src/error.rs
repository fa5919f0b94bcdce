use couplet::{Error, Message, Setting};
use wasm_bindgen::JsError;

/// A setting as the options of a fit or of a table have it.
pub fn option(setting: &Setting) -> String {
    let (key, value) = (setting.key, &setting.value[..]);
    match (key, value.split_once('=')) {
        ("column", Some((name, kind))) => format!("kinds: {{ {name:?}: {kind:?} }}"),
        ("given" | "exclude" | "columns", _) if !value.is_empty() => format!("{key}: [{value:?}]"),
        ("missing", _) => "dropMissing: true".into(),
        _ if value.is_empty() => key.into(),
        _ => format!("{key}: {value}"),
    }
}

/// A message in JavaScript's words.
pub fn words(message: &Message) -> String {
    message.to_sentence(option)
}

/// The error that is thrown.
pub fn thrown(error: Error) -> JsError {
    JsError::new(&text(&error))
}

pub fn text(error: &Error) -> String {
    error.message().map_or_else(|| error.to_string(), words)
}
