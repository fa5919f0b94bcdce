use couplet::config::Overrides;
use couplet::fit::{DeviceChoice, DeviceName, Event, Report, StopSignal};
use couplet::{Error, Fit};
use js_sys::{Date, Function, Uint8Array};
use serde::Deserialize;
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;

use crate::error::{option, text, thrown, words};
use crate::flow::Flow;
use crate::table::Table;

/// How often the model so far is shown, in milliseconds.
const MODEL_INTERVAL: f64 = 400.0;

/// What a fit is asked for.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct FitOptions {
    /// auto, gpu or cpu.
    device: DeviceName,
    /// The sections of a configuration, with what they set.
    settings: Overrides,
}

/// A flow, the report on how it was fitted, and why it ended early, if it did.
#[wasm_bindgen]
pub struct Fitted {
    flow: Option<Flow>,
    report: Option<String>,
    error: Option<String>,
}

#[wasm_bindgen]
impl Fitted {
    /// The flow, once; nothing where no step has improved it.
    #[wasm_bindgen(js_name = takeFlow)]
    pub fn take_flow(&mut self) -> Option<Flow> {
        self.flow.take()
    }

    /// The report, as JSON.
    #[wasm_bindgen(getter)]
    pub fn report(&self) -> Option<String> {
        self.report.clone()
    }

    /// Why it ended early.
    #[wasm_bindgen(getter)]
    pub fn error(&self) -> Option<String> {
        self.error.clone()
    }
}

/// How a table would be fitted: what is said of it, warnings, and what each column is taken for, as JSON.
#[wasm_bindgen]
pub fn inspect(table: &Table, options: &str) -> Result<String, JsError> {
    let options: FitOptions = serde_json::from_str(options)?;
    let fit = Fit::new(&table.0).settings(options.settings);
    let prepared = fit.prepare().map_err(thrown)?;
    let model = &prepared.model;
    let kinds = model
        .preprocessing
        .kinds
        .iter()
        .map(|it| it.kind.to_string());
    let notes = prepared.notes.iter().map(words);
    let warnings = prepared.warnings.iter().map(|it| words(&it.message));
    Ok(json!({
        "numbers": model.columns,
        "kinds": kinds.collect::<Vec<_>>(),
        "categories": model.categories().iter().map(|it| &it.name).collect::<Vec<_>>(),
        "notes": notes.collect::<Vec<_>>(),
        "warnings": warnings.collect::<Vec<_>>(),
        "steps": prepared.config.train.steps,
    })
    .to_string())
}

/// Fits a flow. `on_event` is called with a word and JSON for what happens, and with "turn" where others may have had their turn: it ends
/// the fit by answering true. `on_model` is called with the bytes of the model so far, after some of every `every` steps.
#[cfg_attr(feature = "jspi", wasm_bindgen(jspi))]
#[cfg_attr(not(feature = "jspi"), wasm_bindgen)]
pub fn fit(
    table: &Table,
    options: &str,
    on_event: &Function,
    on_model: &Function,
    every: usize,
) -> Result<Fitted, JsError> {
    let options: FitOptions = serde_json::from_str(options)?;
    let device = DeviceChoice {
        device: options.device,
        fallback_to_cpu: true,
        ..DeviceChoice::default()
    };
    let stop = StopSignal::default();
    let say = |word: &str, value: Value| {
        let said = on_event.call2(&JsValue::UNDEFINED, &word.into(), &value.to_string().into());
        match said {
            Ok(answer) => {
                if answer.is_truthy() {
                    stop.request();
                }
                Ok(())
            }
            Err(_) => Err(Error::Spec(
                "the function that is told of events has failed".into(),
            )),
        }
    };
    let fit = Fit::new(&table.0)
        .settings(options.settings)
        .device(device)
        .log_every(every.max(1))
        .stop_signal(stop.clone())
        .on_event(|event| {
            match event {
                Event::Warning(message) => say("warning", words(message).into())?,
                Event::Note(message) => say("note", words(message).into())?,
                Event::DeviceFailure(failure) => say("warning", failure.message.clone().into())?,
                Event::Progress {
                    all_done,
                    all_steps,
                    losses,
                    validation_nll,
                    ..
                } => {
                    let progress = json!({
                        "done": all_done,
                        "steps": all_steps,
                        "loss": losses.iter().sum::<f64>() / losses.len() as f64,
                        "heldOut": validation_nll,
                    });
                    say("progress", progress)?;
                    turn();
                    say("turn", Value::Null)?;
                }
                _ => {}
            }
            Ok(())
        });
    let mut latest = f64::NEG_INFINITY;
    let fit = fit.on_model(move |model| {
        if Date::now() - latest < MODEL_INTERVAL {
            return Ok(());
        }
        latest = Date::now();
        let bytes = Uint8Array::from(&model.to_bytes()?[..]);
        let called = on_model.call1(&JsValue::UNDEFINED, &bytes);
        let failed = |_| Error::Spec("the function that is shown the model has failed".into());
        called.map(drop).map_err(failed)
    });
    let mut session = fit.open().map_err(thrown)?;
    say("device", session.device().into()).map_err(thrown)?;
    let mut outcome = session.train().map_err(thrown)?;
    let mut error = outcome.error.take().as_ref().map(text);
    let report = match error {
        None => Some(session.report(&outcome).map_err(thrown)?),
        Some(_) => None,
    };
    let is_kept = error.is_none() || outcome.best_step > 0;
    let model = session.prepared().model.clone();
    // One of the two at a time in memory.
    drop(session);
    // Flows answer at once, wherever they were trained.
    let flow = match couplet::Flow::new(model) {
        Ok(flow) => Some(Flow(flow)).filter(|_| is_kept),
        Err(failure) => {
            error.get_or_insert(text(&failure));
            None
        }
    };
    Ok(Fitted {
        flow,
        report: report.map(|report| report_of(&report)),
        error,
    })
}

/// Gives the messages to this thread their turn, where the module can wait.
fn turn() {
    #[cfg(feature = "jspi")]
    couplet::gpu::pause(std::time::Duration::ZERO);
}

fn report_of(report: &Report) -> String {
    let warnings = report.warnings.iter().map(|it| words(&it.message));
    json!({
        "text": report.to_text(option),
        "verdict": report.verdict(),
        "advice": report.advice().as_ref().map(words),
        "warnings": warnings.collect::<Vec<_>>(),
        "losses": report.loss_curve.losses,
        "validation": report.loss_curve.validation,
        "entropy": report.loss_curve.entropy,
        "json": report.to_json(),
    })
    .to_string()
}
