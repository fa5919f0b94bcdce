//! Trains the flows of a session, one after the other.

use std::path::PathBuf;
use std::sync::mpsc::Receiver;

use crate::checkpoint::{Checkpoint, CheckpointWriter, Checkpoints};
use crate::error::{Error, Message, Remedy, Result};
use crate::executor::{DeviceFailure, Executor, Stop, TrainingState};
use crate::flow::Plan;
use crate::mixture::Stacked;
use crate::train::{
    self, Ending, LossCurve, Metrics, Retry, Snapshot, StepReport, TrainObserver, TrainedFlow,
};

use super::divergence::explain;
use super::session::Opening;
use super::{Event, EventHandler, ModelHandler, Prepared, StopSignal};

/// What flows are trained with: the parts of a session.
pub(super) struct FlowTraining<'s, 'a> {
    pub prepared: &'s Prepared,
    pub plan: &'s Plan,
    pub opening: &'s Opening,
    /// Opened for the first flow.
    pub executor: &'s mut Box<dyn Executor>,
    pub failures: &'s Receiver<DeviceFailure>,
    pub log_every: usize,
    pub stop: &'s StopSignal,
    /// What executors of several processes ask and tell one another by.
    pub both: &'s Stop,
    pub on_event: &'s mut Box<EventHandler<'a>>,
    pub on_model: &'s mut Option<Box<ModelHandler<'a>>>,
}

/// The flows that were trained, and the mixture to put beside them.
pub(super) struct Trained {
    pub flows: Vec<TrainedFlow>,
    /// Fitted where training was complete and a mixture was asked for.
    pub stacked: Option<Stacked>,
    /// Whether the flows are no part of the model.
    pub is_mixture_alone: bool,
    pub ended: Ended,
    pub loss_curve: LossCurve,
    /// The directory with the newest checkpoint, if one was written.
    pub checkpoint: Option<PathBuf>,
}

/// How training ended.
pub(super) enum Ended {
    Complete,
    Stopped,
    Failed(Error),
}

/// Flows so far.
struct SoFar<'w> {
    flows: Vec<TrainedFlow>,
    /// Where the one after them stood in a checkpoint.
    snapshot: Option<Snapshot>,
    loss_curve: LossCurve,
    writer: Option<CheckpointWriter<'w>>,
    /// The flow that the executor is open for.
    opened: usize,
}

impl<'s> FlowTraining<'s, '_> {
    /// Trains each flow, from the checkpoint if there is one to continue from. Where the first of several adds nothing to the
    /// mixture the others are not trained.
    ///
    /// # Errors
    /// Those before the first step.
    pub fn run(mut self, checkpoints: Option<Checkpoints>) -> Result<Trained> {
        let prepared = self.prepared;
        let mut so_far = self.begin(checkpoints)?;
        let count = prepared.config.train.ensemble;
        let (mut stacked, mut is_mixture_alone) = (None, prepared.is_mixture_alone());
        let ended = loop {
            match self.next(&mut so_far)? {
                Ended::Complete => {}
                ended => break ended,
            }
            let trained = so_far.flows.len();
            if trained == 1 || trained == count {
                stacked = stacked.or_else(|| prepared.stacked());
            }
            if trained == count {
                break Ended::Complete;
            }
            if trained == 1
                && let Some(stacked) = &stacked
                && prepared.is_superfluous(self.executor.as_mut(), stacked)?
            {
                log::info!("the flow adds nothing to the mixture, so the others are not trained");
                is_mixture_alone = true;
                break Ended::Complete;
            }
        };
        let SoFar {
            flows,
            mut loss_curve,
            writer,
            ..
        } = so_far;
        let checkpoint = writer.and_then(|mut writer| {
            writer.wait();
            writer.written_to().map(PathBuf::from)
        });
        if let ([flow], 1) = (&flows[..], count) {
            loss_curve.best = Some(flow.best_step as f64);
        }
        loss_curve.entropy = prepared.ground_truth.as_ref().map(|truth| truth.entropy());
        Ok(Trained {
            flows,
            stacked,
            is_mixture_alone: is_mixture_alone && matches!(ended, Ended::Complete),
            ended,
            loss_curve,
            checkpoint,
        })
    }

    fn begin(&self, checkpoints: Option<Checkpoints>) -> Result<SoFar<'s>> {
        let prepared = self.prepared;
        let (mut writer, mut from) = (None, None);
        if let Some(checkpoints) = checkpoints {
            let device = self.executor.describe();
            let begun = checkpoints.begin(|| prepared.identity(), &device)?;
            (writer, from) = (Some(begun.0), begun.1);
        }
        if prepared.ranks.size() > 1 {
            // One process has the checkpoints.
            let bytes = from.as_ref().map(Checkpoint::to_bytes).transpose()?;
            let bytes = prepared.ranks.broadcast(bytes.unwrap_or_default());
            let read = (!bytes.is_empty()).then(|| Checkpoint::from_bytes(&bytes));
            from = read.transpose().map_err(Error::spec)?;
        }
        let (flows, snapshot) = match from {
            Some(checkpoint) => (checkpoint.trained, Some(checkpoint.snapshot)),
            None => (Vec::new(), None),
        };
        Ok(SoFar {
            flows,
            snapshot,
            loss_curve: LossCurve::default(),
            writer,
            opened: 0,
        })
    }

    /// Trains the next flow. What ends before it was trained is no part of an ensemble.
    ///
    /// # Errors
    /// Those before the first step of the first flow.
    fn next(&mut self, so_far: &mut SoFar<'_>) -> Result<Ended> {
        let (prepared, index) = (self.prepared, so_far.flows.len());
        let of_flow = prepared.of_flow(index);
        if prepared.config.train.ensemble > 1 {
            let (number, of) = (index + 1, prepared.config.train.ensemble);
            (self.on_event)(&Event::Flow { number, of })?;
        }
        if let Some(snapshot) = &so_far.snapshot {
            let step = snapshot.state.step;
            (self.on_event)(&Event::Resumed { step })?;
        }
        let settings = of_flow.settings(self.log_every);
        let mut observer = Observer {
            prepared: &of_flow,
            before: so_far.flows.iter().map(|flow| flow.steps).sum(),
            trained: &so_far.flows,
            writer: so_far.writer.as_mut(),
            loss_curve: &mut so_far.loss_curve,
            failures: self.failures,
            stop: self.stop,
            on_event: self.on_event,
            on_model: self.on_model,
        };
        let opened = match so_far.opened == index {
            true => Ok(()),
            false => of_flow
                .request()
                .and_then(|request| self.opening.open(request))
                .map(|executor| {
                    *self.executor = of_flow.attach(executor, self.both.clone());
                }),
        };
        so_far.opened = index;
        let executor = self.executor.as_mut();
        let trained = opened.and_then(|()| match so_far.snapshot.take() {
            Some(snapshot) => train::resume(executor, &settings, &snapshot, &mut observer),
            None => train::run(executor, &settings, &mut observer),
        });
        let reported = observer.report_failures();
        let trained = match trained {
            Ok(trained) => trained,
            Err(error) if index == 0 => return Err(error),
            // Those before it are trained.
            Err(error) => return Ok(Ended::Failed(error)),
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
        let is_done = matches!(trained.ending, Ending::Done | Ending::Patience);
        let offset = of_flow.offsets.validation;
        if is_done || index == 0 || trained.best_step > 0 {
            so_far.flows.push(TrainedFlow {
                parameters: trained.parameters,
                steps: trained.steps,
                best_step: trained.best_step,
                validation: trained
                    .validation
                    .map(|(best, last)| (best + offset, last + offset)),
                out_of_patience: matches!(trained.ending, Ending::Patience),
                in_steps: trained.in_steps,
            });
        }
        Ok(match trained.ending {
            Ending::Diverged(divergence) => {
                let error = match explain(&of_flow, self.plan, &divergence) {
                    Ok(message) => Error::Diverged(message),
                    Err(error) => error,
                };
                Ended::Failed(error)
            }
            Ending::Failed(error) => Ended::Failed(error),
            ending => match (reported, ending) {
                (Err(error), _) => Ended::Failed(error),
                (Ok(()), Ending::Interrupted) => Ended::Stopped,
                (Ok(()), _) => Ended::Complete,
            },
        })
    }
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
    on_model: &'s mut Option<Box<ModelHandler<'a>>>,
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
    fn measure(&mut self, executor: &mut dyn Executor, state: &TrainingState) -> Result<Metrics> {
        if let Some(on_model) = self.on_model {
            let mut model = self.prepared.model.clone();
            model.set_flows(std::iter::once(state.result()));
            on_model(&model)?;
        }
        match &self.prepared.ground_truth {
            Some(truth) => truth.measure(executor, &self.prepared.model.preprocessing),
            None => Ok(Metrics::default()),
        }
    }

    fn step(&mut self, report: &StepReport) -> Result<()> {
        self.report_failures()?;
        let (step, offsets) = (report.step, &self.prepared.offsets);
        let nll = report.nll + self.prepared.offset_of_step(step)?;
        let validation_nll = report.metrics.validation_nll;
        let truth = self.prepared.ground_truth.as_ref();
        let metrics = Metrics {
            validation_nll: validation_nll.map(|nll| nll + offsets.validation),
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
        let offset = self.prepared.offsets.all;
        self.loss_curve.steps(self.before + done, losses, offset);
        let latest = self.loss_curve.losses.len() - losses.len();
        let losses: Vec<f64> = self.loss_curve.losses[latest..]
            .iter()
            .map(|(_, nll)| *nll)
            .collect();
        let train = &self.prepared.config.train;
        let extended = |steps: usize, planned: usize, extension: usize| match steps > planned {
            true => planned + extension,
            false => planned,
        };
        let flows = train.ensemble;
        let all_done = self.trained.len() * train.steps + done;
        let begun = self.before as f64;
        let held_out = self.loss_curve.validation.last();
        (self.on_event)(&Event::Progress {
            done,
            steps: extended(done, train.steps, train.extension),
            all_done,
            all_steps: extended(all_done, flows * train.steps, flows * train.extension),
            losses: &losses,
            validation_nll: held_out.filter(|it| it.0 >= begun).map(|it| it.1),
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
