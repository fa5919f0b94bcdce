use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use web_time::{Duration, Instant};

use crate::checkpoint::Checkpoints;
use crate::cpu::CpuExecutor;
use crate::error::{Error, Message, Remedy, Result};
use crate::executor::{DeviceFailure, Executor, Stop};
use crate::flow::Plan;
use crate::gpu::Adapter;
use crate::train::{self, Agreement, Comparison, ComparisonSettings, LossCurve};

use super::report::Report;
use super::stack_executor::StackExecutor;
use super::stacking::Judged;
use super::training::{Ended, FlowTraining};
use super::{Device, EventHandler, ExecutorRequest, Fit, Flow, ModelHandler, Prepared, StopSignal};

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
    /// Of several processes, once all know of it.
    stop: StopSignal,
    both: Stop,
    on_event: Box<EventHandler<'a>>,
    on_model: Option<Box<ModelHandler<'a>>>,
}

/// Opens an executor for each flow.
pub(super) struct Opening {
    device: Device,
    fallback: bool,
    failed: Sender<DeviceFailure>,
}

impl Opening {
    pub fn open(&self, request: ExecutorRequest) -> Result<Box<dyn Executor>> {
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
        let stop = fit.stop;
        let agreed = match prepared.ranks.size() {
            1 => stop.clone(),
            _ => StopSignal::default(),
        };
        let both = Stop {
            requested: stop.flag(),
            agreed: agreed.flag(),
        };
        let executor = prepared.attach(opening.open(request)?, both.clone());
        Ok(Session {
            prepared,
            plan,
            opening,
            executor,
            failures,
            checkpoints,
            log_every: fit.log_every,
            stop: agreed,
            both,
            on_event: fit.on_event,
            on_model: fit.on_model,
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

    /// Trains, from the checkpoint if there is one to continue from: a flow, or several, one after the other, and the mixture. Where
    /// training ends early, the best parameters so far are kept; the outcome says why.
    ///
    /// # Errors
    /// Those before the first step.
    pub fn train(&mut self) -> Result<Outcome> {
        let begin = Instant::now();
        let trained = FlowTraining {
            prepared: &self.prepared,
            plan: &self.plan,
            opening: &self.opening,
            executor: &mut self.executor,
            failures: &self.failures,
            log_every: self.log_every,
            stop: &self.stop,
            both: &self.both,
            on_event: &mut self.on_event,
            on_model: &mut self.on_model,
        }
        .run(self.checkpoints.take())?;
        let flows = trained.flows;
        let kept = if trained.is_mixture_alone {
            0
        } else {
            flows.len()
        };
        self.prepared
            .set_flows(flows[..kept].iter().map(|flow| &flow.parameters[..]));
        let (mut judged, mut error) = (None, None);
        let stopped = matches!(trained.ended, Ended::Stopped);
        match trained.ended {
            Ended::Complete => {
                judged = self.prepared.stack(&self.opening.device, trained.stacked)?;
            }
            Ended::Stopped => {}
            Ended::Failed(failure) => error = Some(self.with_fallback(failure)),
        }
        Ok(Outcome {
            stopped,
            out_of_patience: flows.iter().any(|flow| flow.out_of_patience),
            error,
            steps: flows.iter().map(|flow| flow.steps).sum(),
            best_step: flows.iter().map(|flow| flow.best_step).sum(),
            validation: mean_of_pairs(flows.iter().map(|flow| flow.validation)),
            judged,
            loss_curve: trained.loss_curve,
            checkpoint: trained.checkpoint,
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
        if prepared.apart.is_some() || prepared.ranks.size() > 1 {
            let text = "one process that has all rows in memory is compared with the reference";
            return Err(Error::spec(text));
        }
        let mut reference = CpuExecutor::<f64>::new(self.plan.clone(), prepared.parameters());
        reference.start_weighted(
            prepared.rows.clone(),
            prepared.weights.clone(),
            &config.training(),
        )?;
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
                let offset = prepared.offset_of_step(at.step)?;
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
            return Report::of_training(prepared, executor, outcome, on_event);
        }
        let flow = Flow::on(prepared.model.clone(), &self.opening.device)?;
        let mut stack = StackExecutor::new(&flow)?;
        Report::of_training(prepared, &mut stack, outcome, on_event)
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
    let sums = pairs
        .iter()
        .fold((0.0, 0.0), |sums, pair| (sums.0 + pair.0, sums.1 + pair.1));
    Some((sums.0 / count, sums.1 / count))
}
