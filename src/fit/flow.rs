use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use crate::cpu::CpuExecutor;
use crate::data::{RowNumbers, check_finite, take};
use crate::error::{Error, Message, Remedy, Result, quote};
use crate::executor::Executor;
use crate::flow::FlowSpec;
use crate::kinds::Preimages;
use crate::matrix::Matrix;
use crate::model::{Model, WeightedFlow};
use crate::preprocessing::check_levels;

use super::executors::Executors;
use super::members::{Members, spread};
use super::{Device, DeviceChoice, ExecutorRequest, Purpose};

/// A trained flow: a density over the columns of a table, in the units of the table. Several threads may use it at once,
/// those of a rayon pool among them.
///
/// Rows are rows of a [`Matrix`], one column a column of the table, in the order of [`Flow::columns`]. Numbers are computed in
/// f32: log-densities are right to 1e-5 nats where the flow is smooth, and to 4e-3 where it has very steep splines
/// (docs/numerics.md); [`Flow::in_f64`] is for what needs more.
pub struct Flow {
    model: Model,
    members: Members,
}

impl Flow {
    /// A flow on the CPU.
    ///
    /// # Errors
    /// [`Error::Spec`] where the flow cannot be, or memory does not hold it.
    pub fn new(model: Model) -> Result<Self> {
        Self::on(model, &Device::cpu())
    }

    /// A flow on a device.
    ///
    /// # Errors
    /// As [`Flow::new`]; [`Error::NoGpu`], [`Error::GpuLimit`] and [`Error::Gpu`] where the device cannot be used, and nothing
    /// else may be instead.
    pub fn on(model: Model, device: &Device) -> Result<Self> {
        Self::ready_for(Purpose::Score, model, device, false)
    }

    /// As [`Flow::on`], with an executor that is ready for one purpose. If the device keeps failing, the CPU takes over where
    /// `fallback` is set.
    ///
    /// # Errors
    /// As [`Flow::on`].
    pub fn ready_for(
        purpose: Purpose,
        model: Model,
        device: &Device,
        fallback: bool,
    ) -> Result<Self> {
        let plan = model.plan()?;
        model
            .check(&plan.layout)
            .map_err(|message| Error::Model(message.into()))?;
        let open = |flow: &WeightedFlow| {
            let request = ExecutorRequest {
                plan: plan.clone(),
                parameters: flow.parameters.clone(),
                purpose: purpose.clone(),
            };
            let executor = device.clone().open_recovering(request, fallback, |_| {})?;
            Ok(match device.adapter() {
                None => Executors::on_cpu::<f32>(executor),
                Some(_) => Executors::one(executor),
            })
        };
        let executors = model.flows.iter().map(open).collect::<Result<_>>()?;
        Ok(Flow {
            members: Members::new(executors),
            model,
        })
    }

    /// Reads a model file, for the CPU.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::new(Model::load(path.as_ref())?)
    }

    /// The same on another device.
    ///
    /// # Errors
    /// As [`Device::choose`], and those of opening the device.
    pub fn moved_to(self, choice: &DeviceChoice) -> Result<Self> {
        Self::on(self.model, &Device::choose(choice)?)
    }

    /// The same in 64-bit arithmetic, on the CPU: log-densities are those of the parameters to some 1e-12 nats.
    ///
    /// # Errors
    /// As [`Flow::new`].
    pub fn in_f64(self) -> Result<Self> {
        let plan = self.model.plan()?;
        let in_f64 = |flow: &WeightedFlow| {
            let executor = CpuExecutor::<f64>::new(plan.clone(), &flow.parameters);
            Executors::on_cpu::<f64>(Box::new(executor))
        };
        Ok(Flow {
            members: Members::new(self.model.flows.iter().map(in_f64).collect()),
            model: self.model,
        })
    }

    /// Writes the model file atomically: the path has the old file or the new one.
    ///
    /// # Errors
    /// As [`Model::save`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.model.save(path.as_ref())
    }

    /// What the flow is made of.
    pub fn spec(&self) -> &FlowSpec {
        &self.model.spec
    }

    /// The names of the modelled columns: of numbers, then of categories.
    pub fn columns(&self) -> Vec<String> {
        self.model.modelled()
    }

    /// The names of the context's columns; none where the flow takes no context.
    pub fn context_columns(&self) -> Vec<String> {
        self.model.context_names()
    }

    /// The names of the columns of a row: the modelled ones, then the context.
    pub fn all_columns(&self) -> Vec<String> {
        self.model.all_columns()
    }

    /// What a model file holds.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The device, for people.
    pub fn device(&self) -> String {
        self.members.describe(&self.model)
    }

    /// The log-density of each row, in nats and in the units of the table: log p(x) = log p(z) + log |det dz/dx|. Where f32
    /// numbers overflow it is minus infinity. Where there is context, it follows the modelled columns of each row, in the order of
    /// [`Flow::context_columns`].
    ///
    /// # Errors
    /// [`Error::Data`] for rows of another width, or a number that is not finite, with its row and column; [`Error::Gpu`].
    pub fn log_prob(&self, rows: &Matrix<f64>) -> Result<Vec<f64>> {
        self.check_rows(rows)?;
        let mut log_prob = match &self.model.preprocessing.kinds[..] {
            [column] if column.is_discrete() => self.log_prob_of_cells(column, rows)?,
            _ => self.log_prob_by_preimages(rows)?,
        };
        if let Some(frequencies) = &self.model.frequencies {
            let levels = rows.select_columns(self.model.columns.len()..rows.columns());
            for (sum, of_levels) in log_prob.iter_mut().zip(frequencies.log_prob(&levels)) {
                *sum += of_levels;
            }
        }
        Ok(log_prob)
    }

    /// The log-density by the real numbers that become those of a row.
    pub(super) fn log_prob_by_preimages(&self, rows: &Matrix<f64>) -> Result<Vec<f64>> {
        let of_rows = self.of_preimages(rows, |seen| {
            Ok(vec![self.members.log_prob(&self.model, seen)?])
        })?;
        Ok(of_rows.concat())
    }

    /// What densities over what the flows see are for rows of the table: a list for each density.
    fn of_preimages(
        &self,
        rows: &Matrix<f64>,
        densities: impl Fn(&Matrix<f64>) -> Result<Vec<Vec<f64>>>,
    ) -> Result<Vec<Vec<f64>>> {
        /// Rows at a time that are not those of the table.
        const ROWS: usize = 1 << 16;
        let preprocessing = &self.model.preprocessing;
        let of_rows = |rows: &Matrix<f64>| {
            let seen = preprocessing.apply(rows);
            let log_det = preprocessing.log_det(&seen);
            let mut all = densities(&seen)?;
            for (score, log_det) in all.iter_mut().flat_map(|it| it.iter_mut().zip(&log_det)) {
                *score += log_det;
            }
            Ok(all)
        };
        let kinds = &preprocessing.kinds;
        if kinds.is_empty() {
            return of_rows(rows);
        }
        let is_there = |row: &usize| {
            let mut columns = kinds.iter().zip(rows.row(*row));
            columns.all(|(column, x)| column.contains(x))
        };
        let there: Vec<u32> = (0..rows.rows())
            .filter(is_there)
            .map(|row| row as u32)
            .collect();
        let widths = preprocessing.widths();
        let mut all: Vec<Vec<f64>> = Vec::new();
        for some in there.chunks((ROWS / Preimages::most(kinds)).max(1)) {
            let preimages = Preimages::of(kinds, &take(rows, some), widths.as_deref());
            let found = of_rows(&preimages.rows)?;
            // Where no number of the table stands for a row, its density is 0.
            all.resize(found.len(), vec![f64::NEG_INFINITY; rows.rows()]);
            for (all, found) in all.iter_mut().zip(found) {
                for (row, sum) in some.iter().zip(preimages.log_sums(&found)) {
                    all[*row as usize] = sum;
                }
            }
        }
        if all.is_empty() {
            let none = densities(&Matrix::zeros(
                0,
                self.model.spec.dims + self.model.spec.context,
            ))?;
            all.resize(none.len(), vec![f64::NEG_INFINITY; rows.rows()]);
        }
        Ok(all)
    }

    /// How sure the model is of the log-density of each row: its standard deviation over the flows of an ensemble, in nats. It is large
    /// where the rows fitted to leave the density open.
    ///
    /// # Errors
    /// As [`Flow::log_prob`]; [`Error::Spec`] for a model of fewer than two flows.
    pub fn spread(&self, rows: &Matrix<f64>) -> Result<Vec<f64>> {
        self.model.check_spread()?;
        self.check_rows(rows)?;
        let of_flows = self.of_preimages(rows, |seen| {
            let of_flow = |_, executor: &mut dyn Executor| executor.log_prob(seen);
            self.members.each(&self.model, of_flow)
        })?;
        Ok(spread(&of_flows))
    }

    /// log p(x | c) of each row of `x` given the same row of `context`, or given its only row.
    ///
    /// # Errors
    /// As [`Flow::log_prob`]; [`Error::Data`] for another number of rows of context.
    pub fn log_prob_given(&self, x: &Matrix<f64>, context: &Matrix<f64>) -> Result<Vec<f64>> {
        self.log_prob(&self.rows_given(x, context)?)
    }

    /// Rows as [`Flow::log_prob`] takes them: those of `x`, each with the same row of `context` behind it, or with its only row.
    ///
    /// # Errors
    /// [`Error::Data`] for rows or context of another width, or another number of rows of context.
    pub fn rows_given(&self, x: &Matrix<f64>, context: &Matrix<f64>) -> Result<Matrix<f64>> {
        self.check(x, "rows", &self.model.modelled())?;
        let context = self.context_for(x.rows(), context)?;
        Ok(x.concat_columns(&context))
    }

    /// Rows drawn from the density: row i depends on the seed and on i alone.
    ///
    /// # Errors
    /// [`Error::Spec`] for more rows than memory holds; [`Error::Data`] where the flow takes context; [`Error::Gpu`].
    pub fn sample(&self, rows: Range<u64>, seed: u64) -> Result<Matrix<f64>> {
        if let [first, ..] = self.model.given() {
            let text = format!("the model is a density given {}", quote(&first.name));
            let action = "say what is given";
            return Err(Error::Data(
                Message::new(text).remedy(Remedy::with(action, "given")),
            ));
        }
        let nothing = Matrix::zeros(rows.end.saturating_sub(rows.start) as usize, 0);
        self.sample_given(&nothing, rows, seed)
    }

    /// Rows `rows` of the sample of `seed`, each drawn given the same row of `context`, or given its only row.
    ///
    /// # Errors
    /// As [`Flow::log_prob_given`]; [`Error::Spec`] for more rows than memory holds.
    pub fn sample_given(
        &self,
        context: &Matrix<f64>,
        rows: Range<u64>,
        seed: u64,
    ) -> Result<Matrix<f64>> {
        let count = rows.end.saturating_sub(rows.start) as usize;
        let given = self.context_for(count, context)?;
        let levels = self.model.frequencies.as_ref().map(|frequencies| {
            let numbers: Vec<u64> = rows.clone().collect();
            frequencies.sample(seed, &numbers, &given)
        });
        let context = match &levels {
            None => given,
            Some(levels) => Cow::Owned(levels.concat_columns(&given)),
        };
        let seen = self.model.preprocessing.apply_to_context(&context);
        let sample = self.members.sample(&self.model, seed, rows, &seen)?;
        let sample = self.in_table(&sample.concat_columns(&seen));
        Ok(match levels {
            None => sample,
            Some(levels) => sample.concat_columns(&levels),
        })
    }

    /// The modelled columns of rows as the flows see them.
    fn in_table(&self, seen: &Matrix<f64>) -> Matrix<f64> {
        let preprocessing = &self.model.preprocessing;
        preprocessing.images(preprocessing.undo(seen))
    }

    /// The latent z of each row, and log |det dz/dx|: the density of z is the flow's base density. Rows are those of
    /// [`Flow::log_prob`]. A whole number has the latent of the middle of its cell; columns of categories, which have no latent, follow
    /// as they are, and the density is one given these.
    ///
    /// # Errors
    /// As [`Flow::log_prob`]; [`Error::Data`] for a number that is none of its column's.
    pub fn forward(&self, rows: &Matrix<f64>) -> Result<(Matrix<f64>, Vec<f64>)> {
        self.check_rows(rows)?;
        let kinds = self.model.preprocessing.kinds.iter().enumerate();
        for ((j, column), name) in kinds.zip(&self.model.columns) {
            column
                .check(rows.column(j), RowNumbers::All, name)
                .map_err(Error::Data)?;
        }
        let seen = self.model.preprocessing.apply(rows);
        let (z, mut log_det) = self.members.forward(&self.model, &seen)?;
        let of_preprocessing = self.model.preprocessing.log_det(&seen);
        for (sum, log_det) in log_det.iter_mut().zip(of_preprocessing) {
            *sum += log_det;
        }
        let dims = self.model.columns.len();
        let levels = rows.select_columns(dims..dims + self.model.categories().len());
        Ok((z.concat_columns(&levels), log_det))
    }

    /// The same of the rows of `x`, each given the same row of `context`, or given its only row.
    ///
    /// # Errors
    /// As [`Flow::log_prob_given`].
    pub fn forward_given(
        &self,
        x: &Matrix<f64>,
        context: &Matrix<f64>,
    ) -> Result<(Matrix<f64>, Vec<f64>)> {
        self.forward(&self.rows_given(x, context)?)
    }

    /// The rows that latents come from, of a flow without context.
    ///
    /// # Errors
    /// As [`Flow::log_prob`].
    pub fn inverse(&self, z: &Matrix<f64>) -> Result<Matrix<f64>> {
        self.inverse_given(z, &Matrix::zeros(z.rows(), 0))
    }

    /// The rows that latents come from, each given the same row of `context`, or given its only row. Latents of a model of categories
    /// have these behind them, since they have no latent.
    ///
    /// # Errors
    /// As [`Flow::log_prob_given`].
    pub fn inverse_given(&self, z: &Matrix<f64>, context: &Matrix<f64>) -> Result<Matrix<f64>> {
        self.check(z, "latents", &self.model.modelled())?;
        let dims = self.model.columns.len();
        check_levels(self.model.categories(), z, RowNumbers::All, dims)?;
        let levels = z.select_columns(dims..z.columns());
        let z = z.select_columns(0..dims);
        let context = levels.concat_columns(&*self.context_for(z.rows(), context)?);
        let context = self.model.preprocessing.apply_to_context(&context);
        let z = z.concat_columns(&context);
        let x = self.members.inverse(&self.model, &z)?;
        Ok(self
            .in_table(&x.concat_columns(&context))
            .concat_columns(&levels))
    }

    /// Context for so many rows, as the flows see it.
    pub(super) fn seen_context(&self, count: usize, context: &Matrix<f64>) -> Result<Matrix<f64>> {
        let context = self.context_for(count, context)?;
        Ok(self.model.preprocessing.apply_to_context(&context))
    }

    /// Context for so many rows: one of its rows for each, or its only row for all.
    fn context_for<'c>(
        &self,
        count: usize,
        context: &'c Matrix<f64>,
    ) -> Result<Cow<'c, Matrix<f64>>> {
        let names = self.model.context_names();
        self.check(context, "context", &names)?;
        check_levels(self.model.given(), context, RowNumbers::All, 0)?;
        match context.rows() {
            rows if rows == count => Ok(Cow::Borrowed(context)),
            1 => {
                let repeated = Matrix::from_fn(count, context.columns(), |_, j| context.get(0, j));
                Ok(Cow::Owned(repeated))
            }
            rows => Err(Error::data(format!(
                "{rows} rows of context for {count} rows"
            ))),
        }
    }

    fn check(&self, rows: &Matrix<f64>, what: &str, names: &[String]) -> Result<()> {
        if rows.columns() != names.len() {
            let given = match self.model.given().len() {
                0 => String::new(),
                context => format!(" given {context}"),
            };
            return Err(Error::data(format!(
                "{what} of {} columns for a flow over {}{given}, where {} are needed",
                rows.columns(),
                self.model.modelled().len(),
                names.len()
            )));
        }
        check_finite(rows, names)
    }

    /// Refuses rows that do not have the modelled columns and the context behind them.
    pub(super) fn check_rows(&self, rows: &Matrix<f64>) -> Result<()> {
        let model = &self.model;
        self.check(rows, "rows", &model.all_columns())?;
        let context = model.preprocessing.context_columns();
        check_levels(context, rows, RowNumbers::All, model.columns.len())
    }

    /// What computes its density.
    pub(super) fn members(&self) -> &Members {
        &self.members
    }
}
