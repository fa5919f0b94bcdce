use serde_json::{Value, json};

use crate::error::{Message, Result};
use crate::executor::DeviceFailure;
use crate::model::Model;
use crate::train::{Retry, StepReport};

/// What happens in a fit, in nats and in the units of the table.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Something that the user should know, and may have to act on.
    Warning(&'a Message),
    /// How something was taken that nothing has said.
    Note(&'a Message),
    /// Training continues from a checkpoint.
    Resumed {
        /// The step that comes next.
        step: u64,
    },
    /// The next of several flows is trained, from step 0 on unless training continues from a checkpoint.
    Flow {
        /// Its number, from 1 on.
        number: usize,
        /// How many there are.
        of: usize,
    },
    /// Steps were taken.
    Progress {
        /// How many of the flow that is trained.
        done: usize,
        /// How many there are of it at most: those of an extension are among them once it has begun.
        steps: usize,
        /// How many of all flows together.
        all_done: usize,
        /// How many there are of all flows at most.
        all_steps: usize,
        /// The losses of the latest ones, each the NLL of its batch. To save work, all have what preprocessing adds on average
        /// over all rows.
        losses: &'a [f64],
        /// The latest NLL of the rows that are held out from the flow, if any are.
        validation_nll: Option<f64>,
    },
    /// A logged step, with what is measured there.
    Step(&'a StepReport),
    /// Training goes back, with a lower learning rate.
    Retry(&'a Retry),
    /// A checkpoint is written.
    Checkpoint {
        /// The step that comes next.
        step: u64,
    },
    /// The device failed; it is opened again, or given up.
    DeviceFailure(&'a DeviceFailure),
}

impl Event<'_> {
    /// The line of a log that records it, if one does.
    pub fn log_line(&self) -> Option<Value> {
        match *self {
            Event::Resumed { step } => Some(json!({ "event": "resumed", "step": step })),
            Event::Flow { number, of } => {
                Some(json!({ "event": "flow", "number": number, "of": of }))
            }
            Event::Step(report) => Some(report.log_line()),
            Event::Retry(retry) => Some(json!({
                "event": "retry",
                "step": retry.step,
                "back_to": retry.back_to,
                "learning_rate_factor": retry.rate_factor,
            })),
            Event::DeviceFailure(failure) => {
                let (step, back_to) = failure.steps.unzip();
                Some(json!({
                    "event": "device_failed",
                    "step": step,
                    "back_to": back_to,
                    "message": failure.message,
                }))
            }
            Event::Warning(_)
            | Event::Note(_)
            | Event::Progress { .. }
            | Event::Checkpoint { .. } => None,
        }
    }
}

/// Called with the model so far. An error ends the fit, with the best parameters so far.
pub type ModelHandler<'a> = dyn FnMut(&Model) -> Result<()> + 'a;

/// Called with each event. An error ends the fit, with the best parameters so far.
pub type EventHandler<'a> = dyn FnMut(&Event<'_>) -> Result<()> + 'a;
