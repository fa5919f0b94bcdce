use crate::error::Result;
use crate::flow::{BufferId, Op, Plan};

use super::device::Gpu;
use super::dispatch::{Builder, Data, Dispatch, Optimizer};
use super::kernels::{Step, WeightForm};
use super::pipelines::{Pipelines, STEP_PITCH};
use super::sizes::Sizes;

/// Records in the step ring: how many runs of rows one submission may hold.
pub const RING: usize = 256;

/// A plan made ready on a device: its buffers, and its ops as lists of dispatches.
pub struct Program {
    pub sizes: Sizes,
    /// Activation buffers, numbered as in the plan.
    pub buffers: Vec<wgpu::Buffer>,
    pub log_det: wgpu::Buffer,
    pub log_prob: wgpu::Buffer,
    steps: wgpu::Buffer,
    pub step_bindings: wgpu::BindGroup,
    /// Data to latent, log-determinant and log-density.
    pub forward: Vec<Dispatch>,
    /// Latent to data.
    pub inverse: Vec<Dispatch>,
    /// Base noise to the latent.
    pub sample: Dispatch,
    pub training: Option<TrainingProgram>,
}

/// The part of a program that training alone needs.
pub struct TrainingProgram {
    /// A gather from each segment of the data.
    pub gather: Vec<Dispatch>,
    /// Loss, then everything backwards, then the sum of the splits.
    pub backward: Vec<Dispatch>,
    /// Gradient to parameters.
    pub update: Vec<Dispatch>,
}

impl Program {
    /// A program for scoring and sampling, and for training where `training` brings data and optimiser.
    pub fn new(
        gpu: &Gpu,
        pipelines: &Pipelines,
        plan: &Plan,
        parameters: &wgpu::Buffer,
        sizes: Sizes,
        training: Option<(&Data, &Optimizer)>,
    ) -> Result<Self> {
        let activations = |label: &str, widths: &[usize]| -> Vec<wgpu::Buffer> {
            widths
                .iter()
                .map(|width| gpu.buffer(label, width * sizes.rows))
                .collect()
        };
        let (buffers, log_det, log_prob) = gpu.allocate("activations", || {
            (
                activations("activations", &plan.widths),
                gpu.buffer("log-determinant", sizes.rows),
                gpu.buffer("log-density", sizes.rows),
            )
        })?;
        let builder = Builder {
            gpu,
            pipelines,
            plan,
            parameters,
            buffers: &buffers,
        };
        let steps = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("steps"),
            size: STEP_PITCH * RING as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let step_bindings = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("step"),
            layout: &pipelines.step,
            entries: &[wgpu::BindGroupEntry {
                binding: 0,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: &steps,
                    offset: 0,
                    size: std::num::NonZeroU64::new(size_of::<Step>() as u64),
                }),
            }],
        });
        let training = match training {
            None => None,
            Some((data, optimizer)) => {
                let gradients = gpu.allocate("activation gradients", || {
                    activations("activation gradients", &plan.gradient_widths)
                })?;
                let backward = gpu.allocate("partial gradients", || {
                    builder.backward(&gradients, optimizer, &log_prob, &sizes)
                })??;
                Some(TrainingProgram {
                    gather: builder.gather(data, &log_det)?,
                    backward,
                    update: builder.update(optimizer)?,
                })
            }
        };
        Ok(Program {
            forward: builder.forward(&log_det, &log_prob)?,
            inverse: builder.inverse()?,
            sample: builder.sample()?,
            training,
            sizes,
            buffers,
            log_det,
            log_prob,
            steps,
            step_bindings,
        })
    }

    /// Writes step records to the ring, from its beginning. They are in place for the whole next submission.
    pub fn write_steps(&self, gpu: &Gpu, steps: &[Step]) {
        assert!(steps.len() <= RING, "more steps than the ring holds");
        let mut bytes = vec![0u8; steps.len() * STEP_PITCH as usize];
        for (slot, step) in bytes.chunks_exact_mut(STEP_PITCH as usize).zip(steps) {
            slot[..size_of::<Step>()].copy_from_slice(bytemuck::bytes_of(step));
        }
        gpu.queue.write_buffer(&self.steps, 0, &bytes);
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
