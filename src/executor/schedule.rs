use std::f64::consts::PI;

/// The learning rate over a run: a linear warm-up to the peak, then constant or down along half a cosine, and perhaps once more from the
/// peak down along another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The highest rate.
    pub peak: f64,
    /// Steps of the warm-up: step k of them has (k + 1) / warm_up of the peak.
    pub warm_up: u64,
    /// The step, counted from 0, at which the cosine reaches 0; none keeps the peak. Loshchilov and Hutter 2017, "SGDR",
    /// equation 5.
    pub cosine_end: Option<u64>,
    /// Steps of a second cosine behind the first; 0 for none.
    pub restart: u64,
}

impl Schedule {
    /// The same rate in every step.
    pub fn constant(rate: f64) -> Self {
        Schedule {
            peak: rate,
            warm_up: 0,
            cosine_end: None,
            restart: 0,
        }
    }

    /// The rate of step `step`, counted from 0.
    pub fn at(&self, step: u64) -> f64 {
        if step < self.warm_up {
            return self.peak * (step + 1) as f64 / self.warm_up as f64;
        }
        match self.cosine_end {
            None => self.peak,
            Some(end) => {
                let (begin, length) = match self.restart {
                    more if more > 0 && step >= end => (end, more),
                    _ => (self.warm_up, end.saturating_sub(self.warm_up).max(1)),
                };
                let done = ((step - begin) as f64 / length as f64).min(1.0);
                self.peak * 0.5 * (1.0 + (PI * done).cos())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_up_then_half_a_cosine() {
        let schedule = Schedule {
            peak: 2.0,
            warm_up: 4,
            cosine_end: Some(12),
            restart: 0,
        };
        let expected = [(0, 0.5), (3, 2.0), (4, 2.0), (8, 1.0), (12, 0.0), (99, 0.0)];
        for (step, rate) in expected {
            assert!((schedule.at(step) - rate).abs() < 1e-12, "step {step}");
        }
        let again = Schedule {
            restart: 20,
            ..schedule
        };
        for (step, rate) in [
            (8, 1.0),
            (11, schedule.at(11)),
            (12, 2.0),
            (22, 1.0),
            (32, 0.0),
            (99, 0.0),
        ] {
            assert!((again.at(step) - rate).abs() < 1e-12, "step {step}");
        }
        assert_eq!(Schedule::constant(0.1).at(1 << 40), 0.1);
        // A cosine that ends before the warm-up does.
        let short = Schedule {
            cosine_end: Some(2),
            ..schedule
        };
        assert_eq!((short.at(4), short.at(5)), (2.0, 0.0));
    }
}
