use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Message, Result};
use crate::files::read_at_most;

/// How a run went, step by step, in nats and in the units of the table. Of several flows, trained one after the other, each one's
/// steps follow those of the flow before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LossCurve {
    /// Steps and their losses, each the mean of -log_prob over a step's rows, before its update.
    pub losses: Vec<(f64, f64)>,
    /// Steps and the NLL of the rows held out.
    pub validation: Vec<(f64, f64)>,
    /// The step whose parameters were kept.
    pub best: Option<f64>,
    /// The entropy of the target, where it is known: no model can do better.
    pub entropy: Option<f64>,
}

impl LossCurve {
    /// Takes in the losses of the steps that led to step `done`, each with `offset` added.
    pub fn steps(&mut self, done: usize, losses: &[f64], offset: f64) {
        let first = done - losses.len();
        let of_step = |(k, loss): (usize, &f64)| ((first + k) as f64, loss + offset);
        self.losses.extend(losses.iter().enumerate().map(of_step));
    }

    /// Forgets what came from `step` on: training went back there.
    pub fn back_to(&mut self, step: u64) {
        let is_before = |point: &(f64, f64)| point.0 < step as f64;
        self.losses.retain(is_before);
        self.validation.retain(is_before);
    }

    /// Reads the curve from a log of `couplet train`.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Data`] with the line that is not of such a log.
    pub fn read_log(path: &Path) -> Result<Self> {
        const MAX_BYTES: u64 = 1 << 30;
        let bytes = read_at_most(path, MAX_BYTES)?;
        let bad = |text: String| Error::Data(Message::new(text).in_file(path));
        let mut curve = LossCurve::default();
        // The number of the flow, where there are several, and the steps of those before.
        let (mut flow, mut before) = (None, 0.0);
        let lines = bytes.split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.is_empty());
        for (index, line) in lines.enumerate() {
            let line: Line = serde_json::from_slice(line).map_err(|error| {
                bad(format!(
                    "{}: line {}: not of a log of couplet train: {error}",
                    path.display(),
                    index + 1
                ))
            })?;
            if line.event == "flow" {
                // A run that continues says again which flow it is at.
                if line.number != flow {
                    flow = line.number;
                    before = curve.losses.last().map_or(0.0, |latest| latest.0);
                }
            } else if let Some(step) = line.back_to {
                curve.back_to(before as u64 + step);
            } else if let (Some(step), "step") = (line.step, line.event.as_str()) {
                let step = before + step;
                curve.losses.extend(line.nll.map(|nll| (step, nll)));
                let validation = line.validation_nll.map(|nll| (step, nll));
                curve.validation.extend(validation);
            }
            curve.best = line.best_step.or(curve.best);
            curve.entropy = line.entropy.or(curve.entropy);
        }
        match curve.losses.is_empty() {
            true => Err(bad(format!("{}: the log has no steps", path.display()))),
            false => Ok(curve),
        }
    }
}

/// What of a line of a log is read.
#[derive(Deserialize)]
struct Line {
    event: String,
    step: Option<f64>,
    nll: Option<f64>,
    validation_nll: Option<f64>,
    back_to: Option<u64>,
    number: Option<u64>,
    best_step: Option<f64>,
    entropy: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_have_their_numbers_and_can_be_taken_back() {
        let mut history = LossCurve::default();
        history.steps(2, &[4.0, 3.0], 0.5);
        history.steps(5, &[2.0, 1.0, 9.0], 0.5);
        history.validation.push((4.0, 1.0));
        assert_eq!(history.losses[2], (2.0, 2.5));
        history.back_to(3);
        assert_eq!(history.losses, [(0.0, 4.5), (1.0, 3.5), (2.0, 2.5)]);
        assert!(history.validation.is_empty());
    }
}
