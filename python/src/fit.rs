use std::cell::Cell;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use couplet::config::Overrides;
use couplet::fit::{DeviceChoice, Event, Report, StopSignal};
use couplet::model::Model;
use couplet::{Error, Fit, Result};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::error::{exception, raise, words};
use crate::flow::{Flow, check_fork};
use crate::settings;
use crate::table::Table;
use crate::threads::pool;

/// How long Python's signals wait, at most, for someone to look for them.
const LOOK_FOR_SIGNALS: Duration = Duration::from_millis(50);

/// What a fit says while it runs, as its caller's thread passes it on.
enum Said {
    /// Kind and text.
    Warning(&'static str, String),
    /// Steps taken, of how many at most, the mean loss of the latest, and the loss of the rows held out.
    Progress(usize, usize, f64, Option<f64>),
}

/// What is to be fitted, and where.
struct Request<'a> {
    table: &'a couplet::Table,
    overrides: Overrides,
    choice: DeviceChoice,
    start: Option<Model>,
    stop: StopSignal,
    said: Sender<Said>,
}

struct Fitted {
    flow: couplet::Flow,
    on_gpu: bool,
    best_step: usize,
    report: Option<Report>,
    error: Option<Error>,
}

/// The flow, its report, and what ended the fit early.
type Ended<'py> = (Option<Flow>, Option<Bound<'py, PyDict>>, Option<PyErr>);

/// Fits a flow to a table. `settings` are JSON; `on_event` is called with "warning", its class and its text, and with
/// "progress", the steps taken, those that there are at most, the loss of the latest and that of the rows held out, if any; if it
/// returns true, the fit ends there.
///
/// Returns the flow, its report, and the exception that ended the fit early, if one did: then the flow has the best parameters
/// so far, and is none where no step has improved them.
#[pyfunction]
#[pyo3(signature = (table, settings, *, given, weights, start, threads, on_event))]
#[allow(clippy::too_many_arguments, reason = "they are Python's keywords")]
pub fn fit<'py>(
    py: Python<'py>,
    table: &Table,
    settings: &str,
    given: Vec<String>,
    weights: Option<String>,
    start: Option<&Flow>,
    threads: Option<usize>,
    on_event: &Bound<'py, PyAny>,
) -> PyResult<Ended<'py>> {
    let (mut overrides, choice) = raise(settings::parse(settings))?;
    overrides.data.given = (!given.is_empty()).then_some(given);
    overrides.data.weights = weights;
    let pool = pool(py, threads)?;
    check_fork(&choice)?;
    let stop = StopSignal::default();
    let (said, mut heard) = channel();
    let request = Request {
        table: &table.0,
        overrides,
        choice,
        start: start.map(Flow::model).transpose()?,
        stop: stop.clone(),
        said,
    };
    let mut ended_by: Option<PyErr> = None;
    let fitted = thread::scope(|scope| {
        let worker = scope.spawn(|| pool.install(|| run(request)));
        // Signals reach Python's main thread alone, and only where it looks for them; callbacks belong to the thread that
        // called.
        loop {
            let heard = &mut heard;
            let next = py.detach(move || heard.recv_timeout(LOOK_FOR_SIGNALS));
            let passed_on = match next {
                Ok(event) if ended_by.is_none() => pass_on(on_event, event),
                Ok(_) | Err(RecvTimeoutError::Timeout) => Ok(false),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            match passed_on.and_then(|ends| py.check_signals().map(|()| ends)) {
                Ok(false) => {}
                Ok(true) => {
                    stop.request();
                }
                Err(error) => {
                    stop.request();
                    ended_by.get_or_insert(error);
                }
            }
        }
        py.detach(|| worker.join())
    });
    let fitted = match fitted {
        Ok(fitted) => fitted,
        Err(panic) => std::panic::resume_unwind(panic),
    };
    let fitted = match fitted {
        Ok(fitted) => fitted,
        Err(error) => return Err(ended_by.unwrap_or_else(|| exception(error))),
    };
    let exception = ended_by.or(fitted.error.map(exception));
    if exception.is_some() && fitted.best_step == 0 {
        return Ok((None, None, exception));
    }
    let report = fitted.report.map(|report| report_of(py, &report));
    let flow = Flow::of(fitted.flow, fitted.on_gpu, threads);
    Ok((Some(flow), report.transpose()?, exception))
}

/// Whether the fit is to end.
fn pass_on(on_event: &Bound<'_, PyAny>, event: Said) -> PyResult<bool> {
    let answer = match event {
        Said::Warning(kind, text) => on_event.call1(("warning", kind, text))?,
        Said::Progress(done, steps, nll, validation) => {
            on_event.call1(("progress", done, steps, nll, validation))?
        }
    };
    answer.is_truthy()
}

fn run(request: Request<'_>) -> Result<Fitted> {
    let said = request.said;
    // What is warned of before the first step is about the table.
    let warning = Cell::new("DataQualityWarning");
    let on_event = |event: &Event<'_>| {
        // Who listens no more has ended the fit.
        let _ = match event {
            Event::Warning(message) => said.send(Said::Warning(warning.get(), words(message))),
            Event::DeviceFailure(failure) => {
                said.send(Said::Warning("FitWarning", failure.message.clone()))
            }
            Event::Progress {
                all_done,
                all_steps,
                losses,
                validation_nll,
                ..
            } => {
                let nll = losses.iter().sum::<f64>() / losses.len() as f64;
                said.send(Said::Progress(*all_done, *all_steps, nll, *validation_nll))
            }
            _ => Ok(()),
        };
        Ok(())
    };
    let mut fit = Fit::new(request.table)
        .settings(request.overrides)
        .device(request.choice)
        .stop_signal(request.stop)
        .on_event(on_event);
    if let Some(model) = request.start {
        fit = fit.start_from(model);
    }
    let mut session = fit.open()?;
    warning.set("FitWarning");
    let mut outcome = session.train()?;
    let error = outcome.error.take();
    let report = match error {
        None => Some(session.report(&outcome)?),
        Some(_) => None,
    };
    let on_gpu = session.adapter().is_some();
    let (flow, _) = session.into_flow()?;
    Ok(Fitted {
        flow,
        on_gpu,
        best_step: outcome.best_step,
        report,
        error,
    })
}

/// A report as Python has it.
fn report_of<'py>(py: Python<'py>, report: &Report) -> PyResult<Bound<'py, PyDict>> {
    let all = PyDict::new(py);
    let show = crate::error::argument;
    all.set_item("text", report.to_text(show))?;
    all.set_item("html", couplet::report::summary(report, show))?;
    all.set_item("json", report.to_json().to_string())?;
    all.set_item(
        "settings",
        serde_json::to_string(&report.config).unwrap_or_default(),
    )?;
    all.set_item("verdict", report.verdict())?;
    all.set_item("advice", report.advice().as_ref().map(words))?;
    let warnings = report.warnings.iter().map(|it| words(&it.message));
    all.set_item("warnings", PyList::new(py, warnings)?)?;
    all.set_item("rows", report.rows)?;
    all.set_item("rows_held_out", report.validation.map_or(0, |it| it.rows))?;
    let curve = &report.loss_curve;
    for (name, points) in [("losses", &curve.losses), ("validation", &curve.validation)] {
        all.set_item(name, points.clone())?;
    }
    Ok(all)
}
