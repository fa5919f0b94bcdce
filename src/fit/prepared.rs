use std::path::Path;
use std::sync::Arc;

use crate::checkpoint::Identity;
use crate::collective::{Alone, Collective};
use crate::config::{Config, SHORTEST, Start};
use crate::data::{
    Repeats, SAMPLE_ROWS, Split, effective_sample_size, resample, standard_error, take,
    take_weights, weighted_mean,
};
use crate::error::{Error, Message, Result};
use crate::executor::{
    Batch, Batches, Blocks, Distributed, Executor, Share, Stop, Streamed, WeightedRows,
};
use crate::flow::{Plan, initial_parameters, start_at_identity};
use crate::frequencies::Frequencies;
use crate::matrix::Matrix;
use crate::mixture::Folds;
use crate::model::{Model, ModelFileKind, WeightedFlow, parameters_of};
use crate::preprocessing::{LinearPart, Preprocessing};
use crate::train::{self, GroundTruth, Offsets};

use super::roles::Roles;
use super::scratch::{Reader, Scratch};
use super::{ExecutorRequest, Purpose, QualityWarning};

/// A fit that is ready to begin.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Every setting, resolved.
    pub config: Config,
    /// The flow, or each of an ensemble, with the parameters that training starts from.
    pub model: Model,
    /// The rows to train on, as the flow sees them; a sample of them where they are streamed.
    pub rows: Arc<Matrix<f32>>,
    /// Their weights in the loss, 1 on average; none where all count the same.
    pub weights: Arc<Vec<f32>>,
    /// The rows held out, if any, as the flow sees them.
    pub validation: Option<Matrix<f64>>,
    /// Their weights, on the scale of those of the rows trained on; none where all count the same.
    pub validation_weights: Vec<f64>,
    /// What preprocessing adds to the NLL of these rows.
    pub offsets: Offsets,
    /// Whether rows of the table are copies of others.
    pub(super) has_copies: bool,
    /// Which of the table's rows are which.
    pub split: Split,
    /// Which of the rows trained on each flow of an ensemble holds out; none where no flow does.
    pub(super) flow_folds: Option<Arc<Folds>>,
    /// What columns hold that nothing has said, a sentence each.
    pub notes: Vec<Message>,
    /// What in the table speaks against fitting a density to it.
    pub warnings: Vec<QualityWarning>,
    /// How many rows the table is worth: what [`Repeats::worth`] says, times the fraction that
    /// [`effective_sample_size`] leaves of weighted ones.
    pub effective_rows: usize,
    /// Where the rows are, if they are not in `rows`.
    pub(super) apart: Option<Apart>,
    /// The processes that train together.
    pub(super) ranks: Arc<dyn Collective>,
    /// Whether preprocessing and frequencies were fitted to a sample of the rows.
    pub(super) is_sampled: bool,
    /// The density that the rows were drawn from, where it is known.
    pub ground_truth: Option<Arc<GroundTruth>>,
}

/// Where rows are that are not all in memory.
#[derive(Clone, Debug)]
pub(super) enum Apart {
    /// On disk, and how many there are.
    Scratch(Arc<Scratch>, usize),
    /// Each process has some.
    Share(Share),
}

/// Rows as the flow sees them that stand for all rows trained on.
pub struct SomeRows {
    /// The modelled columns, then the context.
    pub rows: Matrix<f64>,
    /// Their weights; none where all count the same.
    pub weights: Vec<f64>,
    /// Their numbers in the table, from 0 on.
    pub numbers: Vec<u32>,
}

/// The parameters that a configuration has training start from.
pub fn starting_parameters(plan: &Plan, config: &Config) -> Vec<f32> {
    let mut parameters = initial_parameters(&plan.layout, config.train.seed);
    if config.train.start == Start::Identity {
        start_at_identity(plan, &mut parameters);
    }
    parameters
}

impl Prepared {
    /// Splits and prepares rows for a configuration; `repeats` and `keys` have those that are equal. Training starts from `init`, the model or the
    /// tensors of a file, or from what the configuration says. A model brings its preprocessing, since its parameters belong to the
    /// units that they were trained in.
    ///
    /// # Errors
    /// [`Error::Data`] where the rows cannot be fitted, [`Error::Spec`] where the flow cannot be, [`Error::Model`] where `init`
    /// is not of this flow.
    pub(super) fn new(
        roles: &Roles<'_>,
        repeats: &Repeats,
        keys: &[u64],
        config: Config,
        init: Option<(&Path, &ModelFileKind)>,
    ) -> Result<Self> {
        let values = &*roles.preimages(&roles.rows, keys, config.train.seed);
        let columns = &roles.columns;
        let names: Vec<String> = columns
            .iter()
            .chain(roles.context.iter().map(|column| &column.name))
            .cloned()
            .collect();
        let split = roles.split(repeats, keys, &config);
        let [training_weights, validation_weights] =
            [&split.training, &split.held_out].map(|rows| take_weights(&roles.weights, rows));
        // On the real line, as maps are fitted to it.
        let of_kinds = Preprocessing {
            kinds: roles.kinds.clone(),
            ..Preprocessing::default()
        };
        let real = of_kinds.to_real(values);
        let preprocessing = match init {
            Some((_, ModelFileKind::Model(model))) => model.preprocessing.clone(),
            // Without steps the map is all that is fitted, and must do for few rows.
            _ if config.train.steps == 0
                && values.rows() < SHORTEST
                && roles.context.is_empty()
                && roles.weights.is_empty() =>
            {
                let rows = take(&real, &split.training);
                Preprocessing::fit_alone(&rows, columns, config.data.preprocessing())?
            }
            _ => Preprocessing::fit_given(
                &take(&real, &split.training),
                &training_weights,
                columns,
                roles.context.clone(),
                config.data.preprocessing(),
                match config.train.steps {
                    0 => LinearPart::Always,
                    _ => LinearPart::WhereItPays,
                },
            )?,
        };
        let preprocessing = Preprocessing {
            kinds: of_kinds.kinds.clone(),
            ..preprocessing
        };
        let frequencies = match init {
            Some((_, ModelFileKind::Model(model))) => model.frequencies.clone(),
            _ => roles.frequencies(&split.training, &training_weights),
        };
        let spec = config
            .model
            .conditional_spec(columns.len(), preprocessing.context_width())?;
        let as_seen = preprocessing.training_rows(values, roles.in_table(), &names)?;
        let rows = take(&as_seen, &split.training);
        let validation =
            (!split.held_out.is_empty()).then(|| take(&as_seen, &split.held_out).map(f64::from));
        let (weights, validation_weights) = scaled(&training_weights, validation_weights);
        let of_levels = frequencies.as_ref();
        let of_validation = |rows| {
            let log_bound = log_bound(&preprocessing, of_levels, rows, false);
            Offsets::of_held_out(&log_bound, &validation_weights)
        };
        let offsets = Offsets {
            all: Offsets::of_rows(&log_bound(&preprocessing, of_levels, &rows, true), &weights),
            validation: validation.as_ref().map_or(0.0, of_validation),
        };
        let plan = Plan::new(&spec)?;
        let flows = config.train.ensemble;
        let parameters = match init {
            None => (0..flows)
                .map(|index| starting_parameters(&plan, &config.of_flow(index)))
                .collect(),
            Some((path, ModelFileKind::Model(model))) => model
                .parameters_for(&plan.layout, flows)
                .map_err(|error| match error {
                    Error::Model(message) => Error::Model(
                        message
                            .in_file(path)
                            .prefixed(format!("{}: ", path.display())),
                    ),
                    error => error,
                })?,
            Some((path, ModelFileKind::Tensors(bytes))) => {
                vec![parameters_of(path, bytes, &plan.layout)?; flows]
            }
        };
        Ok(Prepared {
            model: Model {
                spec,
                columns: columns.clone(),
                named: roles.named,
                preprocessing,
                frequencies,
                order: roles.order.clone(),
                flows: WeightedFlow::equal(parameters),
                mixture: None,
                training: Some(config.train.clone()),
            },
            config,
            rows: Arc::new(rows),
            weights: Arc::new(weights),
            validation,
            validation_weights,
            offsets,
            split,
            flow_folds: None,
            warnings: Vec::new(),
            notes: Vec::new(),
            has_copies: repeats.copies() > 0,
            effective_rows: 0,
            is_sampled: false,
            apart: None,
            ranks: Arc::new(Alone),
            ground_truth: None,
        })
    }

    /// Chooses what each flow of an ensemble holds out.
    pub(super) fn fold(mut self) -> Self {
        let train = &self.config.train;
        let folds = self.config.folds().filter(|_| train.ensemble > 1);
        self.flow_folds = folds.map(|(of, count)| {
            let copies = copies_among(&self.rows, self.has_copies);
            Arc::new(Folds::some(&copies, count, of, train.seed))
        });
        self
    }

    /// How many rows are trained on.
    pub fn row_count(&self) -> usize {
        match &self.apart {
            Some(Apart::Scratch(_, count)) => *count,
            Some(Apart::Share(share)) => share.count,
            None => self.rows.rows(),
        }
    }

    /// Which rows each step takes, where they are all in memory.
    fn batches(&self) -> Batches {
        let train = &self.config.train;
        Batches::new(self.row_count(), train.batch_size, train.seed)
    }

    /// Rows in memory that a step takes some of, their weights, and which of them it takes: of those that this process has.
    ///
    /// # Errors
    /// Those of reading them, where they are streamed.
    pub(super) fn rows_of_step(&self, step: u64) -> Result<(WeightedRows, Batch)> {
        Ok(match &self.apart {
            None => {
                let rows = (self.rows.clone(), self.weights.clone());
                (rows, self.batches().batch(step))
            }
            Some(Apart::Scratch(scratch, _)) => {
                let visit = self.blocks(scratch).visit(step);
                (scratch.rows(visit.block)?, visit.batches.batch(step))
            }
            Some(Apart::Share(share)) => {
                let batch = self.batches().batch(step);
                let mine = share.of_batch(&batch, self.ranks.as_ref());
                let batch = Batch {
                    first: 0,
                    rows: mine.len() as u32,
                    shuffle: None,
                };
                (share.take(&mine), batch)
            }
        })
    }

    fn blocks(&self, scratch: &Scratch) -> Blocks {
        let train = &self.config.train;
        scratch.blocks(train.batch_size, train.seed)
    }

    /// An executor that trains on all rows, of one that was started with [`Prepared::request`].
    pub(super) fn attach(&self, executor: Box<dyn Executor>, stop: Stop) -> Box<dyn Executor> {
        let share = match &self.apart {
            Some(Apart::Scratch(scratch, _)) => {
                let blocks = self.blocks(scratch);
                let reader = Box::new(Reader(scratch.clone()));
                return Box::new(Streamed::new(executor, blocks, reader));
            }
            None if self.ranks.size() == 1 => return executor,
            None => Share {
                rows: (self.rows.clone(), self.weights.clone()),
                count: self.rows.rows(),
                has_all: true,
            },
            Some(Apart::Share(share)) => share.clone(),
        };
        let training = self.config.training();
        Box::new(Distributed::new(
            executor,
            self.ranks.clone(),
            share,
            &training,
            stop,
        ))
    }

    /// What an executor is opened for that is to train.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn request(&self) -> Result<ExecutorRequest> {
        let (rows, weights) = match &self.apart {
            Some(Apart::Scratch(scratch, _)) => scratch.rows(scratch.largest())?,
            None if self.ranks.size() == 1 => (self.rows.clone(), self.weights.clone()),
            // What it is started with is replaced by a part of each batch.
            _ => {
                let some = 0..self.batches().size();
                let some: Vec<u32> = some.map(|k| (k % self.rows.rows()) as u32).collect();
                let weights = some
                    .iter()
                    .filter_map(|&row| self.weights.get(row as usize));
                let weights = weights.copied().collect();
                (Arc::new(take(&self.rows, &some)), Arc::new(weights))
            }
        };
        Ok(ExecutorRequest {
            plan: self.model.plan()?,
            parameters: self.parameters().to_vec(),
            purpose: Purpose::Train(rows, weights, self.config.training()),
        })
    }

    /// Rows as the flow sees them in the units of the table: the modelled columns, then the context.
    pub fn in_units(&self, seen: &Matrix<f64>) -> Matrix<f64> {
        let preprocessing = &self.model.preprocessing;
        preprocessing
            .undo(seen)
            .concat_columns(&preprocessing.context_of(seen))
    }

    /// The same with the numbers that the table has.
    pub fn in_table(&self, seen: &Matrix<f64>) -> Matrix<f64> {
        self.model.preprocessing.images(self.in_units(seen))
    }

    /// What tells this run from others, whose checkpoints it cannot continue from.
    pub fn identity(&self) -> Identity {
        let columns = self.model.all_columns();
        let none = Matrix::zeros(0, 0);
        let of_rows = Identity::of(
            &self.config,
            &columns,
            match self.is_sampled {
                // Which of them are here depends on how they are trained on.
                true => (&none, &[]),
                false => (&self.rows, &self.weights),
            },
            self.validation.as_ref(),
        );
        Identity {
            rows: self.row_count(),
            blocks: match &self.apart {
                Some(Apart::Scratch(scratch, _)) => Some(scratch.count()),
                _ => None,
            },
            ..of_rows
        }
    }

    /// The weights of the rows trained on, in f64.
    pub fn training_weights(&self) -> Vec<f64> {
        self.weights.iter().map(|&weight| weight.into()).collect()
    }

    /// The weights of the rows trained on, then of those held out; none where all count the same.
    pub fn table_weights(&self) -> Vec<f64> {
        let mut weights = self.training_weights();
        weights.extend(&self.validation_weights);
        weights
    }

    /// How many rows of equal weight tell as much as those of the table; none where all count the same.
    pub fn effective_sample_size(&self) -> Option<f64> {
        let weights = self.table_weights();
        (!weights.is_empty()).then(|| effective_sample_size(&weights))
    }

    /// ln p of the levels of the modelled columns of categories, for rows as the flow sees them; of rows that the frequencies were
    /// fitted to each under those of the others. Nothing where there are no such columns.
    pub(super) fn log_prob_of_levels(&self, seen: &Matrix<f64>, is_fitted: bool) -> Vec<f64> {
        let frequencies = self.model.frequencies.as_ref();
        let is_fitted = is_fitted && !self.is_sampled;
        log_prob_of_levels(&self.model.preprocessing, frequencies, seen, is_fitted)
    }

    /// What a bound on the log-density of rows of the table has beside what flows say of them, for rows as these see them: that of
    /// preprocessing and of levels; see [`Prepared::log_prob_of_levels`].
    pub(super) fn log_bound<T: Copy + Default + Into<f64>>(
        &self,
        seen: &Matrix<T>,
        is_fitted: bool,
    ) -> Vec<f64> {
        let frequencies = self.model.frequencies.as_ref();
        let is_fitted = is_fitted && !self.is_sampled;
        log_bound(&self.model.preprocessing, frequencies, seen, is_fitted)
    }

    /// What preprocessing adds to the NLL of the rows of a step's batch.
    ///
    /// # Errors
    /// Those of reading them, where they are streamed.
    pub fn offset_of_step(&self, step: usize) -> Result<f64> {
        if self.apart.is_none() && self.batches().is_full() {
            return Ok(self.offsets.all);
        }
        let ((rows, weights), batch) = self.rows_of_step(step as u64)?;
        let of_batch: Vec<u32> = (0..batch.rows).map(|index| batch.row(index)).collect();
        let weights = of_batch.iter().map(|&row| weights.get(row as usize));
        let weights: Vec<f32> = weights.flatten().copied().collect();
        let rows = take(&rows, &of_batch);
        let offset = match of_batch.is_empty() {
            true => 0.0,
            false => Offsets::of_rows(&self.log_bound(&rows, true), &weights),
        };
        Ok(match &self.apart {
            Some(Apart::Share(_)) => {
                let all = f64::from(self.batches().batch(step as u64).rows);
                self.ranks.sum(offset * of_batch.len() as f64 / all)
            }
            _ => offset,
        })
    }

    /// Rows trained on that stand for all of them: all, or [`SAMPLE_ROWS`] from all over the table.
    pub fn some_rows(&self) -> SomeRows {
        let count = self.rows.rows();
        if count <= SAMPLE_ROWS || self.apart.is_some() {
            return SomeRows {
                rows: self.rows.map(f64::from),
                weights: self.training_weights(),
                numbers: self.split.training.clone(),
            };
        }
        let some = resample(count, &[], SAMPLE_ROWS);
        let weights = some.iter().map(|&row| self.weights.get(row as usize));
        SomeRows {
            rows: take(&self.rows, &some).map(f64::from),
            weights: weights.flatten().map(|&weight| weight.into()).collect(),
            numbers: some
                .iter()
                .map(|&row| self.split.training[row as usize])
                .collect(),
        }
    }

    /// The mean of -log_prob over the rows trained on, in nats and in the units of the table, from the log-densities of
    /// [`Prepared::some_rows`] as the flow sees them; and its standard error where those are a sample.
    pub(super) fn nll_of(&self, some: &SomeRows, log_prob: &[f64]) -> (f64, Option<f64>) {
        if some.rows.rows() == self.row_count() {
            return (self.nll(log_prob), None);
        }
        let log_bound = self.log_bound(&some.rows, true);
        let mut products: Vec<f64> = log_bound.iter().zip(log_prob).map(|(a, b)| a + b).collect();
        for (product, weight) in products.iter_mut().zip(&some.weights) {
            *product *= weight;
        }
        let mean = weighted_mean(&products, &[]);
        (-mean, Some(standard_error(&products)))
    }

    /// The mean of -log_prob over the rows trained on, in nats and in the units of the table, from their log-densities as the flow
    /// sees them.
    pub fn nll(&self, log_prob: &[f64]) -> f64 {
        let mean = match self.weights.is_empty() {
            true => weighted_mean(log_prob, &[]),
            false => {
                // As the loss has it.
                let products = self.weights.iter().zip(log_prob);
                let products = products.map(|(&weight, log_prob)| f64::from(weight) * log_prob);
                products.sum::<f64>() / log_prob.len() as f64
            }
        };
        self.offsets.all - mean
    }

    /// What the training loop needs to know.
    pub fn settings(&self, log_every: usize) -> train::Settings {
        let train = &self.config.train;
        let batch = self.batches().size();
        let monitor = (self.validation.is_none() && batch < self.row_count())
            .then(|| monitor_rows(self.rows.rows()));
        let extension = (train.extension > 0 && self.validation.is_some()).then(|| {
            let some = monitor_rows(self.rows.rows());
            train::Extension {
                first: train.steps,
                rows: take(&self.rows, &some).map(f64::from),
                row_weights: take_weights(&self.training_weights(), &some),
            }
        });
        train::Settings {
            steps: train.steps + extension.as_ref().map_or(0, |_| train.extension),
            extension,
            log_every,
            check_every: check_every(
                self.row_count(),
                batch,
                self.validation.as_ref().map_or(0, Matrix::rows),
            ),
            validation: self.validation.clone(),
            monitor_rows: monitor
                .as_ref()
                .map(|some| take(&self.rows, some).map(f64::from)),
            row_weights: match &monitor {
                None => self.validation_weights.clone(),
                Some(some) => take_weights(&self.training_weights(), some),
            },
            patience: train.patience,
        }
    }

    /// The context of so many rows trained on, as the flow sees it, from all over the table.
    pub(super) fn some_context(&self, count: usize) -> Matrix<f64> {
        let (dims, rows) = (self.model.spec.dims, self.rows.rows());
        Matrix::from_fn(count, self.model.spec.context, |k, j| {
            f64::from(self.rows.get(k * rows / count, dims + j))
        })
    }

    /// The parameters of the flow that is trained, or of the first one.
    pub fn parameters(&self) -> &[f32] {
        self.model
            .flows
            .first()
            .map_or(&[], |flow| &flow.parameters)
    }

    /// Takes over the parameters of trained flows.
    pub fn set_flows<'p>(&mut self, flows: impl Iterator<Item = &'p [f64]>) {
        self.model.set_flows(flows);
    }
}

fn log_bound<T: Copy + Default + Into<f64>>(
    preprocessing: &Preprocessing,
    frequencies: Option<&Frequencies>,
    seen: &Matrix<T>,
    is_fitted: bool,
) -> Vec<f64> {
    let mut log_bound = preprocessing.log_bound(seen);
    if frequencies.is_some() {
        let seen = seen.map(Into::into);
        let of_levels = log_prob_of_levels(preprocessing, frequencies, &seen, is_fitted);
        for (sum, of_levels) in log_bound.iter_mut().zip(of_levels) {
            *sum += of_levels;
        }
    }
    log_bound
}

fn log_prob_of_levels(
    preprocessing: &Preprocessing,
    frequencies: Option<&Frequencies>,
    seen: &Matrix<f64>,
    is_fitted: bool,
) -> Vec<f64> {
    let Some(frequencies) = frequencies else {
        return Vec::new();
    };
    let levels = preprocessing.context_of(seen);
    match is_fitted {
        true => frequencies.log_prob_left_out(&levels),
        false => frequencies.log_prob(&levels),
    }
}

/// Which rows are equal, if copies are to be looked for: rows of whole numbers and levels are equal without being copies.
pub(super) fn copies_among(rows: &Matrix<f32>, has_copies: bool) -> Repeats {
    match has_copies {
        true => Repeats::of(&rows.map(f64::from)),
        false => Repeats::none(rows.rows()),
    }
}

/// A weight as the loss has it, which no row is without.
pub(super) fn loss_weight(weight: f64, scale: f64) -> f32 {
    ((weight * scale) as f32).max(f32::MIN_POSITIVE)
}

/// The weights of rows to train on as the loss has them, 1 on average, and those of rows held out on the same scale; none where
/// all count the same.
pub(super) fn scaled(training: &[f64], mut held_out: Vec<f64>) -> (Vec<f32>, Vec<f64>) {
    let total: f64 = training.iter().sum();
    let scale = training.len() as f64 / total;
    held_out.iter_mut().for_each(|w| *w *= scale);
    let training = training.iter().map(|w| loss_weight(*w, scale));
    (training.collect(), held_out)
}

/// Some of so many rows, from all over the table, to compare steps by.
fn monitor_rows(rows: usize) -> Vec<u32> {
    const ROWS: usize = 1024;
    resample(rows, &[], rows.min(ROWS))
}

/// Steps between two checks: ten epochs, as a short table is overfitted in a few, from 10 to 50 steps; or as many
/// times 50 as it takes for validation to cost no more than a third of the steps (a step costs three times as much a row).
fn check_every(rows: usize, batch: usize, held_out: usize) -> usize {
    match held_out.div_ceil(batch * 50) {
        0 | 1 => match 10 * rows.div_ceil(batch) {
            0..=10 => 10,
            11..=25 => 25,
            _ => 50,
        },
        many => 50 * many,
    }
}
