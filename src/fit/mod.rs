//! Fits a flow to a table: [`Fit`] trains, [`Flow`] is what comes of it. Below them is what both the command line and a program
//! with a training loop of its own need: [`Device`] chooses and opens an executor, [`Prepared`] is a table made ready.

mod baselines;
pub(crate) mod choice;
mod device;
mod divergence;
mod flow;
mod prepared;
mod quality;
mod scores;

use std::time::{Duration, Instant};

use crate::config::{Config, Overrides, Preset};
use crate::data::{Repeats, Table};
use crate::error::{Error, Result};
use crate::model::{Contents, Model};
use crate::train::{self, Ending, Outcome, Watch};

pub use baselines::Baselines;
pub use choice::{DeviceChoice, DeviceName};
pub use device::{Device, Tell, Work, Wrap};
pub use divergence::explain;
pub use flow::{Flow, log_prob};
pub use prepared::{Prepared, starting_parameters};
pub use quality::{QualityKind, QualityWarning, quality_warnings};
pub use scores::{Scored, Scores};

/// A flow to be fitted to a table, with settings that suit the table where nothing else is said.
///
/// ```
/// use couplet::{Fit, Matrix, Table};
///
/// # fn main() -> couplet::Result<()> {
/// let angle = |row: usize| row as f64 * 0.1;
/// let ring = Matrix::from_fn(500, 2, |row, column| {
///     if column == 0 { angle(row).sin() } else { angle(row).cos() }
/// });
/// let table = Table::new(["x", "y"], ring)?;
/// let fitted = Fit::new(&table).steps(200).seed(7).run()?;
/// // On the ring, and in its empty middle.
/// let points = Matrix::from_values(2, 2, vec![1.0, 0.0, 0.0, 0.0]);
/// let log_prob = fitted.flow.log_prob(&points)?;
/// assert!(log_prob[0] > log_prob[1]);
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is trained before `run`"]
pub struct Fit<'a> {
    table: &'a Table,
    settings: Overrides,
    start: Option<Contents>,
    device: DeviceChoice,
    watch: Option<&'a mut dyn Watch>,
    tell: Tell<'a>,
}

/// What a fit came to.
pub struct Fitted {
    /// What was fitted.
    pub flow: Flow,
    /// How it went.
    pub report: Report,
}

/// How a fit went.
#[derive(Clone, Debug)]
pub struct Report {
    /// The settings, those that nobody made included.
    pub config: Config,
    /// Steps taken.
    pub steps: usize,
    /// The step whose parameters were kept: the best on held-out rows where there were any.
    pub best_step: usize,
    /// Whether [`Watch::stop`] ended it.
    pub stopped: bool,
    /// Mean of -log_prob over the rows trained on, in nats and in the units of the table.
    pub nll: f64,
    /// The same over the rows held out, if any.
    pub validation_nll: Option<f64>,
    /// The time that it took.
    pub took: Duration,
    /// The device, for people.
    pub device: String,
}

impl<'a> Fit<'a> {
    /// A fit to these rows.
    pub fn new(table: &'a Table) -> Self {
        Fit {
            table,
            settings: Overrides::default(),
            start: None,
            device: DeviceChoice::default(),
            watch: None,
            tell: &|_| {},
        }
    }

    /// Settings, over those made before. [`Overrides::read`] takes them from a configuration file.
    pub fn settings(mut self, settings: Overrides) -> Self {
        self.settings = self.settings.and(settings);
        self
    }

    /// Steps to take, at most.
    pub fn steps(mut self, steps: usize) -> Self {
        self.settings.train.steps = Some(steps);
        self
    }

    /// Seeds everything random: the same table, settings, seed and device give the same flow, to the bit.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.train.seed = Some(seed);
        self
    }

    /// Goes on from a model, in its units and with its shape.
    pub fn start_from(mut self, model: Model) -> Self {
        self.start = Some(Contents::Model(Box::new(model)));
        self
    }

    /// Where to train, and where the flow will be; by default a hardware GPU where there is one, else the CPU.
    pub fn device(mut self, choice: DeviceChoice) -> Self {
        self.device = choice;
        self
    }

    /// Who watches, and may end it with the best so far.
    pub fn watch(mut self, watch: &'a mut dyn Watch) -> Self {
        self.watch = Some(watch);
        self
    }

    /// Who hears what the user should know, a sentence at a time.
    pub fn tell(mut self, tell: Tell<'a>) -> Self {
        self.tell = tell;
        self
    }

    /// Makes everything ready, and trains nothing.
    ///
    /// # Errors
    /// [`Error::Data`] where the rows cannot be fitted, [`Error::Spec`] where a setting cannot be, [`Error::Model`] where the
    /// model to start from is not for this table.
    pub fn prepare(&self) -> Result<Prepared> {
        let repeats = Repeats::of(&self.table.values);
        let size = (repeats.worth(), self.table.values.columns());
        let start = self.start.as_ref();
        let spec = start.and_then(Contents::spec);
        let config = self.settings.config(Preset::Safe, spec, Some(size))?;
        Prepared::new(
            self.table,
            &repeats,
            config,
            start.map(|start| ("the model to start from".as_ref(), start)),
        )
    }

    /// Trains.
    ///
    /// # Errors
    /// As [`Fit::prepare`]; [`Error::Diverged`] says where the numbers ceased to be finite, and what to change; those of the
    /// device, where nothing may do instead, and of the watch.
    pub fn run(self) -> Result<Fitted> {
        let begin = Instant::now();
        let mut fit = self.prepare()?;
        let device = Device::choose(&self.device, self.tell)?;
        let work = fit.work(&|executor| executor, self.tell)?;
        let plan = work.plan.clone();
        let mut executor = device.clone().open_lasting(work, false, |_| {})?;
        let mut nobody = ();
        let watch = self.watch.unwrap_or(&mut nobody);
        let outcome = train::run(executor.as_mut(), &fit.settings(LOG_EVERY), watch)?;
        fit.keep(&outcome.parameters);
        match outcome.ending {
            Ending::Done | Ending::Patience | Ending::Interrupted => {}
            Ending::Diverged(divergence) => {
                return Err(Error::Diverged(explain(&fit, &plan, &divergence)));
            }
            Ending::Failed(error) => return Err(error),
        }
        let log_prob = executor.log_prob(&fit.rows.map(f64::from))?;
        // One of the two at a time on the device.
        drop(executor);
        let nll = fit.nll(&log_prob);
        let Outcome {
            validation, ending, ..
        } = &outcome;
        let flow = Flow::on(fit.model, &device)?;
        let report = Report {
            config: fit.config,
            steps: outcome.steps,
            best_step: outcome.best_step,
            stopped: matches!(ending, Ending::Interrupted),
            nll,
            validation_nll: validation.map(|(best, _)| best + fit.offsets.validation()),
            took: begin.elapsed(),
            device: flow.device(),
        };
        Ok(Fitted { flow, report })
    }
}

/// Steps between two that a watch hears of.
const LOG_EVERY: usize = 50;
