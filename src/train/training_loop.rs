use web_time::{Duration, Instant};

use crate::data::weighted_mean;
use crate::error::{Error, Result};
use crate::executor::{Executor, Fault, StepsOutcome, TrainingState};
use crate::matrix::Matrix;

use super::{
    Best, Divergence, Ending, Metrics, Outcome, Progress, Retry, Settings, Snapshot, StepReport,
    TrainObserver,
};

/// How often training goes back before it gives up, and what the learning rate is multiplied by each time: 0.3^5 is a
/// four-hundredth.
const RETRIES: usize = 5;
const LR_BACKOFF: f64 = 0.3;

/// A run goes on where held-out rows gained, in the last quarter of its first part, at least this part of what the rows trained on
/// did. Measured: 0.37 to 0.74 on three tables of which 12,000 more steps gained 0.1 to 0.8 nats, -0.3 on one where the flow
/// overfitted.
const SHARED: f64 = 0.2;
/// And where they lost no more than this part of that again since they were best.
const LOST: f64 = 0.1;

/// How long the executor works between two reports of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// Trains an executor that was started, and reports step 0, each `log_every`-th one, and the state after the last. At a
/// number that is not finite it goes back to the last check and lowers the learning rate, a bounded number of times. The
/// executor ends with the parameters of the outcome.
///
/// # Errors
/// [`Error::Spec`] where the settings count in steps of 0; those of the executor and the observer before the first check. From
/// then on a run that diverged or failed is no error: its outcome says so and has the best parameters. After a failure
/// the executor is left as it is.
pub fn run(
    executor: &mut dyn Executor,
    settings: &Settings,
    observer: &mut dyn TrainObserver,
) -> Result<Outcome> {
    run_from(executor, settings, None, observer)
}

/// As [`run`], from where an earlier run with these settings on these rows stood.
///
/// # Errors
/// As [`run`], and those of [`Executor::set_state`]; [`Error::Spec`] where the snapshot is of a step beyond the last.
pub fn resume(
    executor: &mut dyn Executor,
    settings: &Settings,
    from: &Snapshot,
    observer: &mut dyn TrainObserver,
) -> Result<Outcome> {
    run_from(executor, settings, Some(from), observer)
}

fn run_from(
    executor: &mut dyn Executor,
    settings: &Settings,
    from: Option<&Snapshot>,
    observer: &mut dyn TrainObserver,
) -> Result<Outcome> {
    for (name, every) in [
        ("log_every", settings.log_every),
        ("check_every", settings.check_every),
    ] {
        if every == 0 {
            return Err(Error::spec(format!("{name} = 0: must be 1 step at least")));
        }
    }
    if let Some(state) = from.map(|snapshot| &snapshot.state)
        && state.step > settings.steps as u64
    {
        return Err(Error::spec(format!(
            "the snapshot is of step {}, beyond the {} steps to take",
            state.step, settings.steps
        )));
    }
    let begun = from.map(|snapshot| (snapshot.state.step as usize, snapshot.progress.clone()));
    let (done, progress) = begun.unwrap_or_default();
    if let Some(snapshot) = from {
        executor.set_state(&snapshot.state)?;
    }
    let mut run = TrainingLoop {
        settings,
        progress,
        done,
        chunk: 1,
    };
    match run.go(executor, observer) {
        Ok(ending) => run.finish(executor, ending),
        Err(error) => run.fail(error),
    }
}

/// A run in progress.
struct TrainingLoop<'a> {
    settings: &'a Settings,
    progress: Progress,
    /// Steps taken.
    done: usize,
    /// Steps in one call: as many as take about [`PROGRESS_INTERVAL`].
    chunk: usize,
}

/// What is known before a step.
#[derive(Default)]
struct Evaluation {
    /// Why no step should follow.
    ending: Option<Ending>,
    /// What to report, if it is time to.
    metrics: Option<Metrics>,
}

/// Steps that were taken one after another.
struct StepRun {
    /// How many.
    steps: usize,
    /// Their losses, and that of a step behind them that had a fault.
    losses: Vec<f64>,
    fault: Option<Fault>,
}

/// The loss of the step that comes next, which is not taken.
fn last_loss(executor: &mut dyn Executor) -> Result<StepRun> {
    let (loss, _) = executor.loss_and_gradient()?;
    Ok(StepRun {
        steps: 0,
        losses: vec![loss],
        fault: (!loss.is_finite()).then_some(Fault::Loss),
    })
}

/// From step to step:
///
/// ```text
///      ┌──────────────────────────────────────────────┐
///      ▼                                              │
///  evaluate ──> stop? ──> take steps ──> confirm ─────┤ no fault
///      │          │            │                      │
///      │          │            └─ fault ──> go back ──┘
///      │          └──> interrupted             │
///      └─ nothing more ──> the last loss       └──> diverged
///                             └──> done, or out of patience
/// ```
impl TrainingLoop<'_> {
    fn go(
        &mut self,
        executor: &mut dyn Executor,
        observer: &mut dyn TrainObserver,
    ) -> Result<Ending> {
        // Whether training just went back to this step: it was kept and reported before.
        let mut is_back = false;
        loop {
            if !is_back && observer.wants_snapshot() {
                self.snapshot(executor, observer)?;
            }
            let evaluation = self.evaluate(executor, observer, is_back)?;
            if evaluation.ending.is_none() && observer.should_stop() {
                self.snapshot(executor, observer)?;
                return Ok(Ending::Interrupted);
            }
            let steps_run = match evaluation.ending {
                None => self.take(executor)?,
                Some(_) => last_loss(executor)?,
            };
            if steps_run.steps > 0 || steps_run.fault.is_none() {
                if let Some(metrics) = evaluation.metrics {
                    observer.step(&StepReport {
                        step: self.done,
                        nll: steps_run.losses[0],
                        metrics,
                    })?;
                }
                self.confirm(steps_run.losses[0]);
                if let Some(ending) = evaluation.ending {
                    return Ok(ending);
                }
            }
            self.done += steps_run.steps;
            is_back = steps_run.fault.is_some();
            match steps_run.fault {
                None => observer.progress(self.done, &steps_run.losses[..steps_run.steps])?,
                Some(fault) => match self.go_back(executor, observer, fault)? {
                    Ok(step) => self.done = step,
                    Err(divergence) => return Ok(Ending::Diverged(divergence)),
                },
            }
        }
    }

    /// Takes steps: as many as fit into a progress interval, and no further than the next report or check.
    fn take(&mut self, executor: &mut dyn Executor) -> Result<StepRun> {
        let settings = self.settings;
        let to_next = |every: usize| every - self.done % every;
        let count = self
            .chunk
            .min(to_next(settings.log_every))
            .min(to_next(settings.check_every))
            .min(self.end() - self.done);
        let begin = Instant::now();
        let StepsOutcome { losses, fault } = executor.train(count)?;
        let took = begin.elapsed().max(Duration::from_micros(1));
        self.progress.in_steps += took;
        let fitting = PROGRESS_INTERVAL.as_secs_f64() / took.as_secs_f64();
        self.chunk = ((count as f64 * fitting) as usize).clamp(1, 4 * self.chunk);
        Ok(StepRun {
            steps: losses.len() - usize::from(fault.is_some()),
            losses,
            fault,
        })
    }

    fn snapshot(
        &self,
        executor: &mut dyn Executor,
        observer: &mut dyn TrainObserver,
    ) -> Result<()> {
        observer.snapshot(Snapshot {
            state: executor.state()?,
            progress: self.progress.clone(),
            device: executor.describe(),
        })
    }

    /// Checks and measures, where it is time to, before the update of the step at hand, which may have been reported.
    fn evaluate(
        &mut self,
        executor: &mut dyn Executor,
        observer: &mut dyn TrainObserver,
        is_reported: bool,
    ) -> Result<Evaluation> {
        let (settings, done) = (self.settings, self.done);
        let mut last = done == settings.steps;
        let may_end = last
            || self
                .settings
                .extension
                .as_ref()
                .is_some_and(|it| it.first == done);
        let is_check = may_end || done.is_multiple_of(settings.check_every);
        let is_logged = may_end || done.is_multiple_of(settings.log_every);
        if !is_check && !is_logged {
            return Ok(Evaluation::default());
        }
        let state = executor.state()?;
        let mut validation_nll = None;
        if is_check {
            if let Some(rows) = settings
                .validation
                .as_ref()
                .or(settings.monitor_rows.as_ref())
            {
                let nll = as_result(executor, &state, |executor| {
                    mean_nll(executor, rows, &settings.row_weights)
                })?;
                self.offer(nll, &state);
                self.judge(nll);
                if settings.validation.is_some() {
                    validation_nll = Some(nll);
                    last |= self.ends_before_extension(executor, &state, nll)?;
                }
            }
            self.progress.checked = Some(state.clone());
        }
        let out_of_patience = validation_nll.is_some() && self.out_of_patience();
        let ending = match (last, out_of_patience) {
            (true, _) => Some(Ending::Done),
            (false, true) => Some(Ending::Patience),
            (false, false) => None,
        };
        let metrics = if (is_logged && !is_reported) || ending.is_some() {
            let metrics = as_result(executor, &state, |executor| {
                observer.measure(executor, &state)
            })?;
            Some(Metrics {
                validation_nll,
                ..metrics
            })
        } else {
            None
        };
        Ok(Evaluation { ending, metrics })
    }

    /// The step at hand, with this loss before its update, was taken: the state there was a good one.
    fn confirm(&mut self, loss: f64) {
        let by_loss = self.settings.validation.is_none() && self.settings.monitor_rows.is_none();
        if by_loss {
            self.judge(loss);
        }
        if let Some(state) = self
            .progress
            .checked
            .take_if(|state| state.step == self.done as u64)
        {
            if by_loss {
                self.offer(loss, &state);
            }
            self.progress.good = Some(state);
        }
    }

    fn judge(&mut self, nll: f64) {
        self.progress.first.get_or_insert(nll);
        self.progress.last = Some(nll);
    }

    fn offer(&mut self, nll: f64, state: &TrainingState) {
        // What is not finite tells nothing: a single row can make it so.
        if nll.is_finite()
            && self
                .progress
                .best
                .as_ref()
                .is_none_or(|best| nll < best.nll)
        {
            self.progress.best = Some(Best {
                step: self.done,
                nll,
                parameters: state.result().to_vec(),
            });
        }
    }

    fn out_of_patience(&self) -> bool {
        let patience = self.settings.patience;
        let since = self
            .progress
            .best
            .as_ref()
            .map(|best| match &self.settings.extension {
                // At the peak of the rate again, the loss is higher first.
                Some(extension) if self.done > extension.first => {
                    best.step.max((extension.first + self.settings.steps) / 2)
                }
                _ => best.step,
            });
        patience > 0 && since.is_some_and(|since| self.done.saturating_sub(since) >= patience)
    }

    /// The next step that may be the last, once that at hand is not.
    fn end(&self) -> usize {
        match &self.settings.extension {
            Some(extension) if self.done < extension.first => extension.first,
            _ => self.settings.steps,
        }
    }

    /// Whether the run ends where an extension would begin. It pays where the held-out rows, whose NLL is `nll`, still gain with those
    /// trained on: what is learned holds for others, too.
    fn ends_before_extension(
        &mut self,
        executor: &mut dyn Executor,
        state: &TrainingState,
        nll: f64,
    ) -> Result<bool> {
        let Some(extension) = &self.settings.extension else {
            return Ok(false);
        };
        let (done, first) = (self.done, extension.first);
        let is_late = 4 * done >= 3 * first && self.progress.late.is_none();
        if done > first || !(is_late || done == first) {
            return Ok(false);
        }
        let trained_on = as_result(executor, state, |executor| {
            mean_nll(executor, &extension.rows, &extension.row_weights)
        })?;
        let Some((late, late_trained_on)) = self.progress.late.filter(|_| done == first) else {
            self.progress.late = Some((nll, trained_on));
            return Ok(done == first);
        };
        let (gained, gained_trained_on) = (late - nll, late_trained_on - trained_on);
        log::debug!(
            "in the last quarter the held-out rows gained {gained:.4} nats, those trained on {gained_trained_on:.4}"
        );
        let best = self.progress.best.as_ref().map_or(nll, |best| best.nll);
        let pays =
            gained > 0.0 && gained >= SHARED * gained_trained_on && nll - best <= LOST * gained;
        Ok(!pays)
    }

    /// Goes back to the latest good state, with a lower learning rate, and returns its step; or gives up.
    fn go_back(
        &mut self,
        executor: &mut dyn Executor,
        observer: &mut dyn TrainObserver,
        fault: Fault,
    ) -> Result<Result<usize, Divergence>> {
        let step = self.done as u64;
        // Loss and gradient were fine there; it is the update that was too long.
        if fault == Fault::Parameters
            && let Some(state) = self.progress.checked.take_if(|state| state.step == step)
        {
            self.progress.good = Some(state);
        }
        // Where the very first loss or gradient fails, no learning rate has had a part in it.
        let Some(good) = self
            .progress
            .good
            .as_mut()
            .filter(|_| self.progress.retries < RETRIES)
        else {
            return Ok(Err(Divergence {
                step,
                fault,
                retries: self.progress.retries,
                parameters: executor.parameters()?,
            }));
        };
        self.progress.retries += 1;
        good.rate_factor *= LR_BACKOFF;
        executor.set_state(good)?;
        observer.retry(&Retry {
            step,
            fault,
            back_to: good.step,
            rate_factor: good.rate_factor,
            number: self.progress.retries,
            max: RETRIES,
        })?;
        Ok(Ok(good.step as usize))
    }

    /// Chooses the parameters to keep, and leaves them in the executor.
    fn finish(self, executor: &mut dyn Executor, ending: Ending) -> Result<Outcome> {
        let held_out = self.settings.validation.is_some();
        let diverged = matches!(ending, Ending::Diverged(_));
        let last = executor.state()?;
        let done = matches!(ending, Ending::Done);
        let worsened = done && !held_out && self.progress.last > self.progress.first;
        let (best_step, parameters, best_nll) = match self.progress.best {
            Some(best) if held_out || diverged || worsened => {
                (best.step, best.parameters, best.nll)
            }
            // Not even step 0 could be taken: what training began from.
            None if diverged => match self.progress.checked {
                Some(state) => (state.step as usize, state.parameters, f64::NAN),
                None => (self.done, last.result().to_vec(), f64::NAN),
            },
            _ => (self.done, last.result().to_vec(), f64::NAN),
        };
        executor.set_parameters(&parameters)?;
        Ok(Outcome {
            ending,
            steps: self.done,
            parameters,
            best_step,
            validation: self
                .progress
                .last
                .filter(|_| held_out)
                .map(|last| (best_nll, last)),
            worsened,
            in_steps: self.progress.in_steps,
        })
    }

    /// The best that the host has of a run whose executor or observer failed.
    fn fail(self, error: Error) -> Result<Outcome> {
        let held_out = self.settings.validation.is_some();
        let latest = self.progress.checked.or(self.progress.good);
        let latest = latest.map(|state| (state.step as usize, state.result().to_vec()));
        let best = self.progress.best.filter(|_| held_out);
        let best_nll = best.as_ref().map_or(f64::NAN, |best| best.nll);
        let Some((best_step, parameters)) =
            best.map(|best| (best.step, best.parameters)).or(latest)
        else {
            return Err(error);
        };
        Ok(Outcome {
            ending: Ending::Failed(error),
            steps: self.done,
            parameters,
            best_step,
            validation: self
                .progress
                .last
                .filter(|_| held_out)
                .map(|last| (best_nll, last)),
            worsened: false,
            in_steps: self.progress.in_steps,
        })
    }
}

/// Calls `measure` with the parameters that the run would keep if it ended at `state`, where the executor is: their moving
/// average, where there is one.
fn as_result<T>(
    executor: &mut dyn Executor,
    state: &TrainingState,
    measure: impl FnOnce(&mut dyn Executor) -> Result<T>,
) -> Result<T> {
    if state.result() == state.parameters {
        return measure(executor);
    }
    executor.set_parameters(state.result())?;
    let measured = measure(executor);
    executor.set_parameters(&state.parameters)?;
    measured
}

fn mean_nll(executor: &mut dyn Executor, rows: &Matrix<f64>, weights: &[f64]) -> Result<f64> {
    Ok(-weighted_mean(&executor.log_prob(rows)?, weights))
}
