//! The GPU executor: hand-written WGSL kernels (`shaders/`) on wgpu, one kernel an op or, to train small flows, one for all. Data, parameters, gradients,
//! moments and losses stay on the device; many steps go into one submission, and losses come back together.
//!
//! A batch whose activations do not fit goes through in runs of rows, whose gradients are added in order. Every sum has
//! a fixed order and there are no float atomics: the same binary on the same device with the same seed gives the same
//! bits.

pub mod ceiling;
mod device;
pub(crate) mod dispatch;
mod fused;
pub(crate) mod kernels;
pub(crate) mod pipelines;
pub(crate) mod program;
mod readback;
mod ring;
mod shader;
pub(crate) mod sizes;
mod terms;
mod timestamps;

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::executor::{
    Batches, Executor, Fault, KernelTime, Taken, Training, TrainingState, check_count,
    check_training_rows, check_width, never_nan, not_started, sample_count,
};
use crate::flow::Plan;
use crate::matrix::Matrix;

pub use device::{Adapter, Gpu, adapters};
pub use kernels::{Access, Kernel};
pub use shader::Source;

use dispatch::{Builder, Data, Dispatch, Optimizer};
use fused::{Fused, Lanes, Pass};
use kernels::{Gate, Segment, Step};
use pipelines::Pipelines;
use program::{Program, TrainingProgram};
use readback::{Pending, Readback};
use ring::RING;
use sizes::Sizes;

/// Rows that go through the device together when scoring and sampling.
const INFERENCE_ROWS: usize = 16_384;

/// Losses that the device keeps between two readbacks: enough for many submissions of the smallest flow's steps.
const LOSSES: usize = 1 << 14;

/// Numbers of a [`Gate`].
const GATE: usize = size_of::<Gate>() / 4;

/// How long one submission should take: long enough to hide its cost, short enough for desktop watchdogs.
const SUBMISSION: Duration = Duration::from_millis(75);

/// Runs a plan on a GPU.
pub struct GpuExecutor {
    gpu: Gpu,
    pipelines: Pipelines,
    plan: Plan,
    parameters: wgpu::Buffer,
    path: GpuPath,
    lanes: Lanes,
    /// For scoring and sampling, and how that runs, in words.
    inference: Option<(Program, String)>,
    session: Option<Session>,
}

/// How a step runs on the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GpuPath {
    /// Fused where the flow fits, else staged.
    #[default]
    Auto,
    /// One kernel takes rows through the whole flow and back.
    Fused,
    /// One kernel an op.
    Staged,
}

impl GpuPath {
    /// The fused form of a flow, if this path is to take it; else why not. `suits` says whether it is the faster one.
    ///
    /// # Errors
    /// [`Error::GpuLimit`] where it is asked for and the flow has none.
    fn fused<T>(
        self,
        form: impl FnOnce() -> Result<T, String>,
        suits: impl FnOnce(&T) -> Result<(), String>,
    ) -> Result<Result<T, String>> {
        match self {
            GpuPath::Staged => Ok(Err("as asked".into())),
            GpuPath::Auto => Ok(form().and_then(|form| suits(&form).map(|()| form))),
            GpuPath::Fused => form().map(Ok).map_err(|why| {
                Error::GpuLimit(format!(
                    "this flow does not fit the fused path: {why}; leave --gpu-path out"
                ))
            }),
        }
    }
}

/// What training keeps between steps.
struct Session {
    program: TrainingProgram,
    /// How its steps run, in words.
    path: String,
    optimizer: Optimizer,
    /// For losses, and the gate behind them.
    back: Readback,
    batches: Batches,
    training: Training,
    step: u64,
    rate_factor: f64,
    /// The loss and the fault of a step that could not be taken: the gate is shut.
    stuck: Option<(f64, Fault)>,
    /// Runs of rows in the next submission; follows the clock.
    runs_per_submission: usize,
}

impl GpuExecutor {
    /// An executor on an adapter, with the given parameters (flat, in the order of the plan's layout). The device is
    /// opened with the WebGPU default limits, which is all that the kernels need: what runs on one adapter runs on every
    /// one.
    ///
    /// # Errors
    /// As [`Gpu::open`]; [`crate::Error::GpuLimit`] where the model does not fit the device's limits.
    ///
    /// # Panics
    /// If the number of parameters is not that of the layout.
    pub fn new(adapter: &Adapter, plan: Plan, parameters: &[f32]) -> Result<Self> {
        Self::with_limits(adapter, plan, parameters, wgpu::Limits::default())
    }

    /// As [`GpuExecutor::new`], with other limits. Smaller bindings make batches and data go through in more pieces.
    ///
    /// # Errors
    /// As [`GpuExecutor::new`].
    ///
    /// # Panics
    /// As [`GpuExecutor::new`].
    pub fn with_limits(
        adapter: &Adapter,
        plan: Plan,
        parameters: &[f32],
        limits: wgpu::Limits,
    ) -> Result<Self> {
        assert_eq!(
            parameters.len(),
            plan.layout.len(),
            "parameters of the layout"
        );
        let gpu = Gpu::open(adapter, limits)?;
        // Refuses what cannot run before anything is allocated.
        Sizes::new(&plan, &gpu.device.limits(), 1, true)?;
        if gpu.is_software {
            sizes::check_loops(&plan)?;
        }
        let lanes = match gpu.is_software {
            true => Lanes::Few,
            false => Lanes::Many,
        };
        let pipelines = Pipelines::new(&gpu);
        let buffer = gpu.allocate("the parameters", || gpu.parameters(parameters.len()))?;
        gpu.queue
            .write_buffer(&buffer, 0, bytemuck::cast_slice(parameters));
        Ok(GpuExecutor {
            gpu,
            pipelines,
            plan,
            parameters: buffer,
            path: GpuPath::Auto,
            lanes,
            inference: None,
            session: None,
        })
    }

    /// Has the fused path share its tiles as on a hardware GPU, whatever the adapter: for tests on a software one.
    pub fn share_as_on_hardware(&mut self) {
        self.lanes = Lanes::Many;
        self.inference = None;
    }

    /// Has the next [`Executor::start`] take this path, and scoring and sampling as well.
    pub fn set_path(&mut self, path: GpuPath) {
        self.path = path;
        self.inference = None;
    }

    /// Replaces the content of a buffer that lies as the layout does.
    fn write(&self, buffer: &wgpu::Buffer, values: &[f64]) -> Result<()> {
        check_count(&self.plan, values.len())?;
        let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
        self.gpu
            .queue
            .write_buffer(buffer, 0, bytemuck::cast_slice(&values));
        self.gpu.check()
    }

    fn builder(&self) -> Builder<'_> {
        Builder {
            gpu: &self.gpu,
            pipelines: &self.pipelines,
            plan: &self.plan,
            parameters: &self.parameters,
            buffers: &[],
        }
    }

    /// The program for scoring and sampling, made when it is first needed.
    fn inference(&mut self) -> Result<()> {
        if self.inference.is_some() {
            return Ok(());
        }
        let limits = self.gpu.device.limits();
        let is_software = self.gpu.is_software;
        let fused = |pass| Fused::to_infer(&self.plan, &limits, is_software, self.lanes, pass);
        let fused = self.path.fused(
            || Ok((fused(Pass::Forward)?, fused(Pass::Inverse)?)),
            |(forward, _)| forward.suits(is_software),
        )?;
        self.inference = Some(match fused {
            Ok((forward, inverse)) => (
                Program::fused(self.builder(), &forward, &inverse, INFERENCE_ROWS)?,
                format!("fused ({})", forward.describe()),
            ),
            Err(why) => {
                let sizes = Sizes::new(&self.plan, &limits, INFERENCE_ROWS, false)?;
                (
                    Program::staged(self.builder(), sizes.rows)?,
                    format!("staged ({why})"),
                )
            }
        });
        Ok(())
    }

    /// Puts runs of rows into the state `input`, runs `dispatches` on each, and copies the first columns of each of
    /// `outputs` back: one matrix an output.
    fn map_rows(
        &mut self,
        rows: usize,
        mut fill: impl FnMut(&Gpu, &Program, Range<usize>) -> Step,
        dispatches: impl Fn(&Program) -> Vec<&Dispatch>,
        outputs: impl Fn(&Program) -> Vec<(&wgpu::Buffer, usize)>,
    ) -> Result<Vec<Matrix<f64>>> {
        self.inference()?;
        let (program, _) = self.inference.as_ref().expect("just made");
        let gpu = &self.gpu;
        let stride = program.rows;
        let outputs = outputs(program);
        let mut matrices: Vec<Matrix<f64>> = outputs
            .iter()
            .map(|&(_, columns)| Matrix::zeros(rows, columns))
            .collect();
        let sources: Vec<(&wgpu::Buffer, usize)> = outputs
            .iter()
            .map(|&(buffer, columns)| (buffer, columns * stride))
            .collect();
        let numbers = sources.iter().map(|(_, count)| count).sum();
        // While the device has one run of rows, the host takes the one before it and sends the one behind it.
        let readbacks = (0..rows.div_ceil(stride).min(2))
            .map(|_| Readback::new(gpu, numbers))
            .collect::<Result<Vec<_>>>()?;
        let mut take = |readback: &Readback, (places, pending): (Range<usize>, Pending)| {
            let mut values = &readback.finish(gpu, pending)?[..];
            for (matrix, &(_, columns)) in matrices.iter_mut().zip(&outputs) {
                for column in 0..columns {
                    let source = &values[column * stride..][..places.len()];
                    let target = &mut matrix.column_mut(column)[places.clone()];
                    for (target, &value) in target.iter_mut().zip(source) {
                        *target = f64::from(value);
                    }
                }
                values = &values[columns * stride..];
            }
            Ok::<(), Error>(())
        };
        let mut sent = None;
        for (run, first) in (0..rows).step_by(stride).enumerate() {
            let places = first..rows.min(first + stride);
            let mut step = fill(gpu, program, places.clone());
            step.rows = places.len() as u32;
            step.stride = stride as u32;
            program.ring.write(gpu, &[step]);
            let mut encoder = gpu.encoder();
            encoder.clear_buffer(&program.log_det, 0, None);
            {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                program.ring.bind(&mut pass, 0);
                for dispatch in dispatches(program) {
                    dispatch.record(&mut pass, &step);
                }
            }
            let readback = &readbacks[run % readbacks.len()];
            let pending = readback.submit(gpu, encoder, &sources);
            if let Some((readback, sent)) = sent.replace((readback, (places, pending))) {
                take(readback, sent)?;
            }
        }
        if let Some((readback, sent)) = sent {
            take(readback, sent)?;
        }
        Ok(matrices)
    }
}

/// Uploads some rows of a table into a state of the flow.
fn upload(gpu: &Gpu, stride: usize, state: &wgpu::Buffer, x: &Matrix<f64>, rows: Range<usize>) {
    let mut values = vec![0f32; x.columns() * stride];
    for (j, column) in values.chunks_exact_mut(stride).enumerate() {
        for (value, &x) in column.iter_mut().zip(&x.column(j)[rows.clone()]) {
            *value = x as f32;
        }
    }
    gpu.queue
        .write_buffer(state, 0, bytemuck::cast_slice(&values));
}

/// Uploads the training rows, cut so that every piece can be bound.
fn upload_data(gpu: &Gpu, rows: &Matrix<f32>) -> Result<Data> {
    let limits = gpu.device.limits();
    let most = (sizes::binding(&limits) / (4 * rows.columns())).max(1);
    let mut segments = Vec::new();
    for first in (0..rows.rows()).step_by(most) {
        let count = most.min(rows.rows() - first);
        let buffer = gpu.allocate("the data", || gpu.buffer("data", count * rows.columns()))?;
        for j in 0..rows.columns() {
            let column = &rows.column(j)[first..first + count];
            let offset = 4 * (j * count) as u64;
            gpu.queue
                .write_buffer(&buffer, offset, bytemuck::cast_slice(column));
        }
        let record = Segment {
            dims: rows.columns() as u32,
            first: first as u32,
            rows: count as u32,
        };
        segments.push((record, buffer));
    }
    gpu.check()?;
    Ok(Data { segments })
}

impl Session {
    fn new(
        builder: Builder<'_>,
        (path, lanes): (GpuPath, Lanes),
        rows: &Matrix<f32>,
        training: &Training,
    ) -> Result<Self> {
        let Builder {
            gpu,
            plan,
            parameters,
            ..
        } = builder;
        let batches = Batches::new(rows.rows(), training.batch_size, training.seed);
        let data = upload_data(gpu, rows)?;
        let count = plan.layout.len();
        let averages = training.optimizer.average > 0.0;
        let optimizer = gpu.allocate("the optimiser's moments", || Optimizer {
            gradient: gpu.buffer("gradient", count),
            first_moment: gpu.buffer("first moment", count),
            second_moment: gpu.buffer("second moment", count),
            losses: gpu.buffer("losses", LOSSES),
            gate: gpu.buffer("gate", GATE),
            average: gpu.buffer("average", if averages { count } else { 1 }),
        })?;
        if averages {
            let mut encoder = gpu.encoder();
            encoder.copy_buffer_to_buffer(parameters, 0, &optimizer.average, 0, 4 * count as u64);
            gpu.run(encoder)?;
        }
        let limits = gpu.device.limits();
        let fused = path.fused(
            || match data.segments.len() {
                1 => Fused::to_train(plan, &limits, gpu.is_software, lanes, batches.size()),
                _ => Err("the data take more than one binding".into()),
            },
            |(fused, _)| fused.suits(gpu.is_software),
        )?;
        let (program, path) = match fused {
            Ok((fused, groups)) => (
                TrainingProgram::fused(builder, &fused, groups, &data, &optimizer)?,
                format!("fused ({}, in {groups} groups)", fused.describe()),
            ),
            Err(why) => {
                let sizes = Sizes::new(plan, &limits, batches.size(), true)?;
                (
                    TrainingProgram::staged(builder, sizes, &data, &optimizer)?,
                    format!("staged ({why})"),
                )
            }
        };
        Ok(Session {
            program,
            path,
            back: Readback::new(gpu, LOSSES + GATE)?,
            optimizer,
            batches,
            training: training.clone(),
            step: 0,
            rate_factor: 1.0,
            stuck: None,
            runs_per_submission: 1,
        })
    }

    /// The runs of rows that make up step `step`, and whether each is the last of them; the loss goes to `slot`.
    fn runs(&self, plan: &Plan, step: u64, slot: usize) -> Vec<(Step, bool)> {
        let batch = self.batches.batch(step);
        let program = &self.program;
        let mut whole = Step {
            stride: program.rows as u32,
            rows_per_split: program.rows_per_split as u32,
            parameters: plan.layout.len() as u32,
            share: 1.0 / batch.rows as f32,
            slot: slot as u32,
            ..Step::default()
        };
        let mut numbers = self.training.optimizer.at(step);
        numbers.learning_rate *= self.rate_factor;
        whole.optimize(&numbers);
        (0..batch.rows)
            .step_by(program.rows)
            .map(|place| {
                let mut run = Step {
                    rows: (batch.rows - place).min(program.rows as u32),
                    add: u32::from(place > 0),
                    ..whole
                };
                run.visit(&batch, place);
                (run, place + run.rows == batch.rows)
            })
            .collect()
    }

    /// Runs of rows as commands; after those that end a step (`last`), the update, if `update`.
    fn record(&self, gpu: &Gpu, runs: &[(Step, bool)], update: bool) -> wgpu::CommandEncoder {
        self.write_steps(gpu, runs);
        let mut encoder = gpu.encoder();
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            for (place, (step, last)) in runs.iter().enumerate() {
                self.program.ring.bind(&mut pass, place);
                for dispatch in self.dispatches(update && *last) {
                    dispatch.record(&mut pass, step);
                }
            }
        }
        encoder
    }

    fn write_steps(&self, gpu: &Gpu, runs: &[(Step, bool)]) {
        let records: Vec<Step> = runs.iter().map(|(step, _)| *step).collect();
        self.program.ring.write(gpu, &records);
    }

    /// A run of rows to loss and gradient, and where it ends a step on to the parameters.
    fn dispatches(&self, ends_step: bool) -> impl Iterator<Item = &Dispatch> {
        let update = self.program.update.iter().filter(move |_| ends_step);
        self.program.evaluate.iter().chain(update)
    }

    /// Takes the next step, with the time of each of its kernels.
    fn timed_step(&mut self, gpu: &Gpu, plan: &Plan) -> Result<Vec<KernelTime>> {
        let mut times = Vec::new();
        if self.stuck.is_some() {
            return Ok(times);
        }
        for runs in self.runs(plan, self.step, 0).chunks(RING) {
            self.write_steps(gpu, runs);
            let mut list = Vec::new();
            for (place, (step, last)) in runs.iter().enumerate() {
                let dispatches = self.dispatches(*last);
                list.extend(dispatches.map(|dispatch| (place, step, dispatch)));
            }
            timestamps::add(gpu, &self.program.ring, &list, &mut times)?;
        }
        self.taken(gpu, 1)?;
        Ok(times)
    }

    /// Takes `steps` steps, no more than the losses' buffer holds.
    fn train(&mut self, gpu: &Gpu, plan: &Plan, steps: usize) -> Result<Taken> {
        if let Some((loss, fault)) = self.stuck {
            return Ok(Taken {
                losses: vec![loss],
                fault: Some(fault),
            });
        }
        let mut queue: Vec<(Step, bool)> = Vec::new();
        let mut planned = 0;
        // While the device has one submission, the host makes the next.
        let mut sent: Option<(wgpu::SubmissionIndex, usize)> = None;
        let mut latest = Instant::now();
        while planned < steps || !queue.is_empty() {
            while planned < steps && queue.len() < self.runs_per_submission {
                queue.extend(self.runs(plan, self.step + planned as u64, planned));
                planned += 1;
            }
            let count = queue.len().min(self.runs_per_submission);
            let submission = gpu.submit(self.record(gpu, &queue[..count], true));
            queue.drain(..count);
            if let Some((before, count)) = sent.replace((submission, count)) {
                gpu.wait(before)?;
                self.pace(count, latest.elapsed());
                latest = Instant::now();
            }
        }
        self.taken(gpu, steps)
    }

    /// Takes to heart how long a submission of `count` runs took.
    fn pace(&mut self, count: usize, took: Duration) {
        // Towards the length wanted, at most four times longer at a time.
        let share = SUBMISSION.as_secs_f64() / took.as_secs_f64().max(1e-6);
        let wanted = count as f64 * share.min(4.0);
        self.runs_per_submission = (wanted as usize).clamp(1, RING);
    }

    /// What came of `steps` steps that were submitted.
    fn taken(&mut self, gpu: &Gpu, steps: usize) -> Result<Taken> {
        let (mut losses, gate) = self.losses(gpu, steps)?;
        let fault = gate.fault();
        match fault {
            None => self.step += steps as u64,
            Some(fault) => {
                let slot = gate.fault_slot();
                losses.truncate(slot + 1);
                self.step += slot as u64;
                self.stuck = Some((losses[slot], fault));
            }
        }
        Ok(Taken { losses, fault })
    }

    /// The first losses, and the gate.
    fn losses(&self, gpu: &Gpu, count: usize) -> Result<(Vec<f64>, Gate)> {
        let Optimizer { losses, gate, .. } = &self.optimizer;
        let sources = [(losses, count), (gate, GATE)];
        let pending = self.back.submit(gpu, gpu.encoder(), &sources);
        let mut values = self.back.finish(gpu, pending)?;
        let gate = bytemuck::pod_read_unaligned(bytemuck::cast_slice(&values[count..]));
        values.truncate(count);
        Ok((widen(&values), gate))
    }

    /// Lets steps through again.
    fn open_gate(&mut self, gpu: &Gpu) {
        self.stuck = None;
        gpu.queue.write_buffer(
            &self.optimizer.gate,
            0,
            bytemuck::bytes_of(&Gate::default()),
        );
    }
}

fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

impl Executor for GpuExecutor {
    fn describe(&self) -> String {
        let device = &self.gpu.description;
        match (&self.session, &self.inference) {
            (Some(Session { path, .. }), _) | (None, Some((_, path))) => {
                format!("{device}, {path}")
            }
            (None, None) => device.clone(),
        }
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn parameters(&mut self) -> Result<Vec<f64>> {
        let count = self.plan.layout.len();
        Ok(widen(&self.gpu.read(&self.parameters, count)?))
    }

    fn set_parameters(&mut self, parameters: &[f64]) -> Result<()> {
        self.write(&self.parameters, parameters)
    }

    fn start(&mut self, rows: &Matrix<f32>, training: &Training) -> Result<()> {
        check_training_rows(&self.plan, rows)?;
        self.session = None;
        self.session = Some(Session::new(
            self.builder(),
            (self.path, self.lanes),
            rows,
            training,
        )?);
        Ok(())
    }

    fn train(&mut self, steps: usize) -> Result<Taken> {
        let session = started(&mut self.session)?;
        let mut losses = Vec::with_capacity(steps);
        let mut fault = None;
        while losses.len() < steps && fault.is_none() {
            let some = LOSSES.min(steps - losses.len());
            let taken = session.train(&self.gpu, &self.plan, some)?;
            losses.extend(taken.losses);
            fault = taken.fault;
        }
        Ok(Taken { losses, fault })
    }

    fn timed_step(&mut self) -> Result<Vec<KernelTime>> {
        if !self.gpu.has_clock() {
            self.train(1)?;
            return Ok(Vec::new());
        }
        let session = started(&mut self.session)?;
        session.timed_step(&self.gpu, &self.plan)
    }

    fn loss_and_gradient(&mut self) -> Result<(f64, Vec<f64>)> {
        let session = started(&mut self.session)?;
        let runs = session.runs(&self.plan, session.step, 0);
        for run in runs {
            self.gpu.run(session.record(&self.gpu, &[run], false))?;
        }
        let loss = session.losses(&self.gpu, 1)?.0[0];
        let count = self.plan.layout.len();
        let gradient = self.gpu.read(&session.optimizer.gradient, count)?;
        Ok((loss, widen(&gradient)))
    }

    fn state(&mut self) -> Result<TrainingState> {
        let session = started(&mut self.session)?;
        let count = self.plan.layout.len();
        let optimizer = &session.optimizer;
        let mut sources = vec![
            (&self.parameters, count),
            (&optimizer.first_moment, count),
            (&optimizer.second_moment, count),
        ];
        if session.training.optimizer.average > 0.0 {
            sources.push((&optimizer.average, count));
        }
        let values = self.gpu.read_all(&sources)?;
        let mut parts = values.chunks(count.max(1)).map(widen);
        let mut next = || parts.next().unwrap_or_default();
        Ok(TrainingState {
            step: session.step,
            parameters: next(),
            first_moment: next(),
            second_moment: next(),
            average: next(),
            rate_factor: session.rate_factor,
        })
    }

    fn set_state(&mut self, state: &TrainingState) -> Result<()> {
        let session = started(&mut self.session)?;
        let optimizer = &session.optimizer;
        let mut places = vec![
            (self.parameters.clone(), &state.parameters),
            (optimizer.first_moment.clone(), &state.first_moment),
            (optimizer.second_moment.clone(), &state.second_moment),
        ];
        if session.training.optimizer.average > 0.0 {
            places.push((optimizer.average.clone(), &state.average));
        }
        // Before anything is changed.
        for (_, values) in &places {
            check_count(&self.plan, values.len())?;
        }
        session.step = state.step;
        session.rate_factor = state.rate_factor;
        session.open_gate(&self.gpu);
        for (buffer, values) in places {
            self.write(&buffer, values)?;
        }
        Ok(())
    }

    fn forward(&mut self, x: &Matrix<f64>) -> Result<(Matrix<f64>, Vec<f64>)> {
        check_width(&self.plan, x.columns())?;
        let dims = self.plan.dims();
        let out = self.map_rows(
            x.rows(),
            |gpu, program, rows| {
                upload(gpu, program.rows, &program.data, x, rows);
                Step::default()
            },
            |program| program.forward.iter().collect(),
            |program| vec![(&program.latent, dims), (&program.log_det, 1)],
        )?;
        let [z, log_det] = <[_; 2]>::try_from(out).expect("two outputs");
        Ok((z, log_det.into_values()))
    }

    fn inverse(&mut self, z: &Matrix<f64>) -> Result<Matrix<f64>> {
        check_width(&self.plan, z.columns())?;
        let dims = self.plan.dims();
        let out = self.map_rows(
            z.rows(),
            |gpu, program, rows| {
                upload(gpu, program.rows, &program.latent, z, rows);
                Step::default()
            },
            |program| program.inverse.iter().collect(),
            |program| vec![(&program.data, dims)],
        )?;
        let [x] = <[_; 1]>::try_from(out).expect("one output");
        Ok(x)
    }

    fn log_prob(&mut self, x: &Matrix<f64>) -> Result<Vec<f64>> {
        check_width(&self.plan, x.columns())?;
        let out = self.map_rows(
            x.rows(),
            |gpu, program, rows| {
                upload(gpu, program.rows, &program.data, x, rows);
                Step::default()
            },
            |program| program.forward.iter().collect(),
            |program| vec![(&program.log_prob, 1)],
        )?;
        let [log_prob] = <[_; 1]>::try_from(out).expect("one output");
        Ok(never_nan(log_prob.into_values()))
    }

    fn sample(&mut self, seed: u64, rows: Range<u64>) -> Result<Matrix<f64>> {
        let dims = self.plan.dims();
        let count = sample_count(&self.plan, &rows)?;
        let out = self.map_rows(
            count,
            |_, _, places| {
                let first = rows.start + places.start as u64;
                Step {
                    seed_low: seed as u32,
                    seed_high: (seed >> 32) as u32,
                    sample_row_low: first as u32,
                    sample_row_high: (first >> 32) as u32,
                    ..Step::default()
                }
            },
            |program| {
                let noise = std::iter::once(&program.sample);
                noise.chain(&program.inverse).collect()
            },
            |program| vec![(&program.data, dims)],
        )?;
        let [x] = <[_; 1]>::try_from(out).expect("one output");
        Ok(x)
    }
}

/// The training session, which the caller was told to start.
fn started(session: &mut Option<Session>) -> Result<&mut Session> {
    session.as_mut().ok_or_else(not_started)
}
