use std::fmt;

use serde_json::{Value, json};

use crate::error::{Error, Message, Remedy, Result};
use crate::executor::{Executor, Fault};
use crate::flow::{Plan, Transform};
use crate::matrix::Matrix;

/// What the comparison found at one logged step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// The step, from 0.
    pub step: usize,
    /// The loss of the step on the device and on the reference, in nats.
    pub device_nll: f64,
    /// The reference's, at the same parameters.
    pub reference_nll: f64,
    /// Gradients, both at the device's parameters: the kernels alone.
    pub gradient: Difference,
    /// Parameters, after each went its own way since they were last made equal.
    pub parameters: Difference,
}

impl Comparison {
    /// The captions of the columns.
    pub const HEADER: &str =
        "   step   device NLL  CPU f64 NLL gradient: max    rel. L2 parameters: max    rel. L2";

    /// The line of a log that records it.
    pub fn log_line(&self) -> Value {
        json!({
            "event": "step",
            "step": self.step,
            "nll": self.device_nll,
            "reference_nll": self.reference_nll,
            "gradient_largest": self.gradient.largest,
            "gradient_relative_l2": self.gradient.relative_l2(),
            "parameters_largest": self.parameters.largest,
            "parameters_relative_l2": self.parameters.relative_l2(),
        })
    }
}

/// A row of a table.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>7} {:>12.6} {:>12.6} {:>13.2e} {:>10.2e} {:>15.2e} {:>10.2e}",
            self.step,
            self.device_nll,
            self.reference_nll,
            self.gradient.largest,
            self.gradient.relative_l2(),
            self.parameters.largest,
            self.parameters.relative_l2()
        )
    }
}

/// How far two vectors are apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// The largest difference of two numbers.
    pub largest: f64,
    /// `|a - b|_2`.
    pub l2: f64,
    /// `|b|_2`.
    pub scale: f64,
}

impl Difference {
    fn between(a: &[f64], b: &[f64]) -> Self {
        let (mut largest, mut difference, mut scale) = (0.0f64, 0.0, 0.0);
        for (a, b) in a.iter().zip(b) {
            let gap = (a - b).abs();
            largest = larger(largest, gap);
            difference += gap * gap;
            scale += b * b;
        }
        Difference {
            largest,
            l2: difference.sqrt(),
            scale: scale.sqrt(),
        }
    }

    /// `|a - b|_2 / |b|_2`; 0 where a and b are equal.
    pub fn relative_l2(&self) -> f64 {
        if self.l2 == 0.0 {
            0.0
        } else {
            self.l2 / self.scale
        }
    }
}

/// One measure of the verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What was compared.
    pub what: &'static str,
    /// The largest value met.
    pub worst: f64,
    /// The largest difference allowed.
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
pub struct Agreement {
    /// Steps taken.
    pub steps: usize,
    /// One for each thing that was compared.
    pub findings: Vec<Finding>,
}

/// A line or two for each finding, then the verdict.
impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "largest differences over the whole run")?;
        for finding in &self.findings {
            let result = if finding.holds() { "ok  " } else { "FAIL" };
            writeln!(
                f,
                "{result} {:.2e} of {:.0e} allowed: {}\n     ({})",
                finding.worst, finding.tolerance, finding.what, finding.reason
            )?;
        }
        let verdict = if self.agrees() { "agree" } else { "DISAGREE" };
        write!(f, "verdict: the device and the CPU in f64 {verdict}")
    }
}

impl Agreement {
    /// Whether all of them hold.
    pub fn agrees(&self) -> bool {
        self.findings.iter().all(Finding::holds)
    }
}

/// How far a correct device may be from the reference.
struct Limits {
    /// Of the NLL.
    nll: f64,
    /// Of the gradient at any step.
    gradient: f64,
    /// Of samples and scores.
    outputs: f64,
}

impl Limits {
    fn of(transform: Transform) -> Self {
        match transform.is_piecewise() {
            // The derivative of a spline's log-derivative jumps at its knots: a row that rounding puts on the other side of one has
            // another gradient. Few rows do; where all rows' gradients cancel, one of them is a large part of what is left.
            true => Limits {
                nll: 1e-3,
                gradient: 0.1,
                outputs: 1e-3,
            },
            false => Limits {
                nll: 1e-4,
                gradient: 1e-3,
                outputs: 1e-4,
            },
        }
    }
}

/// Steps that device and reference train apart before they are compared and the reference is put where the device is.
/// Rounding differences grow exponentially in training (minibatches, relu: ten-thousandfold in fifty steps was met, where
/// the loss spikes), so two correct runs part for good; over this interval they must not. Splines part sooner.
pub fn sync_interval(plan: &Plan) -> usize {
    match plan.spec.transform.is_piecewise() {
        true => 1,
        false => 10,
    }
}

/// The length of a comparison, and what is sampled at its end.
#[derive(Clone, Debug, PartialEq)]
pub struct ComparisonSettings {
    /// Steps to take.
    pub steps: usize,
    /// Steps between two reports.
    pub log_every: usize,
    /// Seeds the samples.
    pub seed: u64,
    /// A row of context, as the flow sees it, for each sample; without columns where the flow takes none.
    pub context: Matrix<f64>,
}

/// Trains a device and the f64 reference side by side. Both were started from the same parameters on the same rows.
///
/// They are compared at step 0, at each logged step, at most [`sync_interval`] steps apart, and after the last one; then the
/// reference takes over the device's parameters and moments. `report` is called at step 0, each `log_every`-th step and
/// after the last one, which is the next one once `stop` says so. At the end both sample with
/// the device's parameters and the same noise, a row for each of `context`, and score those samples.
///
/// # Errors
/// [`Error::Spec`] for a `log_every` of 0; those of the executors and of `report`. The reference then holds what the device
/// had at the last comparison, or some steps of its own from there.
pub fn compare(
    device: &mut dyn Executor,
    reference: &mut dyn Executor,
    settings: &ComparisonSettings,
    mut report: impl FnMut(&Comparison) -> Result<()>,
    stop: impl Fn() -> bool,
) -> Result<Agreement> {
    let ComparisonSettings {
        steps,
        log_every,
        seed,
        ref context,
    } = *settings;
    if log_every == 0 {
        return Err(Error::spec("log_every = 0: must be 1 step at least"));
    }
    let limits = Limits::of(reference.plan().spec.transform);
    let sync_interval = sync_interval(reference.plan());
    let (mut nll, mut gradient, mut parameters) = (0.0, 0.0, 0.0);
    let mut gradients = Vec::new();
    let mut done = 0;
    loop {
        let at_step = at(device, reference, done)?;
        refuse(done, at_step.device_nll, None)?;
        let last = done == steps || stop();
        if done.is_multiple_of(log_every) || last {
            report(&at_step)?;
        }
        let gap = (at_step.device_nll - at_step.reference_nll).abs();
        nll = larger(nll, gap / at_step.reference_nll.abs().max(1.0));
        gradients.push(at_step.gradient.l2 / at_step.gradient.scale.max(0.1));
        gradient = larger(gradient, gradients[gradients.len() - 1]);
        parameters = larger(parameters, at_step.parameters.relative_l2());
        if last {
            break;
        }
        let count = (log_every - done % log_every)
            .min(sync_interval)
            .min(steps - done);
        let taken = device.train(count)?;
        let last = taken.losses.len() - 1;
        refuse(done + last, taken.losses[last], taken.fault)?;
        reference.train(count)?;
        done += count;
    }

    let count = context.rows() as u64;
    let samples = device.sample_given(seed, 0..count, context)?;
    let expected = reference.sample_given(seed, 0..count, context)?;
    let sample = largest_in_deviations(&samples, &expected);
    let mut scores = 0.0;
    let expected = expected.concat_columns(context);
    let reference_scores = reference.log_prob(&expected)?;
    for (a, b) in device.log_prob(&expected)?.iter().zip(reference_scores) {
        scores = larger(scores, (a - b).abs() / b.abs().max(1.0));
    }

    gradients.sort_by(f64::total_cmp);
    let typical = gradients[gradients.len() / 2];
    let finding = |what, worst, tolerance, reason| Finding {
        what,
        worst,
        tolerance,
        reason,
    };
    Ok(Agreement {
        steps: done,
        findings: vec![
            finding(
                "NLL, relative to max(1, |NLL|)",
                nll,
                limits.nll,
                "rounding of a mean over rows is 1e-6 at most; the rest is for parameters that drifted since the last comparison",
            ),
            finding(
                "gradient, L2 relative to max(0.1, |gradient|), at the same parameters",
                gradient,
                limits.gradient,
                "single rounding errors are 1e-7; near an optimum the rows' large gradients cancel, and at a spline's knots they jump",
            ),
            finding(
                "gradient, the same, at half of all comparisons",
                typical,
                1e-3,
                "as before, where nothing jumps",
            ),
            finding(
                "parameters, relative L2, over an interval of training",
                parameters,
                1e-3,
                "AdamW turns the sign of a nearly zero gradient into a whole step, so rounding grows with the steps",
            ),
            finding(
                "samples, in standard deviations, at the same parameters",
                sample,
                limits.outputs,
                "a few hundred roundings of 1e-7, stretched by the inverse's scales",
            ),
            finding(
                "log_prob of the samples, relative to max(1, |log_prob|), at the same parameters",
                scores,
                limits.outputs,
                "a few hundred roundings of 1e-7, stretched by the flow's scales",
            ),
        ],
    })
}

/// A comparison needs numbers to compare.
fn refuse(step: usize, loss: f64, fault: Option<Fault>) -> Result<()> {
    if loss.is_finite() && fault.is_none() {
        return Ok(());
    }
    let text = format!("step {step} on the device: loss {loss}, and nothing finite follows");
    let remedy = Remedy::new(
        "train on the device alone to hear what did it",
        "cpu_reference",
        false,
    );
    Err(Error::Diverged(Message::new(text).remedy(remedy)))
}

/// Compares, and puts the reference where the device is.
fn at(device: &mut dyn Executor, reference: &mut dyn Executor, step: usize) -> Result<Comparison> {
    let (device_nll, device_gradient) = device.loss_and_gradient()?;
    let (reference_nll, _) = reference.loss_and_gradient()?;
    let theirs = reference.parameters()?;
    let state = device.state()?;
    reference.set_state(&state)?;
    let (_, gradient) = reference.loss_and_gradient()?;
    Ok(Comparison {
        step,
        device_nll,
        reference_nll,
        gradient: Difference::between(&device_gradient, &gradient),
        parameters: Difference::between(&state.parameters, &theirs),
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
