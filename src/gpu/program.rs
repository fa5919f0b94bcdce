use crate::error::Result;
use crate::flow::{BufferId, Op};

use super::device::Gpu;
use super::dispatch::{Builder, Data, Dispatch, Optimizer};
use super::fused::Fused;
use super::kernels::WeightForm;
use super::ring::Ring;
use super::sizes::Sizes;

/// A plan made ready on a device to score and to sample: its buffers, and its ops as lists of dispatches.
pub struct Program {
    pub sizes: Sizes,
    pub ring: Ring,
    /// Activation buffers, numbered as in the plan.
    pub buffers: Vec<wgpu::Buffer>,
    pub log_det: wgpu::Buffer,
    pub log_prob: wgpu::Buffer,
    /// Data to latent, log-determinant and log-density.
    pub forward: Vec<Dispatch>,
    /// Latent to data.
    pub inverse: Vec<Dispatch>,
    /// Base noise to the latent.
    pub sample: Dispatch,
}

/// A plan made ready on a device to be trained.
pub struct TrainingProgram {
    pub ring: Ring,
    /// A run of rows to loss and gradient.
    pub evaluate: Vec<Dispatch>,
    /// Gradient to parameters.
    pub update: Vec<Dispatch>,
    /// Rows that one run may have.
    pub rows: usize,
    /// Rows whose gradients one group sums.
    pub rows_per_split: usize,
}

/// Buffers for rows on their way through columns of these numbers.
fn activations(gpu: &Gpu, label: &str, widths: &[usize], rows: usize) -> Vec<wgpu::Buffer> {
    let buffer = |width: &usize| gpu.buffer(label, width * rows);
    widths.iter().map(buffer).collect()
}

impl Program {
    pub fn new(builder: Builder<'_>, sizes: Sizes) -> Result<Self> {
        let (gpu, rows) = (builder.gpu, sizes.rows);
        let (buffers, log_det, log_prob) = gpu.allocate("activations", || {
            (
                activations(gpu, "activations", &builder.plan.widths, rows),
                gpu.buffer("log-determinant", rows),
                gpu.buffer("log-density", rows),
            )
        })?;
        let ring = Ring::new(gpu, builder.pipelines);
        let builder = builder.on(&buffers);
        Ok(Program {
            forward: builder.forward(&log_det, &log_prob)?,
            inverse: builder.inverse()?,
            sample: builder.sample()?,
            ring,
            sizes,
            buffers,
            log_det,
            log_prob,
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
        let Program {
            buffers,
            log_det,
            log_prob,
            forward,
            ring,
            ..
        } = Program::new(builder, sizes)?;
        let builder = builder.on(&buffers);
        let gradients = gpu.allocate("activation gradients", || {
            activations(
                gpu,
                "activation gradients",
                &plan.gradient_widths,
                sizes.rows,
            )
        })?;
        let backward = gpu.allocate("partial gradients", || {
            builder.backward(&gradients, optimizer, &log_prob, &sizes)
        })??;
        let mut evaluate = builder.gather(data, &log_det)?;
        evaluate.extend(forward);
        evaluate.extend(backward);
        Ok(TrainingProgram {
            ring,
            evaluate,
            update: builder.update(optimizer)?,
            rows: sizes.rows,
            rows_per_split: sizes.rows_per_split,
        })
    }

    /// One kernel for all ops.
    pub fn fused(
        builder: Builder<'_>,
        fused: &Fused,
        data: &Data,
        optimizer: &Optimizer,
    ) -> Result<Self> {
        let (evaluate, update) = builder.gpu.allocate("partial gradients", || {
            builder.fused(fused, data, optimizer)
        })??;
        Ok(TrainingProgram {
            ring: Ring::new(builder.gpu, builder.pipelines),
            evaluate,
            update,
            rows: fused.rows_per_group * fused.groups,
            rows_per_split: fused.rows_per_group,
        })
    }
}

/// The plan's ops as dispatches.
impl Builder<'_> {
    /// Data to latent to log-density.
    fn forward(&self, log_det: &wgpu::Buffer, log_prob: &wgpu::Buffer) -> Result<Vec<Dispatch>> {
        let mut list = Vec::new();
        for op in &self.plan.forward {
            list.push(match op {
                Op::Basis(op) => self.basis_forward(op)?,
                Op::Linear(op) => self.linear_forward(op, self.form(op))?,
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
                Op::Basis(op) => self.basis_forward(op),
                Op::Linear(op) => self.linear_forward(op, self.form(op)),
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
                Op::Basis(op) => {
                    let output = gradient_of(op.output.buffer);
                    let input = gradient_of(op.input.buffer);
                    list.extend(self.basis_backward(op, output, input)?);
                }
                Op::Linear(op) => {
                    let form = self.form(op);
                    let (output, input) =
                        (gradient_of(op.output.buffer), gradient_of(op.input.buffer));
                    let weight_form = WeightForm::of(op.input.count, op.output.count)[0];
                    list.push(self.linear_backward_weights(op, weight_form, output, &partials)?);
                    list.extend(self.linear_backward_input(op, form, output, input)?);
                }
            }
        }
        list.push(self.sum_partials(&partials, &optimizer.gradient)?);
        Ok(list)
    }
}
