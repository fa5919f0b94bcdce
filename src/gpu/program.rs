use std::ops::Range;

use crate::error::Result;
use crate::flow::{BufferId, Op};

use super::builder::{Builder, Data, Optimizer};
use super::device::Gpu;
use super::dispatch::Dispatch;
use super::fused::Fused;
use super::ring::Ring;
use super::sizes::Sizes;

/// A plan made ready on a device to score and to sample.
pub struct Program {
    pub ring: Ring,
    /// Rows that the buffers hold, a multiple of 4.
    pub rows: usize,
    pub data: wgpu::Buffer,
    pub latent: wgpu::Buffer,
    pub log_det: wgpu::Buffer,
    pub log_prob: wgpu::Buffer,
    pub dispatches: Vec<Dispatch>,
    /// Of these: data to latent, log-determinant and log-density.
    pub forward: Range<usize>,
    /// Base noise to latent to data.
    pub sample: Range<usize>,
    /// Latent to data.
    pub inverse: Range<usize>,
}

/// A plan made ready on a device to be trained.
pub struct TrainingProgram {
    pub ring: Ring,
    /// A run of rows to loss and gradient, gradient to parameters, and, where that is not the same, a gradient from elsewhere to
    /// parameters.
    pub dispatches: Vec<Dispatch>,
    /// Where loss and gradient end, and where a step ends.
    pub evaluate: usize,
    pub step: usize,
    /// What applies a gradient from elsewhere.
    pub apply: Range<usize>,
    /// Rows that one run may have.
    pub rows: usize,
    /// Rows whose gradients one group sums.
    pub rows_per_split: usize,
}

/// Buffers for rows on their way through a plan.
struct Rows {
    /// Numbered as in the plan.
    buffers: Vec<wgpu::Buffer>,
    log_det: wgpu::Buffer,
    log_prob: wgpu::Buffer,
}

impl Rows {
    /// For `rows` rows, with columns of these numbers.
    fn new(gpu: &Gpu, widths: &[usize], rows: usize) -> Result<Self> {
        gpu.allocate("activations", || Rows {
            buffers: activations(gpu, "activations", widths, rows),
            log_det: gpu.buffer("log-determinant", rows),
            log_prob: gpu.buffer("log-density", rows),
        })
    }
}

fn activations(gpu: &Gpu, label: &str, widths: &[usize], rows: usize) -> Vec<wgpu::Buffer> {
    let buffer = |width: &usize| gpu.buffer(label, width * rows);
    widths.iter().map(buffer).collect()
}

impl Program {
    /// One kernel an op, on `rows` rows.
    pub fn staged(builder: Builder<'_>, rows: usize) -> Result<Self> {
        let memory = Rows::new(builder.gpu, &builder.plan.widths, rows)?;
        let builder = builder.on(&memory.buffers);
        let forward = builder.forward(&memory)?;
        Self::of(builder, rows, &memory, forward, builder.inverse()?)
    }

    /// One kernel for all ops, on `rows` rows.
    pub fn fused(
        builder: Builder<'_>,
        forward: &Fused,
        inverse: &Fused,
        rows: usize,
    ) -> Result<Self> {
        let plan = builder.plan;
        // What lies between data and latent stays in the kernel.
        let is_kept = |buffer| buffer == plan.data() || buffer == plan.latent();
        let kept = plan.widths.iter().enumerate();
        let kept: Vec<usize> = kept
            .map(|(buffer, &width)| if is_kept(buffer) { width } else { 1 })
            .collect();
        let memory = Rows::new(builder.gpu, &kept, rows)?;
        let builder = builder.on(&memory.buffers);
        let forward = vec![
            builder.fused_forward(forward, &memory.log_det)?,
            builder.base_log_prob(&memory.log_det, &memory.log_prob)?,
        ];
        let inverse = vec![builder.fused_inverse(inverse)?];
        Self::of(builder, rows, &memory, forward, inverse)
    }

    fn of(
        builder: Builder<'_>,
        rows: usize,
        memory: &Rows,
        forward: Vec<Dispatch>,
        inverse: Vec<Dispatch>,
    ) -> Result<Self> {
        let plan = builder.plan;
        let sample = forward.len();
        let mut dispatches = forward;
        dispatches.push(builder.sample()?);
        dispatches.extend(inverse);
        Ok(Program {
            ring: Ring::new(builder.gpu, builder.pipelines),
            rows,
            data: memory.buffers[plan.data()].clone(),
            latent: memory.buffers[plan.latent()].clone(),
            log_det: memory.log_det.clone(),
            log_prob: memory.log_prob.clone(),
            forward: 0..sample,
            sample: sample..dispatches.len(),
            inverse: sample + 1..dispatches.len(),
            dispatches,
        })
    }
}

impl TrainingProgram {
    /// One kernel an op.
    pub fn staged(
        builder: Builder<'_>,
        sizes: Sizes,
        data: &Data,
        optimizer: &Optimizer,
    ) -> Result<Self> {
        let (gpu, plan) = (builder.gpu, builder.plan);
        let memory = Rows::new(gpu, &plan.widths, sizes.rows)?;
        let row_weights = data.weighted.then(|| gpu.buffer("row weights", sizes.rows));
        let builder = builder.on(&memory.buffers).weighted(row_weights.as_ref());
        let gradients = gpu.allocate("activation gradients", || {
            activations(
                gpu,
                "activation gradients",
                &plan.gradient_widths,
                sizes.rows,
            )
        })?;
        let backward = gpu.allocate("partial gradients", || {
            builder.backward(&gradients, optimizer, &memory.log_prob, &sizes)
        })??;
        let mut evaluate = builder.gather(data, &memory.log_det)?;
        evaluate.extend(builder.forward(&memory)?);
        evaluate.extend(backward);
        let update = builder.update(optimizer)?;
        let step = evaluate.len() + update.len();
        Ok(TrainingProgram {
            ring: Ring::new(gpu, builder.pipelines),
            evaluate: evaluate.len(),
            step,
            apply: evaluate.len()..step,
            dispatches: evaluate.into_iter().chain(update).collect(),
            rows: sizes.rows,
            rows_per_split: sizes.rows_per_split,
        })
    }

    /// One kernel for all ops; `groups` make up a full batch.
    pub fn fused(
        builder: Builder<'_>,
        fused: &Fused,
        groups: usize,
        data: &Data,
        optimizer: &Optimizer,
    ) -> Result<Self> {
        let (evaluate, update) = builder.gpu.allocate("partial gradients", || {
            builder.fused_step(fused, groups, data, optimizer)
        })??;
        // Its own norm comes with the sum over the splits.
        let apply = builder.update(optimizer)?;
        let step = evaluate.len() + update.len();
        Ok(TrainingProgram {
            ring: Ring::new(builder.gpu, builder.pipelines),
            evaluate: evaluate.len(),
            step,
            apply: step..step + apply.len(),
            dispatches: evaluate.into_iter().chain(update).chain(apply).collect(),
            rows: fused.rows_per_group * groups,
            rows_per_split: fused.rows_per_group,
        })
    }
}

/// The plan's ops as dispatches.
impl Builder<'_> {
    /// Data to latent to log-density.
    fn forward(&self, memory: &Rows) -> Result<Vec<Dispatch>> {
        let Rows {
            log_det, log_prob, ..
        } = memory;
        let mut list = Vec::new();
        for op in &self.plan.forward {
            list.push(match op {
                Op::Concat(op) => self.concat(op)?,
                Op::Basis(op) => self.basis_forward(op)?,
                Op::Linear(op) => self.linear_forward(op, self.form_forward(op))?,
                Op::Coupling(op) => self.coupling_forward(op, log_det)?,
                Op::Triangular(op) => self.triangular_forward(op, log_det)?,
            });
        }
        list.push(self.base_log_prob(log_det, log_prob)?);
        Ok(list)
    }

    fn inverse(&self) -> Result<Vec<Dispatch>> {
        self.plan
            .inverse
            .iter()
            .map(|op| match op {
                Op::Concat(op) => self.concat(op),
                Op::Basis(op) => self.basis_forward(op),
                Op::Linear(op) => self.linear_forward(op, self.form_forward(op)),
                Op::Coupling(op) => self.coupling_inverse(op),
                Op::Triangular(op) => self.triangular_inverse(op),
            })
            .collect()
    }

    fn backward(
        &self,
        gradients: &[wgpu::Buffer],
        optimizer: &Optimizer,
        log_prob: &wgpu::Buffer,
        sizes: &Sizes,
    ) -> Result<Vec<Dispatch>> {
        let plan = self.plan;
        let gradient_of = |buffer: BufferId| &gradients[plan.gradient_slots[buffer]];
        let splits = sizes.splits;
        let partials = self
            .gpu
            .buffer("partial gradients", splits * plan.layout.len());
        let loss_partials = self.gpu.buffer("partial losses", splits);
        let mut list = vec![
            self.sum_log_prob(log_prob, &loss_partials)?,
            self.sum_loss(&loss_partials, &optimizer.losses)?,
            self.base_backward(gradient_of(plan.latent()), &partials)?,
        ];
        for op in plan.forward.iter().rev() {
            match op {
                Op::Coupling(op) => list.push(self.coupling_backward(op, &gradient_of)?),
                Op::Triangular(op) => {
                    let (output, input) = (gradient_of(op.output), gradient_of(op.input));
                    list.extend(self.triangular_backward(op, output, input, &partials)?);
                }
                Op::Concat(_) => {}
                Op::Basis(op) => {
                    let output = gradient_of(op.output.buffer);
                    let input = gradient_of(op.gradient_target.buffer);
                    list.extend(self.basis_backward(op, output, input)?);
                }
                Op::Linear(op) => {
                    let form = self.form_backward(op);
                    let (output, input) = (
                        gradient_of(op.output.buffer),
                        gradient_of(op.gradient_target.buffer),
                    );
                    let weight_form = self.weight_form(op);
                    list.push(self.linear_backward_weights(op, weight_form, output, &partials)?);
                    list.extend(self.linear_backward_input(op, form, output, input)?);
                }
            }
        }
        list.push(self.sum_partials(&partials, &optimizer.gradient)?);
        Ok(list)
    }
}
