use std::ops::Range;

use crate::error::{Error, Result};
use crate::executor::{
    Batch, Batches, Fault, KernelTime, StepsOutcome, Training, TrainingState, check_batch,
    check_count, check_replacement,
};
use crate::flow::Plan;
use crate::matrix::Matrix;

use super::GpuPath;
use super::builder::{Builder, Data, Optimizer};
use super::device::Gpu;
use super::fused::Fused;
use super::kernels::{Gate, Segment, Step};
use super::program::TrainingProgram;
use super::queue::{Queue, Submission};
use super::readback::{Readback, widen};
use super::sizes::{self, Sizes};
use super::timestamps::{self, Timed};

/// Losses that the device keeps between two readbacks: enough for many submissions of the smallest flow's steps.
pub const LOSSES: usize = 1 << 14;

/// Numbers of a [`Gate`].
const GATE: usize = size_of::<Gate>() / 4;

/// What training keeps between steps.
pub struct Session {
    program: TrainingProgram,
    /// How its steps run, in words.
    pub path: String,
    optimizer: Optimizer,
    /// For losses, and the gate behind them.
    back: Readback,
    batches: Batches,
    data: Data,
    /// Rows that training was started with, and those of its batches.
    room: (usize, usize),
    training: Training,
    step: u64,
    rate_factor: f64,
    /// The loss and the fault of a step that could not be taken: the gate is shut.
    stuck: Option<(f64, Fault)>,
    queue: Queue,
}

/// Writes columns into a buffer that has room for `stride` numbers of each.
fn write_columns<'c>(
    gpu: &Gpu,
    buffer: &wgpu::Buffer,
    stride: usize,
    columns: impl Iterator<Item = &'c [f32]>,
) {
    for (j, column) in columns.enumerate() {
        let offset = 4 * (j * stride) as u64;
        gpu.queue()
            .write_buffer(buffer, offset, bytemuck::cast_slice(column));
    }
}

/// Uploads the training rows, cut so that every piece can be bound, and behind them their weights, if they have any.
fn upload_data(gpu: &Gpu, rows: &Matrix<f32>, weights: &[f32]) -> Result<Data> {
    let limits = gpu.limits();
    let weighted = !weights.is_empty();
    let width = rows.columns() + usize::from(weighted);
    let most = (sizes::binding(&limits) / (4 * width)).max(1);
    let mut segments = Vec::new();
    for first in (0..rows.rows()).step_by(most) {
        let count = most.min(rows.rows() - first);
        let buffer = gpu.allocate("the data", || gpu.buffer("data", count * width))?;
        let columns = (0..rows.columns()).map(|j| rows.column(j));
        let columns = columns.chain(weighted.then_some(weights));
        write_columns(
            gpu,
            &buffer,
            count,
            columns.map(|it| &it[first..first + count]),
        );
        let record = Segment {
            dims: rows.columns() as u32,
            first: first as u32,
            rows: count as u32,
        };
        segments.push((record, buffer));
    }
    gpu.check()?;
    Ok(Data { segments, weighted })
}

impl Session {
    pub fn new(
        builder: Builder<'_>,
        path: GpuPath,
        rows: &Matrix<f32>,
        weights: &[f32],
        training: &Training,
    ) -> Result<Self> {
        let Builder {
            gpu,
            plan,
            parameters,
            ..
        } = builder;
        let batches = Batches::new(rows.rows(), training.batch_size, training.seed);
        let data = upload_data(gpu, rows, weights)?;
        let count = plan.layout.len();
        let averages = training.optimizer.average > 0.0;
        let optimizer = gpu.allocate("the optimizer's moments", || Optimizer {
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
        let limits = gpu.limits();
        let fused = path.fused(
            || match data.segments.len() {
                1 => Fused::to_train(
                    plan,
                    &limits,
                    gpu.is_software,
                    batches.size(),
                    data.weighted,
                ),
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
                let sizes = Sizes::new(plan, &limits, gpu.is_software, batches.size(), true)?;
                (
                    TrainingProgram::staged(builder, sizes, &data, &optimizer)?,
                    format!("staged ({why})"),
                )
            }
        };
        Ok(Session {
            queue: Queue::new(program.dispatches.len()),
            program,
            path,
            back: Readback::new(gpu, LOSSES + GATE)?,
            optimizer,
            room: (rows.rows(), batches.size()),
            batches,
            data,
            training: training.clone(),
            step: 0,
            rate_factor: 1.0,
            stuck: None,
        })
    }

    /// Goes on with other rows.
    pub fn replace_rows(
        &mut self,
        gpu: &Gpu,
        rows: &Matrix<f32>,
        weights: &[f32],
        batches: &Batches,
    ) -> Result<()> {
        check_replacement(self.room, rows, batches)?;
        if self.data.weighted == weights.is_empty() {
            return Err(Error::spec(
                "rows have weights where training was started with some, and only there",
            ));
        }
        for (segment, buffer) in &self.data.segments {
            let first = segment.first as usize;
            let count = rows.rows().saturating_sub(first).min(segment.rows as usize);
            let columns = (0..rows.columns()).map(|j| rows.column(j));
            let columns = columns.chain(self.data.weighted.then_some(weights));
            let some = columns.map(|column| &column[first.min(column.len())..][..count]);
            write_columns(gpu, buffer, segment.rows as usize, some);
        }
        gpu.check()?;
        self.batches = batches.clone();
        Ok(())
    }

    /// What the kernels of step `step` read, less its rows; the loss goes to `slot`.
    fn record(&self, plan: &Plan, step: u64, slot: usize) -> Step {
        let program = &self.program;
        let mut record = Step {
            stride: program.rows as u32,
            rows_per_split: program.rows_per_split as u32,
            parameters: plan.layout.len() as u32,
            slot: slot as u32,
            ..Step::default()
        };
        let mut numbers = self.training.optimizer.at(step);
        numbers.learning_rate *= self.rate_factor;
        record.optimize(&numbers);
        record
    }

    /// The runs of rows that make up the batch of step `step`, and whether each is the last of them.
    fn runs(&self, plan: &Plan, step: u64, slot: usize) -> Vec<(Step, bool)> {
        self.runs_of(plan, &self.batches.batch(step), step, slot)
    }

    fn runs_of(&self, plan: &Plan, batch: &Batch, step: u64, slot: usize) -> Vec<(Step, bool)> {
        let program = &self.program;
        let whole = Step {
            inv_batch_size: 1.0 / batch.rows as f32,
            ..self.record(plan, step, slot)
        };
        (0..batch.rows)
            .step_by(program.rows)
            .map(|position| {
                let mut run = Step {
                    rows: (batch.rows - position).min(program.rows as u32),
                    add: u32::from(position > 0),
                    ..whole
                };
                run.visit(batch, position);
                (run, position + run.rows == batch.rows)
            })
            .collect()
    }

    /// A run of rows to loss and gradient, and where it ends a step on to the parameters.
    fn dispatches(&self, ends_step: bool) -> Range<usize> {
        let program = &self.program;
        match ends_step {
            true => 0..program.step,
            false => 0..program.evaluate,
        }
    }

    /// Takes the next step, with the time of each of its kernels.
    pub fn timed_step(&mut self, gpu: &Gpu, plan: &Plan) -> Result<Vec<KernelTime>> {
        let mut times = Vec::new();
        if self.stuck.is_some() {
            return Ok(times);
        }
        let mut timed = Vec::new();
        for (step, last) in self.runs(plan, self.step, 0) {
            for dispatch in &self.program.dispatches[self.dispatches(last)] {
                timed.extend(Timed::parts(dispatch, step, gpu.is_software));
            }
        }
        timestamps::add(gpu, &self.program.ring, &timed, &mut times)?;
        self.taken(gpu, 1)?;
        Ok(times)
    }

    /// Takes `steps` steps, no more than the losses' buffer holds.
    pub fn train(&mut self, gpu: &Gpu, plan: &Plan, steps: usize) -> Result<StepsOutcome> {
        if let Some((loss, fault)) = self.stuck {
            return Ok(StepsOutcome {
                losses: vec![loss],
                fault: Some(fault),
            });
        }
        self.queue.begin();
        let mut planned = 0;
        // While the device has one submission, the host makes the next.
        let mut sent = None;
        loop {
            while planned < steps && !self.queue.is_full() {
                for (run, last) in self.runs(plan, self.step + planned as u64, planned) {
                    self.queue.push(run, self.dispatches(last));
                }
                planned += 1;
            }
            let next = self.send(gpu);
            let is_last = next.is_none();
            if let Some((index, submission)) = std::mem::replace(&mut sent, next) {
                gpu.wait(index)?;
                self.queue.done(&submission);
            }
            if is_last {
                return self.taken(gpu, steps);
            }
        }
    }

    /// Sends the next of the queue's submissions.
    fn send(&mut self, gpu: &Gpu) -> Option<(wgpu::SubmissionIndex, Submission)> {
        let TrainingProgram {
            dispatches, ring, ..
        } = &self.program;
        let submission = self.queue.next(dispatches)?;
        let mut encoder = gpu.encoder();
        submission.record(gpu, &mut encoder, ring, dispatches);
        Some((gpu.submit(encoder), submission))
    }

    /// The results of `steps` steps that were submitted.
    fn taken(&mut self, gpu: &Gpu, steps: usize) -> Result<StepsOutcome> {
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
        Ok(StepsOutcome { losses, fault })
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

    /// Opens the gate again.
    fn open_gate(&mut self, gpu: &Gpu) {
        self.stuck = None;
        gpu.queue().write_buffer(
            &self.optimizer.gate,
            0,
            bytemuck::bytes_of(&Gate::default()),
        );
    }

    /// The batch of the next step.
    pub fn batch(&self) -> Batch {
        self.batches.batch(self.step)
    }

    /// Sends all that is queued, and waits for it.
    fn run_queue(&mut self, gpu: &Gpu) -> Result<()> {
        while let Some((index, submission)) = self.send(gpu) {
            gpu.wait(index)?;
            self.queue.done(&submission);
        }
        Ok(())
    }

    /// The next step with this gradient instead of its own.
    pub fn apply(&mut self, gpu: &Gpu, plan: &Plan, gradient: &[f64]) -> Result<Option<Fault>> {
        check_count(plan, gradient.len())?;
        if let Some((_, fault)) = self.stuck {
            return Ok(Some(fault));
        }
        gpu.write(&self.optimizer.gradient, gradient)?;
        self.queue.begin();
        let record = self.record(plan, self.step, 0);
        self.queue.push(record, self.program.apply.clone());
        self.run_queue(gpu)?;
        Ok(self.taken(gpu, 1)?.fault)
    }

    /// Loss and gradient on a batch.
    pub fn gradient(&mut self, gpu: &Gpu, plan: &Plan, batch: &Batch) -> Result<(f64, Vec<f64>)> {
        check_batch(&self.batches, batch)?;
        self.queue.begin();
        for (run, _) in self.runs_of(plan, batch, self.step, 0) {
            self.queue.push(run, self.dispatches(false));
        }
        self.run_queue(gpu)?;
        let loss = self.losses(gpu, 1)?.0[0];
        let gradient = gpu.read(&self.optimizer.gradient, plan.layout.len())?;
        Ok((loss, widen(&gradient)))
    }

    /// The buffers of the state, in the order of [`TrainingState`]'s fields.
    fn buffers<'a>(&'a self, parameters: &'a wgpu::Buffer) -> Vec<&'a wgpu::Buffer> {
        let optimizer = &self.optimizer;
        let mut buffers = vec![
            parameters,
            &optimizer.first_moment,
            &optimizer.second_moment,
        ];
        if self.training.optimizer.average > 0.0 {
            buffers.push(&optimizer.average);
        }
        buffers
    }

    pub fn state(
        &self,
        gpu: &Gpu,
        plan: &Plan,
        parameters: &wgpu::Buffer,
    ) -> Result<TrainingState> {
        let count = plan.layout.len();
        let buffers = self.buffers(parameters);
        let sources: Vec<_> = buffers.iter().map(|&buffer| (buffer, count)).collect();
        let values = gpu.read_all(&sources)?;
        let mut parts = values.chunks(count.max(1)).map(widen);
        let mut next = || parts.next().unwrap_or_default();
        Ok(TrainingState {
            step: self.step,
            parameters: next(),
            first_moment: next(),
            second_moment: next(),
            average: next(),
            rate_factor: self.rate_factor,
        })
    }

    pub fn set_state(
        &mut self,
        gpu: &Gpu,
        plan: &Plan,
        parameters: &wgpu::Buffer,
        state: &TrainingState,
    ) -> Result<()> {
        let values = [
            &state.parameters,
            &state.first_moment,
            &state.second_moment,
            &state.average,
        ];
        let indices: Vec<_> = self.buffers(parameters).into_iter().zip(values).collect();
        // Before anything is changed.
        for (_, values) in &indices {
            check_count(plan, values.len())?;
        }
        for (buffer, values) in indices {
            gpu.write(buffer, values)?;
        }
        self.step = state.step;
        self.rate_factor = state.rate_factor;
        self.open_gate(gpu);
        Ok(())
    }
}
