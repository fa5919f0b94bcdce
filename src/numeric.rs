//! Small functions of numbers that several modules share.

/// The index of the weight that a number from 0 to 1 falls to, of weights that add up to 1; the last, where rounding leaves it none.
pub(crate) fn index_at(weights: impl ExactSizeIterator<Item = f64>, uniform: f64) -> usize {
    let (mut sum, last) = (0.0, weights.len() - 1);
    let mut weights = weights;
    let found = weights.position(|weight| {
        sum += weight;
        uniform < sum
    });
    found.unwrap_or(last)
}

/// log(sum of exp); minus infinity where no term is larger.
pub(crate) fn log_sum_exp(terms: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = terms.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    largest + terms.map(|term| (term - largest).exp()).sum::<f64>().ln()
}

/// A root of an increasing function between two numbers, by inverse quadratic interpolation where three values allow it and by halving
/// elsewhere (Chandrupatla 1997, "A new hybrid quadratic/bisection algorithm for finding the zero of a nonlinear function without
/// using derivatives").
#[derive(Clone, Debug)]
pub(crate) struct Root {
    /// The number that was looked at last, and the function there.
    last: (f64, Option<f64>),
    /// The other end of what holds the root.
    end: (f64, Option<f64>),
    tolerance: f64,
    /// Where between the two to look next, as a fraction; none once the root is known.
    part: Option<f64>,
}

impl Root {
    /// Between these two, to within `tolerance`.
    pub fn between(low: f64, high: f64, tolerance: f64) -> Self {
        let is_open = (high - low).is_finite() && high - low > tolerance;
        Root {
            last: (low, None),
            end: (high, None),
            tolerance,
            part: is_open.then_some(0.5),
        }
    }

    /// Where to look next; none once the root is known.
    pub fn next(&self) -> Option<f64> {
        let part = self.part?;
        let ends = [self.last, self.end];
        let unseen = ends.iter().find(|(_, value)| value.is_none());
        let between = self.last.0 + part * (self.end.0 - self.last.0);
        Some(unseen.map_or(between, |(x, _)| *x))
    }

    /// Takes in what the function is at a number.
    pub fn note(&mut self, x: f64, value: f64) {
        if self.last.1.is_none() {
            self.last.1 = Some(value);
            // Rounding may leave it next to the end.
            if value >= 0.0 {
                self.part = None;
            }
            return;
        }
        let (Some(at_last), Some(at_end)) = (self.last.1, self.end.1) else {
            self.end.1 = Some(value);
            if value <= 0.0 {
                (self.last, self.part) = (self.end, None);
            }
            return;
        };
        // The third of the numbers is the one that is left out.
        let (end, third) = match (value < 0.0) == (at_last < 0.0) {
            true => ((self.end.0, at_end), (self.last.0, at_last)),
            false => ((self.last.0, at_last), (self.end.0, at_end)),
        };
        (self.last, self.end) = ((x, Some(value)), (end.0, Some(end.1)));
        let least = 0.5 * self.tolerance / (end.0 - x).abs();
        self.part = (value != 0.0 && least < 0.5).then(|| {
            interpolated((x, value), end, third)
                .unwrap_or(0.5)
                .clamp(least, 1.0 - least)
        });
    }

    /// The root, as far as it is known: the last number that was looked at.
    pub fn root(&self) -> f64 {
        self.last.0
    }
}

/// Where the inverse parabola through three points has its root, as the fraction of the way from `a` to `b`, where it can be trusted.
fn interpolated(a: (f64, f64), b: (f64, f64), c: (f64, f64)) -> Option<f64> {
    let xi = (a.0 - b.0) / (c.0 - b.0);
    let phi = (a.1 - b.1) / (c.1 - b.1);
    let is_trusted = phi * phi < xi && (1.0 - phi).powi(2) < 1.0 - xi;
    is_trusted.then(|| {
        a.1 / (b.1 - a.1) * c.1 / (b.1 - c.1)
            + (c.0 - a.0) / (b.0 - a.0) * a.1 / (c.1 - a.1) * b.1 / (c.1 - b.1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The root of a function, and how often it was looked at.
    fn found(low: f64, high: f64, of: impl Fn(f64) -> f64) -> (f64, usize) {
        let mut root = Root::between(low, high, 1e-12);
        let mut looks = 0;
        while let Some(x) = root.next() {
            root.note(x, of(x));
            looks += 1;
        }
        (root.root(), looks)
    }

    #[test]
    fn roots_of_smooth_functions_take_few_looks_and_others_a_bounded_number() {
        for root in [-0.9, 0.0, 0.3, 0.999] {
            let (x, looks) = found(-1.0, 1.0, |x| x.exp() - f64::exp(root));
            assert!((x - root).abs() < 1e-11 && looks < 14, "{root} {x} {looks}");
            let (x, looks) = found(-1.0, 1.0, |x| if x < root { -1e-9 } else { 1.0 });
            // Forty-one halvings, and the ends.
            assert!(
                (x - root).abs() < 1e-11 && looks <= 44,
                "{root} {x} {looks}"
            );
            let (x, looks) = found(-1.0, 1.0, |x| (x - root).powi(9));
            assert!(
                (x - root).abs() < 1e-11 && looks <= 44,
                "{root} {x} {looks}"
            );
        }
        // At an end, beyond it, and where there is nothing between.
        assert_eq!(found(2.0, 3.0, |x| x - 2.0).0, 2.0);
        assert_eq!(found(2.0, 3.0, |x| x - 4.0).0, 3.0);
        assert_eq!(found(2.0, 2.0, |x| x), (2.0, 0));
        assert_eq!(found(f64::NEG_INFINITY, 2.0, |x| x).1, 0);
    }
}
