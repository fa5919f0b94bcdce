use crate::error::Result;
use crate::executor::Executor;
use crate::matrix::Matrix;

/// What the comparison found at one logged step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    pub step: usize,
    /// The loss of the step on the device and on the reference, in nats.
    pub device_nll: f64,
    pub reference_nll: f64,
    /// Gradients, both at the device's parameters: the kernels alone.
    pub gradient: Difference,
    /// Parameters, after each went its own way.
    pub parameters: Difference,
}

/// How far two vectors are apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// The largest difference of two numbers.
    pub largest: f64,
    /// `|a - b|_2 / |b|_2`.
    pub relative_l2: f64,
}

impl Difference {
    fn between(a: &[f64], b: &[f64]) -> Self {
        let (mut largest, mut difference, mut scale) = (0.0f64, 0.0, 0.0);
        for (a, b) in a.iter().zip(b) {
            let gap = (a - b).abs();
            // f64::max would pass over a NaN.
            largest = if gap.is_nan() { gap } else { largest.max(gap) };
            difference += gap * gap;
            scale += b * b;
        }
        let relative_l2 = if difference == 0.0 {
            0.0
        } else {
            (difference / scale).sqrt()
        };
        Difference {
            largest,
            relative_l2,
        }
    }
}

/// One measure of the verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub what: &'static str,
    /// The largest value met.
    pub worst: f64,
    pub tolerance: f64,
    /// Why this tolerance.
    pub reason: &'static str,
}

impl Finding {
    /// A NaN does not hold.
    pub fn holds(&self) -> bool {
        self.worst <= self.tolerance
    }
}

/// Whether device and reference agree.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    pub findings: Vec<Finding>,
}

impl Verdict {
    pub fn agrees(&self) -> bool {
        self.findings.iter().all(Finding::holds)
    }
}

/// Trains a device and the f64 reference side by side. Both were started from the same parameters on the same rows.
///
/// `report` is called at step 0, each `log_every`-th step and after the last one. At the end both sample with the
/// device's parameters and the same noise, and score those samples.
///
/// # Errors
/// Those of the executors and of `report`.
pub fn compare(
    device: &mut dyn Executor,
    reference: &mut dyn Executor,
    steps: usize,
    log_every: usize,
    seed: u64,
    mut report: impl FnMut(&Comparison) -> Result<()>,
) -> Result<Verdict> {
    let (mut nll, mut gradient, mut parameters) = (0.0, 0.0, 0.0);
    let mut done = 0;
    loop {
        let at_step = at(device, reference, done)?;
        report(&at_step)?;
        let gap = (at_step.device_nll - at_step.reference_nll).abs();
        nll = larger(nll, gap / at_step.reference_nll.abs().max(1.0));
        gradient = larger(gradient, at_step.gradient.relative_l2);
        parameters = larger(parameters, at_step.parameters.relative_l2);
        if done == steps {
            break;
        }
        let count = (log_every - done % log_every).min(steps - done);
        device.train(count)?;
        reference.train(count)?;
        done += count;
    }

    let own = device.parameters()?;
    reference.set_parameters(&own)?;
    let samples = device.sample(seed, 0..1000)?;
    let expected = reference.sample(seed, 0..1000)?;
    let sample = largest_in_deviations(&samples, &expected);
    let scores = Difference::between(
        &device.log_prob(&expected)?,
        &reference.log_prob(&expected)?,
    );

    let finding = |what, worst, tolerance, reason| Finding {
        what,
        worst,
        tolerance,
        reason,
    };
    Ok(Verdict {
        findings: vec![
            finding(
                "NLL, relative to max(1, |NLL|)",
                nll,
                1e-4,
                "rounding of a mean over rows is 1e-6 at most; the rest leaves room for parameters that drift",
            ),
            finding(
                "gradient, relative L2, at the same parameters",
                gradient,
                1e-3,
                "single rounding errors are 1e-7; near an optimum the rows cancel and the sum is small",
            ),
            finding(
                "parameters, relative L2",
                parameters,
                2e-2,
                "AdamW turns the sign of a nearly zero gradient into a whole step, so rounding grows with the steps",
            ),
            finding(
                "samples, in standard deviations, at the same parameters",
                sample,
                1e-4,
                "a few hundred roundings of 1e-7, stretched by the inverse's scales",
            ),
            finding(
                "log_prob of the samples in nats, at the same parameters",
                scores.largest,
                1e-4,
                "a few hundred roundings of 1e-7 of numbers up to 100",
            ),
        ],
    })
}

fn at(device: &mut dyn Executor, reference: &mut dyn Executor, step: usize) -> Result<Comparison> {
    let (device_nll, device_gradient) = device.loss_and_gradient()?;
    let (reference_nll, _) = reference.loss_and_gradient()?;
    let (own, theirs) = (device.parameters()?, reference.parameters()?);
    reference.set_parameters(&own)?;
    let (_, gradient) = reference.loss_and_gradient()?;
    reference.set_parameters(&theirs)?;
    Ok(Comparison {
        step,
        device_nll,
        reference_nll,
        gradient: Difference::between(&device_gradient, &gradient),
        parameters: Difference::between(&own, &theirs),
    })
}

/// The larger of two numbers; a NaN wins.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        a.max(b)
    }
}

/// The largest difference, in standard deviations of its column.
fn largest_in_deviations(a: &Matrix<f64>, b: &Matrix<f64>) -> f64 {
    let mut worst = 0.0;
    for j in 0..b.columns() {
        let column = b.column(j);
        let rows = column.len() as f64;
        let mean = column.iter().sum::<f64>() / rows;
        let deviation = (column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / rows).sqrt();
        let gap = Difference::between(a.column(j), column).largest;
        worst = larger(worst, gap / deviation);
    }
    worst
}
