use couplet::{Error, Message, Setting};
use wasm_bindgen::JsError;

/// A setting as the options of a fit have it.
pub fn option(setting: &Setting) -> String {
    match &setting.value[..] {
        "" => setting.key.into(),
        value => format!("{}: {value}", setting.key),
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
