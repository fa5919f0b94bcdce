use couplet::config::{DataOverrides, ModelOverrides, Overrides, SettingAbout, TrainOverrides};
use couplet::fit::DeviceChoice;
use couplet::{Error, Message, Result};
use pyo3::prelude::*;
use serde_json::{Value, json};

const SECTIONS: [(&str, &[SettingAbout]); 3] = [
    ("model", ModelOverrides::ABOUT),
    ("train", TrainOverrides::ABOUT),
    ("data", DataOverrides::ABOUT),
];

/// Keys of the configuration that are arguments of `fit`.
const OF_FIT: [&str; 2] = ["given", "weights"];

/// Keys that would hide a method of an estimator or read as another argument, and what Python calls them.
const RENAMED: [(&str, &str); 2] = [("transform", "coupling"), ("columns", "kinds")];

/// What Python calls a key of the configuration.
pub fn name_of(key: &'static str) -> &'static str {
    let other = RENAMED.iter().find(|(ours, _)| *ours == key);
    other.map_or(key, |(_, name)| name)
}

/// Where to train: settings that no configuration has.
const OF_DEVICE: [&str; 4] = ["device", "adapter", "gpu_path", "fallback"];

/// Whether a key is a setting of `couplet.Flow`.
pub fn is_setting(key: &str) -> bool {
    OF_DEVICE.contains(&key) || key == "preset" || section(key).is_some()
}

fn section(key: &str) -> Option<&'static str> {
    let has_key = |about: &&[SettingAbout]| about.iter().any(|it| it.key == key);
    let found = SECTIONS.iter().find(|(_, about)| has_key(about));
    found
        .map(|(name, _)| *name)
        .filter(|_| !OF_FIT.contains(&key))
}

/// The settings of a configuration, in its order: key, what it takes, what it is.
#[pyfunction]
pub fn settings() -> Vec<(&'static str, String, &'static str)> {
    let all = SECTIONS.iter().flat_map(|(_, about)| about.iter());
    all.filter(|it| !OF_FIT.contains(&it.key))
        .map(|it| {
            let takes = it.takes.replace("true|false", "True|False");
            (name_of(it.key), takes, it.about.trim())
        })
        .collect()
}

/// Settings from a JSON object of keys and values.
pub fn parse(json: &str) -> Result<(Overrides, DeviceChoice)> {
    let values: Value = serde_json::from_str(json)
        .map_err(|error| Error::Spec(format!("settings that are not readable: {error}").into()))?;
    let (mut overrides, mut device) = (Overrides::default(), DeviceChoice::default());
    for (name, value) in values.as_object().into_iter().flatten() {
        let key = RENAMED.iter().find(|(_, other)| other == name);
        let key = key.map_or(&name[..], |(key, _)| key);
        let wrong = |text: String| {
            // A name that is static: messages are about settings that exist.
            let all = SECTIONS.iter().flat_map(|(_, about)| about.iter());
            let keys = all.map(|it| it.key).chain(OF_DEVICE).chain(["preset"]);
            let known = keys.into_iter().find(|known| *known == key);
            let shown = match value {
                Value::String(text) if text.parse::<f64>().is_err() => text.clone(),
                other => other.to_string(),
            };
            // The words of who reads it for the types of Rust.
            let text = [
                ("usize", "a whole number from 0 on"),
                ("u64", "a whole number from 0 on"),
                ("f64", "a number"),
            ]
            .iter()
            .fold(text, |text, (ours, words)| text.replace(ours, words))
            .replace("a boolean", "True or False");
            Error::Spec(Message::about(known.unwrap_or("settings"), shown, text))
        };
        let text = || value.as_str().ok_or_else(|| wrong("must be a text".into()));
        match key {
            "device" => {
                device.device = serde_json::from_value(value.clone())
                    .map_err(|_| wrong("must be auto, gpu or cpu".into()))?;
            }
            "adapter" => device.adapter = Some(text()?.into()),
            "gpu_path" => {
                device.gpu_path = serde_json::from_value(value.clone())
                    .map_err(|_| wrong("must be auto, fused or staged".into()))?;
            }
            "fallback" => match text()? {
                "cpu" => device.fallback_to_cpu = true,
                _ => return Err(wrong("must be cpu".into())),
            },
            _ => {
                let nested = match section(key) {
                    Some(section) => json!({ section: { key: value } }),
                    None => json!({ key: value }),
                };
                let one =
                    serde_json::from_value(nested).map_err(|error| wrong(error.to_string()))?;
                overrides = overrides.and(one);
            }
        }
    }
    Ok((overrides, device))
}
