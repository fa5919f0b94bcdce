use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::checkpoint::{CheckpointWriter, Checkpoints};
use crate::cpu::CpuExecutor;
use crate::error::{Error, Message, Remedy, Result};
use crate::executor::{DeviceFailure, Executor};
use crate::flow::Plan;
use crate::gpu::Adapter;
use crate::train::{
    self, Agreement, Comparison, ComparisonSettings, Ending, LossCurve, Metrics, Retry, Snapshot,
    StepReport, TrainObserver, TrainedFlow,
};

use super::divergence::explain;
use super::report::Report;
use super::stack_executor::StackExecutor;
use super::stacking::Judged;
use super::{Device, Event, EventHandler, ExecutorRequest, Fit, Flow, Prepared, StopSignal};

/// Rows that are sampled when executors are compared.
const COMPARED_SAMPLES: usize = 1000;

/// A fit whose rows are prepared and whose device is open: what [`Fit::run`] and the command line train with.
pub struct Session<'a> {
    prepared: Prepared,
    plan: Plan,
    opening: Opening,
    executor: Box<dyn Executor>,
    failures: Receiver<DeviceFailure>,
    checkpoints: Option<Checkpoints>,
    log_every: usize,
    stop: StopSignal,
    on_event: Box<EventHandler<'a>>,
}

/// Opens an executor for each flow.
struct Opening {
    device: Device,
    fallback: bool,
    failed: Sender<DeviceFailure>,
}

impl Opening {
    fn open(&self, request: ExecutorRequest) -> Result<Box<dyn Executor>> {
        let failed = self.failed.clone();
        let device = self.device.clone();
        device.open_recovering(request, self.fallback, move |failure: &DeviceFailure| {
            // After the session no one receives events.
            let _ = failed.send(failure.clone());
        })
    }
}

/// How training ended. The session's model has the parameters to keep.
#[derive(Debug)]
pub struct Outcome {
    /// Why it ended early: it diverged, or the device or the event handler failed.
    pub error: Option<Error>,
    /// Whether [`StopSignal::request`] ended it.
    pub stopped: bool,
    /// Whether the validation loss stopped improving.
    pub out_of_patience: bool,
    /// Steps taken.
    pub steps: usize,
    /// The step whose parameters were kept; of several flows, the sum, as the steps are.
    pub best_step: usize,
    /// NLL of the held-out rows with the parameters kept, and with the last ones, in nats and in the units of the table; of several
    /// flows, the mean.
    pub validation: Option<(f64, f64)>,
    /// What a model of several members makes of rows that it was not fitted to.
    pub judged: Option<Judged>,
    /// The losses of all steps.
    pub loss_curve: LossCurve,
    /// The directory with the newest checkpoint, if one was written.
    pub checkpoint: Option<PathBuf>,
    /// The time that training took, and the part of it spent in steps.
    pub took: Duration,
    /// See [`Outcome::took`].
    pub in_steps: Duration,
}

/// How a comparison of the device with the CPU in f64 ended.
pub struct Compared {
    /// The step that the session's parameters are of.
    pub step: usize,
    /// Whether [`StopSignal::request`] ended it.
    pub stopped: bool,
    /// What was found, or what failed.
    pub result: Result<Agreement>,
    /// The time that it took.
    pub took: Duration,
}

impl<'a> Session<'a> {
    pub(super) fn open(prepared: Prepared, device: Device, fit: Fit<'a>) -> Result<Self> {
        let request = prepared.of_flow(0).request()?;
        let plan = request.plan.clone();
        let (sender, failures) = channel();
        let mut checkpoints = fit.checkpoints;
        if let Some(checkpoints) = &mut checkpoints {
            checkpoints.make_ready()?;
        }
        let opening = Opening {
            device,
            fallback: fit.device.fallback_to_cpu,
            failed: sender,
        };
        let executor = opening.open(request)?;
        Ok(Session {
            prepared,
            plan,
            opening,
            executor,
            failures,
            checkpoints,
            log_every: fit.log_every,
            stop: fit.stop,
            on_event: fit.on_event,
        })
    }

    /// The rows and the settings, and the model with the parameters so far.
    pub fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// What it trains on, in words.
    pub fn device(&self) -> String {
        self.executor.describe()
    }

    /// The adapter, if it trains on a GPU.
    pub fn adapter(&self) -> Option<&Adapter> {
        self.opening.device.adapter()
    }

    /// Bytes of memory that it takes, of the machine's or of the device's own.
    pub fn memory(&self) -> Result<u64> {
        let request = self.prepared.of_flow(0).request()?;
        self.opening.device.memory(&request)
    }

    /// Trains, from the checkpoint if there is one to continue from: a flow, or several, one after the other. Where training ends early,
    /// the best parameters so far are kept; the outcome says why.
    ///
    /// # Errors
    /// Those before the first step.
    pub fn train(&mut self) -> Result<Outcome> {
        let begin = Instant::now();
        let prepared = &self.prepared;
        let (mut writer, from) = match self.checkpoints.take() {
            Some(checkpoints) => {
                let device = self.executor.describe();
                let (writer, from) = checkpoints.begin(|| prepared.identity(), &device)?;
                (Some(writer), from)
            }
            None => (None, None),
        };
        let (mut flows, mut snapshot) = match from {
            Some(checkpoint) => (checkpoint.trained, Some(checkpoint.snapshot)),
            None => (Vec::new(), None),
        };
        let count = prepared.config.train.ensemble;
        let mut loss_curve = LossCurve::default();
        // The flow that the executor is open for.
        let mut opened = 0;
        let (mut error, mut stopped, mut is_complete) = (None, false, false);
        while !is_complete {
            let index = flows.len();
            let of_flow = prepared.of_flow(index);
            if count > 1 {
                let number = index + 1;
                (self.on_event)(&Event::Flow { number, of: count })?;
            }
            if let Some(snapshot) = &snapshot {
                let step = snapshot.state.step;
                (self.on_event)(&Event::Resumed { step })?;
            }
            let mut observer = Observer {
                prepared: &of_flow,
                writer: writer.as_mut(),
                trained: &flows,
                before: flows.iter().map(|flow| flow.steps).sum(),
                failures: &self.failures,
                stop: &self.stop,
                on_event: &mut self.on_event,
                loss_curve: &mut loss_curve,
            };
            let settings = of_flow.settings(self.log_every);
            let ready = match opened == index {
                true => Ok(()),
                false => of_flow.request().and_then(|request| {
                    self.executor = self.opening.open(request)?;
                    opened = index;
                    Ok(())
                }),
            };
            let executor = self.executor.as_mut();
            let trained = ready.and_then(|()| match snapshot.take() {
                Some(snapshot) => train::resume(executor, &settings, &snapshot, &mut observer),
                None => train::run(executor, &settings, &mut observer),
            });
            let reported = observer.report_failures();
            let trained = match trained {
                Ok(trained) => trained,
                // Those before it are trained.
                Err(failure) if index > 0 => {
                    error = Some(failure);
                    break;
                }
                Err(failure) => return Err(failure),
            };
            if trained.worsened {
                let warning = Message::new(format!(
                    "the NLL ended above where it began, so the parameters of step {}, the best of all checks, are kept",
                    trained.best_step
                ))
                .remedy(Remedy::with("lower the learning rate", "learning_rate"))
                .remedy(Remedy::with("bound the log-scale", "scale_bound"));
                (self.on_event)(&Event::Warning(&warning))?;
            }
            let offset = of_flow.offsets.validation();
            let flow = TrainedFlow {
                parameters: trained.parameters,
                steps: trained.steps,
                best_step: trained.best_step,
                validation: trained
                    .validation
                    .map(|(best, last)| (best + offset, last + offset)),
                out_of_patience: matches!(trained.ending, Ending::Patience),
                in_steps: trained.in_steps,
            };
            let is_done = matches!(trained.ending, Ending::Done | Ending::Patience);
            // Of an ensemble that ends early, a flow that was not trained is no part.
            if is_done || index == 0 || flow.best_step > 0 {
                flows.push(flow);
            }
            match trained.ending {
                Ending::Done | Ending::Patience => is_complete = flows.len() == count,
                Ending::Interrupted => stopped = true,
                Ending::Diverged(divergence) => {
                    let message = explain(&of_flow, &self.plan, &divergence);
                    error = Some(Error::Diverged(message));
                }
                Ending::Failed(failure) => error = Some(failure),
            }
            error = error.or(reported.err());
            if stopped || error.is_some() {
                break;
            }
        }
        if let Some(writer) = &mut writer {
            writer.wait();
        }
        let checkpoint = writer.as_ref().and_then(CheckpointWriter::written_to);
        let checkpoint = checkpoint.map(PathBuf::from);
        drop(writer);
        let best_step = flows.iter().map(|flow| flow.best_step).sum();
        loss_curve.best = (count == 1).then_some(best_step as f64);
        loss_curve.entropy = prepared.ground_truth.as_ref().map(|truth| truth.entropy());
        self.prepared
            .set_flows(flows.iter().map(|flow| &flow.parameters[..]));
        let is_stack = count > 1 || self.prepared.config.model.mixture;
        let judged = match is_complete && is_stack {
            true => self.prepared.stack(&self.opening.device)?,
            false => None,
        };
        Ok(Outcome {
            stopped,
            out_of_patience: flows.iter().any(|flow| flow.out_of_patience),
            error: error.map(|error| self.with_fallback(error)),
            steps: flows.iter().map(|flow| flow.steps).sum(),
            best_step,
            validation: mean_of_pairs(flows.iter().map(|flow| flow.validation)),
            judged,
            loss_curve,
            checkpoint,
            took: begin.elapsed(),
            in_steps: flows.iter().map(|flow| flow.in_steps).sum(),
        })
    }

    /// An error, with what would have helped against a device that keeps failing.
    fn with_fallback(&self, error: Error) -> Error {
        match error {
            Error::Gpu(_) if !self.opening.fallback && self.adapter().is_some() => {
                error.with_remedy(Remedy::new("let the CPU take over", "fallback", "cpu"))
            }
            error => error,
        }
    }

    /// Trains the device and the CPU in f64 step by step, and compares them. `on_comparison` is called at each logged step.
    ///
    /// # Errors
    /// Those before the first step; [`Error::Spec`] for an ensemble.
    pub fn compare(
        &mut self,
        mut on_comparison: impl FnMut(&Comparison) -> Result<()>,
    ) -> Result<Compared> {
        let begin = Instant::now();
        let prepared = &self.prepared;
        let config = &prepared.config;
        if config.train.ensemble > 1 {
            let text = "one flow at a time is compared with the reference";
            let message = Message::about("ensemble", config.train.ensemble, text);
            let remedy = Remedy::new("train one", "ensemble", 1);
            return Err(Error::Spec(message.remedy(remedy)));
        }
        let mut reference = CpuExecutor::<f64>::new(self.plan.clone(), prepared.parameters());
        reference.start_weighted(&prepared.rows, &prepared.weights, &config.training())?;
        let settings = ComparisonSettings {
            steps: config.train.steps,
            log_every: self.log_every,
            seed: config.train.seed,
            context: prepared.some_context(COMPARED_SAMPLES),
        };
        let result = train::compare(
            self.executor.as_mut(),
            &mut reference,
            &settings,
            |at| {
                let offset = prepared.offsets.of_step(at.step as u64);
                on_comparison(&Comparison {
                    device_nll: at.device_nll + offset,
                    reference_nll: at.reference_nll + offset,
                    ..*at
                })
            },
            || self.stop.is_requested(),
        );
        let state = match &result {
            Ok(_) => self.executor.state(),
            Err(_) => reference.state(),
        }?;
        let steps = config.train.steps;
        self.prepared.set_flows(std::iter::once(state.result()));
        if result.is_ok() {
            self.executor.set_parameters(state.result())?;
        }
        Ok(Compared {
            step: state.step as usize,
            stopped: result.as_ref().is_ok_and(|found| found.steps < steps),
            result,
            took: begin.elapsed(),
        })
    }

    /// How good the model is: scores all rows, and those of simpler models to compare with.
    ///
    /// # Errors
    /// Those of the device.
    pub fn report(&mut self, outcome: &Outcome) -> Result<Report> {
        let (prepared, on_event) = (&self.prepared, &mut self.on_event);
        if prepared.model.single_flow().is_some() {
            let executor = self.executor.as_mut();
            return Report::of_training(prepared, executor, None, outcome, on_event);
        }
        let flow = Flow::on(prepared.model.clone(), &self.opening.device)?;
        let mut stack = StackExecutor::new(&flow)?;
        Report::of_training(prepared, &mut stack, Some(&flow), outcome, on_event)
    }

    /// The same after a comparison.
    ///
    /// # Errors
    /// As [`Session::report`].
    pub fn report_comparison(&mut self, steps: usize, took: Duration) -> Result<Report> {
        let executor = self.executor.as_mut();
        Report::of_comparison(&self.prepared, executor, steps, took, &mut self.on_event)
    }

    /// The flow, on the same device, and what it was fitted to.
    ///
    /// # Errors
    /// Those of opening the device again.
    pub fn into_flow(self) -> Result<(Flow, Prepared)> {
        // One of the two at a time on the device.
        drop(self.executor);
        let flow = Flow::on(self.prepared.model.clone(), &self.opening.device)?;
        Ok((flow, self.prepared))
    }
}

/// The mean of each of two numbers, where all have them.
fn mean_of_pairs(pairs: impl ExactSizeIterator<Item = Option<(f64, f64)>>) -> Option<(f64, f64)> {
    let count = pairs.len() as f64;
    let pairs: Vec<(f64, f64)> = pairs.collect::<Option<_>>()?;
    let [first, second] = [|pair: &(f64, f64)| pair.0, |pair: &(f64, f64)| pair.1]
        .map(|of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / count);
    Some((first, second))
}

/// Converts the calls of the training loop into events, in the units of the table.
struct Observer<'s, 'w, 'a> {
    /// What the flow is trained with.
    prepared: &'s Prepared,
    writer: Option<&'s mut CheckpointWriter<'w>>,
    /// The flows before it.
    trained: &'s [TrainedFlow],
    /// Their steps.
    before: usize,
    failures: &'s Receiver<DeviceFailure>,
    stop: &'s StopSignal,
    on_event: &'s mut Box<EventHandler<'a>>,
    loss_curve: &'s mut LossCurve,
}

impl Observer<'_, '_, '_> {
    fn report_failures(&mut self) -> Result<()> {
        self.failures
            .try_iter()
            .try_for_each(|failure| (self.on_event)(&Event::DeviceFailure(&failure)))
    }
}

impl TrainObserver for Observer<'_, '_, '_> {
    fn measure(&mut self, executor: &mut dyn Executor) -> Result<Metrics> {
        match &self.prepared.ground_truth {
            Some(truth) => truth.measure(executor, &self.prepared.model.preprocessing),
            None => Ok(Metrics::default()),
        }
    }

    fn step(&mut self, report: &StepReport) -> Result<()> {
        self.report_failures()?;
        let (step, offsets) = (report.step, &self.prepared.offsets);
        let nll = report.nll + offsets.of_step(step as u64);
        let validation_nll = report.metrics.validation_nll;
        let truth = self.prepared.ground_truth.as_ref();
        let metrics = Metrics {
            validation_nll: validation_nll.map(|nll| nll + offsets.validation()),
            kl: truth.map(|truth| nll - truth.entropy()),
            ..report.metrics
        };
        let place = (self.before + step) as f64;
        let held_out = metrics.validation_nll.map(|nll| (place, nll));
        self.loss_curve.validation.extend(held_out);
        (self.on_event)(&Event::Step(&StepReport { step, nll, metrics }))
    }

    fn retry(&mut self, retry: &Retry) -> Result<()> {
        self.report_failures()?;
        self.loss_curve.back_to(self.before as u64 + retry.back_to);
        (self.on_event)(&Event::Retry(retry))
    }

    fn progress(&mut self, done: usize, losses: &[f64]) -> Result<()> {
        self.report_failures()?;
        let offset = self.prepared.offsets.all();
        self.loss_curve.steps(self.before + done, losses, offset);
        let latest = self.loss_curve.losses.len() - losses.len();
        let losses: Vec<f64> = self.loss_curve.losses[latest..]
            .iter()
            .map(|(_, nll)| *nll)
            .collect();
        (self.on_event)(&Event::Progress {
            done,
            losses: &losses,
        })
    }

    fn wants_snapshot(&mut self) -> bool {
        self.writer.as_ref().is_some_and(|writer| writer.is_due())
    }

    fn snapshot(&mut self, snapshot: Snapshot) -> Result<()> {
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        let step = snapshot.state.step;
        writer.write(self.trained, snapshot);
        (self.on_event)(&Event::Checkpoint { step })
    }

    fn should_stop(&mut self) -> bool {
        self.stop.is_requested()
    }
}
