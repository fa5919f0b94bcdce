/// How a run went, step by step, in nats and in the units of the table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Steps and their losses, each the mean of -log_prob over a step's rows, before its update.
    pub losses: Vec<(f64, f64)>,
    /// Steps and the NLL of the rows held out.
    pub validation: Vec<(f64, f64)>,
    /// The step whose parameters were kept.
    pub best: Option<f64>,
    /// The entropy of the target, where it is known: no model can do better.
    pub entropy: Option<f64>,
}

impl History {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_have_their_numbers_and_can_be_taken_back() {
        let mut history = History::default();
        history.steps(2, &[4.0, 3.0], 0.5);
        history.steps(5, &[2.0, 1.0, 9.0], 0.5);
        history.validation.push((4.0, 1.0));
        assert_eq!(history.losses[2], (2.0, 2.5));
        history.back_to(3);
        assert_eq!(history.losses, [(0.0, 4.5), (1.0, 3.5), (2.0, 2.5)]);
        assert!(history.validation.is_empty());
    }
}
