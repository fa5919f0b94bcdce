/// An open interval, and the increasing map from it to the real numbers. With t the distance from the only end, y = ln(t), or
/// t + s ln(1 - exp(-t / s)), the inverse of a softplus, which is a straight line far from the end; below an upper end both with their
/// signs changed. Between two ends y is the logit of (v - low) / (high - low).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Interval {
    /// The lower end, if there is one.
    pub low: Option<f64>,
    /// The upper end, if there is one.
    pub high: Option<f64>,
    /// s, the distance from the only end at which the line becomes straight; none for a logarithm.
    pub scale: Option<f64>,
}

/// Beyond it the numbers that come out would not be finite.
const FARTHEST: f64 = 700.0;

impl Interval {
    /// The real number that stands for a number of the interval.
    pub fn to_real(self, v: f64) -> f64 {
        let from_end = |t: f64| match self.scale {
            None => t.ln(),
            Some(s) => t + s * (-(-t / s).exp_m1()).ln(),
        };
        match (self.low, self.high) {
            (None, None) => v,
            (Some(low), None) => from_end(v - low),
            (None, Some(high)) => -from_end(high - v),
            (Some(low), Some(high)) => (v - low).ln() - (high - v).ln(),
        }
    }

    /// The number of the interval that a real number stands for.
    pub fn from_real(self, y: f64) -> f64 {
        let distance = |y: f64| match self.scale {
            None => y.clamp(-FARTHEST, FARTHEST).exp(),
            Some(s) => s * softplus((y / s).max(-FARTHEST)),
        };
        match (self.low, self.high) {
            (None, None) => y,
            (Some(low), None) => low + distance(y),
            (None, Some(high)) => high - distance(-y),
            (Some(low), Some(high)) => {
                let part = (-y.abs().min(FARTHEST)).exp();
                // From the nearer end, so that no digits are lost.
                let off = (high - low) * part / (1.0 + part);
                if y < 0.0 { low + off } else { high - off }
            }
        }
    }

    /// ln |dy/dv|, from y.
    pub fn log_slope(self, y: f64) -> f64 {
        let from_end = |y: f64| match self.scale {
            None => -y,
            Some(s) => softplus(-y / s),
        };
        match (self.low, self.high) {
            (None, None) => 0.0,
            (Some(_), None) => from_end(y),
            (None, Some(_)) => from_end(-y),
            // dv/dy = (high - low) p (1 - p), p the logistic function of y.
            (Some(low), Some(high)) => y.abs() + 2.0 * (-y.abs()).exp().ln_1p() - (high - low).ln(),
        }
    }
}

/// ln(1 + exp(u)).
fn softplus(u: f64) -> f64 {
    u.max(0.0) + (-u.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back_and_slopes_are_those_of_the_map() {
        let (low, high) = (Some(-1.0), Some(3.0));
        let interval = |low, high, scale| Interval { low, high, scale };
        for interval in [
            Interval::default(),
            interval(low, None, None),
            interval(low, None, Some(0.5)),
            interval(None, high, None),
            interval(None, high, Some(2.0)),
            interval(low, high, None),
        ] {
            let mut last = f64::NEG_INFINITY;
            for v in [-0.999, -0.5, 0.0, 1.0, 2.2, 2.999] {
                let y = interval.to_real(v);
                assert!(y > last, "{interval:?} {v}");
                last = y;
                assert!((interval.from_real(y) - v).abs() < 1e-12 * (1.0 + v.abs()));
                let step = 1e-4 * (v + 1.0).min(3.0 - v);
                let rise = interval.to_real(v + step) - interval.to_real(v - step);
                let slope = (rise / (2.0 * step)).ln();
                assert!(
                    (interval.log_slope(y) - slope).abs() < 1e-6,
                    "{interval:?} {v}"
                );
            }
            for y in [-1e9, 1e9] {
                let v = interval.from_real(y);
                assert!(v.is_finite() && v >= interval.low.unwrap_or(v));
                assert!(v <= interval.high.unwrap_or(v));
            }
        }
    }
}
