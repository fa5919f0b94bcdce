//! Fits a flow to a table: [`Fit`] holds what is asked for, [`Session`] trains, [`Flow`] and [`Report`] are the result. The
//! command line is a client of the same [`Session`].

mod all_rows;
mod baselines;
pub(crate) mod choice;
mod device;
mod divergence;
mod ensemble;
mod event;
mod executors;
mod flow;
mod members;
mod prepared;
mod quality;
mod report;
mod report_text;
mod roles;
mod scores;
mod scratch;
mod session;
mod stack_executor;
mod stacking;
mod stop;
mod training;
mod two_sample;
mod univariate;
mod verdict;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::checkpoint::Checkpoints;
use crate::collective::{Alone, Collective};
use crate::config::{Overrides, Preset, TableSize};
use crate::data::{ChunkedTable, Table};
use crate::error::{Error, Message, Result};
use crate::kinds::Kind;
use crate::model::{Model, ModelFileKind};
use crate::train::GroundTruth;

pub use baselines::Baselines;
pub use choice::{DeviceChoice, DeviceName};
pub use device::{Device, ExecutorRequest, Purpose};
pub use event::{Event, EventHandler, ModelHandler};
pub use flow::Flow;
pub use prepared::{Prepared, SomeRows, starting_parameters};
pub use quality::{QualityKind, QualityWarning, quality_warnings};
use roles::Roles;

pub use report::{GroundTruthReport, Report, ValidationReport};
pub use scores::{ScoreSummary, Scored, Scores};
pub use session::{Compared, Outcome, Session};
pub use stacking::Judged;
pub use stop::StopSignal;
pub use two_sample::TwoSample;
pub use univariate::kolmogorov_distance;

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
    table: Source<'a>,
    settings: Overrides,
    preset: Preset,
    start: Option<(PathBuf, ModelFileKind)>,
    ground_truth: Option<Arc<GroundTruth>>,
    device: DeviceChoice,
    checkpoints: Option<Checkpoints>,
    log_every: usize,
    stop: StopSignal,
    ranks: Arc<dyn Collective>,
    on_event: Box<EventHandler<'a>>,
    on_model: Option<Box<ModelHandler<'a>>>,
}

/// Where the rows come from.
enum Source<'a> {
    Table(&'a Table),
    Chunked(Box<ChunkedTable<'a>>),
    /// They were taken.
    Nowhere,
}

/// The result of a fit.
pub struct Fitted {
    /// What was fitted.
    pub flow: Flow,
    /// How it went.
    pub report: Report,
}

impl<'a> Fit<'a> {
    /// A fit to these rows.
    pub fn new(table: &'a Table) -> Self {
        Self::to(Source::Table(table))
    }

    /// A fit to the rows of a table that may be long. They are let go of as they are taken.
    pub fn chunked(table: ChunkedTable<'a>) -> Self {
        Self::to(Source::Chunked(Box::new(table)))
    }

    fn to(table: Source<'a>) -> Self {
        Fit {
            table,
            settings: Overrides::default(),
            preset: Preset::Safe,
            start: None,
            ground_truth: None,
            device: DeviceChoice::default(),
            checkpoints: None,
            log_every: 50,
            stop: StopSignal::default(),
            ranks: Arc::new(Alone),
            on_event: Box::new(|_| Ok(())),
            on_model: None,
        }
    }

    /// Settings, over those made before. [`Overrides::read`] takes them from a configuration file.
    pub fn settings(mut self, settings: Overrides) -> Self {
        self.settings = self.settings.and(settings);
        self
    }

    /// The preset for settings that are not set, unless a configuration names one; [`Preset::Safe`] by default.
    pub fn preset(mut self, preset: Preset) -> Self {
        self.preset = preset;
        self
    }

    /// Steps to take, at most.
    pub fn steps(mut self, steps: usize) -> Self {
        self.settings.train.steps = Some(steps);
        self
    }

    /// The columns that are context, by name, number or range: the fit is a density of the others given these.
    ///
    /// ```
    /// use couplet::{Fit, Matrix, Table};
    ///
    /// # fn main() -> couplet::Result<()> {
    /// // y = x^2 and some noise.
    /// let x = |row: usize| (row as f64 * 0.618).fract() * 4.0 - 2.0;
    /// let rows = Matrix::from_fn(1000, 2, |row, column| match column {
    ///     0 => x(row),
    ///     _ => x(row).powi(2) + 0.1 * (row as f64 * 0.377).sin(),
    /// });
    /// let table = Table::new(["x", "y"], rows)?;
    /// let fitted = Fit::new(&table).given(["x"]).steps(300).seed(1).run()?;
    /// let at = |number| Matrix::from_values(1, 1, vec![number]);
    /// // Given x = 1.5, y = 2.25 is likelier than y = 1.
    /// let likely = fitted.flow.log_prob_given(&at(2.25), &at(1.5))?;
    /// let unlikely = fitted.flow.log_prob_given(&at(1.0), &at(1.5))?;
    /// assert!(likely[0] > unlikely[0]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn given(mut self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.settings.data.given = Some(columns.into_iter().map(Into::into).collect());
        self
    }

    /// The column of row weights, by name or number: a row of weight 2 counts as two rows, in the preprocessing, the loss, the
    /// validation loss and the report. It is not modelled.
    pub fn weights(mut self, column: impl Into<String>) -> Self {
        self.settings.data.weights = Some(column.into());
        self
    }

    /// Seeds everything random: the same table, settings, seed and device give the same flow, to the bit.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.train.seed = Some(seed);
        self
    }

    /// Starts from a model: with its shape, its parameters and its preprocessing.
    pub fn start_from(self, model: Model) -> Self {
        self.start_from_file(
            Path::new("the model to start from"),
            ModelFileKind::Model(Box::new(model)),
        )
    }

    /// Starts from what a file holds, a model or tensors alone; `path` is for messages.
    pub fn start_from_file(mut self, path: &Path, content: ModelFileKind) -> Self {
        self.start = Some((path.to_owned(), content));
        self
    }

    /// The density that the rows were drawn from, where it is known: the fit is measured against it.
    pub fn ground_truth(mut self, truth: Arc<GroundTruth>) -> Self {
        self.ground_truth = Some(truth);
        self
    }

    /// Where to train, and where the flow will be; by default a hardware GPU where there is one, else the CPU.
    pub fn device(mut self, choice: DeviceChoice) -> Self {
        self.device = choice;
        self
    }

    /// Keeps checkpoints, and continues from one if there is one to continue from.
    pub fn checkpoints(mut self, checkpoints: Checkpoints) -> Self {
        self.checkpoints = Some(checkpoints);
        self
    }

    /// Steps between two logged ones; 50 by default.
    pub fn log_every(mut self, steps: usize) -> Self {
        self.log_every = steps;
        self
    }

    /// Ends the fit, with the best parameters so far, once this is requested.
    pub fn stop_signal(mut self, stop: StopSignal) -> Self {
        self.stop = stop;
        self
    }

    /// Trains together with other processes, each of which makes the same fit: all end with the same flow. Rows of a table that one of them
    /// could not hold are shared between them. One of them is to have checkpoints, that of rank 0.
    pub fn collective(mut self, ranks: Arc<dyn Collective>) -> Self {
        self.ranks = ranks;
        self
    }

    /// Calls `handler` with each event.
    pub fn on_event(mut self, handler: impl FnMut(&Event<'_>) -> Result<()> + 'a) -> Self {
        self.on_event = Box::new(handler);
        self
    }

    /// Calls `handler` at each logged step with the model so far: the flow that is trained, as it is then.
    pub fn on_model(mut self, handler: impl FnMut(&Model) -> Result<()> + 'a) -> Self {
        self.on_model = Some(Box::new(handler));
        self
    }

    /// Splits and prepares the rows, and resolves every setting; trains nothing.
    ///
    /// # Errors
    /// [`Error::Data`] where the rows cannot be fitted, [`Error::Spec`] where a setting cannot be, [`Error::Model`] where the
    /// model to start from is not for this table.
    pub fn prepare(mut self) -> Result<Prepared> {
        self.prepared()
    }

    fn prepared(&mut self) -> Result<Prepared> {
        let start = self.start.as_ref();
        let start = start.map(|(path, content)| (path.as_path(), content));
        let given = self.settings.data.given.as_deref().unwrap_or_default();
        let weights = self.settings.data.weights.as_deref().unwrap_or_default();
        for (key, value) in [("given", given.join(",")), ("weights", weights.to_string())] {
            if self.ground_truth.is_some() && !value.is_empty() {
                let text = "a built-in target is modelled whole, since its density is known";
                return Err(Error::Spec(Message::about(key, value, text)));
            }
        }
        let preset = self.settings.preset.unwrap_or(self.preset);
        let proposes = preset == Preset::Safe && self.ground_truth.is_none();
        let said = self.settings.data.columns.as_deref().unwrap_or_default();
        let of_categories = |table: &Table| -> Result<Vec<usize>> {
            let said = Roles::said_kinds(table, said)?.into_iter();
            let said = said.filter(|(_, kind)| *kind == Kind::Categorical);
            Ok(said.map(|(j, _)| j).collect())
        };
        let mut table = match std::mem::replace(&mut self.table, Source::Nowhere) {
            Source::Table(table) => {
                let categories = of_categories(table)?;
                match table.have_levels(&categories) {
                    true => ChunkedTable::of(table),
                    // All rows say which levels there are.
                    false => ChunkedTable::from_table(table.clone().with_levels_of(&categories)?),
                }
            }
            Source::Chunked(table) => {
                let categories = of_categories(table.sample())?;
                table.with_levels_of(&categories)?
            }
            Source::Nowhere => return Err(Error::spec("the rows of the table were taken already")),
        };
        let (is_whole, distinct) = (table.is_whole(), table.distinct());
        let (sample, numbers, rows) = table.parts();
        let roles = Roles::of(sample, numbers, &self.settings.data, proposes, start)?;
        let repeats = roles.repeats();
        let of_table = match is_whole {
            true => repeats.clone(),
            false if repeats.copies() == 0 => repeats.clone().of_table(rows.rows, rows.rows),
            false => repeats.clone().of_table(rows.rows, distinct),
        };
        let size = TableSize {
            rows: roles.worth(&of_table),
            columns: roles.columns.len(),
            context: roles.context.len(),
        };
        let shape = start.and_then(|(_, it)| it.shape());
        let mut settings = self.settings.clone();
        if self.ground_truth.is_some() && settings.model.mixture.is_none() {
            // What is measured against the truth is a flow.
            settings.model.mixture = Some(false);
        }
        let config = settings.config(self.preset, shape, Some(size))?;
        let warnings = match self.ground_truth {
            None => roles.quality_warnings(&of_table),
            // A table drawn from a known density needs no warnings.
            Some(_) => Vec::new(),
        };
        let keys = roles.keys(&repeats);
        let mut prepared = Prepared::new(&roles, &repeats, &keys, config, start)?;
        if !is_whole {
            prepared.take_all(&roles, rows, &self.ranks)?;
        }
        Ok(Prepared {
            warnings,
            notes: roles.notes(),
            ground_truth: self.ground_truth.clone(),
            effective_rows: size.rows,
            ranks: self.ranks.clone(),
            ..prepared.fold()
        })
    }

    /// Prepares the rows and opens the device. What speaks against fitting a density to the table is an [`Event::Warning`].
    ///
    /// # Errors
    /// As [`Fit::prepare`]; those of the device, where nothing may be used instead, and of the checkpoints.
    pub fn open(mut self) -> Result<Session<'a>> {
        let prepared = self.prepared()?;
        for note in &prepared.notes {
            (self.on_event)(&Event::Note(note))?;
        }
        for warning in &prepared.warnings {
            (self.on_event)(&Event::Warning(&warning.message))?;
        }
        let device = Device::choose(&self.device)?;
        Session::open(prepared, device, self)
    }

    /// Trains.
    ///
    /// # Errors
    /// As [`Fit::open`]; [`Error::Diverged`] says where the numbers ceased to be finite, and what to change; those of the
    /// device, and of the event handler.
    pub fn run(self) -> Result<Fitted> {
        let mut session = self.open()?;
        let outcome = session.train()?;
        if let Some(error) = outcome.error {
            return Err(error);
        }
        let report = session.report(&outcome)?;
        let (flow, _) = session.into_flow()?;
        Ok(Fitted { flow, report })
    }
}
