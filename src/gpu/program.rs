use std::rc::Rc;

use crate::error::{Error, Result};
use crate::flow::{Base, BufferId, Coupling, InputGradient, Linear, Op, Plan};

use super::device::Gpu;
use super::kernels::{
    self, BaseDensity, Form, GROUP, Heads, Kernel, Segment, Step, TILE, TILE_DEPTH,
};
use super::pipelines::{Pipeline, Pipelines, STEP_PITCH};

/// Records in the step ring: how many runs of rows one submission may hold.
pub const RING: usize = 256;

/// What activations and gradients may take on the device, in bytes; a batch that needs more goes through in parts.
const ACTIVATION_BUDGET: usize = 1 << 30;

/// llvmpipe ends every loop of an invocation after 65,535 iterations; the weight gradients take about 1.1 a row.
const MAX_ROWS_PER_SPLIT: usize = 32_768;

/// How many groups a dispatch has, given the rows at hand.
#[derive(Clone, Copy, Debug)]
enum Grid {
    /// An invocation for each row.
    Rows,
    /// An invocation for each four rows, and this many groups across.
    Quads(u32),
    /// Tiles of rows by this many tiles of columns.
    Tiles(u32),
    /// This many groups for each split of the rows.
    Splits(u32, u32),
    /// One group for each `GROUP` numbers, however many rows there are.
    Numbers(u32),
}

/// The most groups a dispatch may have in one dimension.
const MAX_GROUPS: u32 = 65_535;

impl Grid {
    fn groups(self, step: &Step) -> [u32; 3] {
        match self {
            Grid::Rows => [step.rows.div_ceil(GROUP), 1, 1],
            Grid::Quads(across) => [step.rows.div_ceil(4 * GROUP), across, 1],
            Grid::Tiles(across) => [step.rows.div_ceil(TILE), across, 1],
            Grid::Splits(x, y) => [x, y, step.rows.div_ceil(step.rows_per_split)],
            Grid::Numbers(numbers) => {
                let groups = numbers.div_ceil(GROUP);
                let x = groups.min(MAX_GROUPS);
                [x, groups.div_ceil(x), 1]
            }
        }
    }
}

/// A kernel with its buffers bound, ready to be recorded any number of times.
pub struct Dispatch {
    pipeline: Rc<Pipeline>,
    bindings: wgpu::BindGroup,
    grid: Grid,
}

impl Dispatch {
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>, step: &Step) {
        let [x, y, z] = self.grid.groups(step);
        pass.set_pipeline(&self.pipeline.pipeline);
        pass.set_bind_group(1, &self.bindings, &[]);
        pass.dispatch_workgroups(x, y, z);
    }
}

/// Sizes that follow from a plan, the device's limits and the rows wanted: worked out here and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sizes {
    /// Rows that the activation buffers hold, a multiple of 4.
    pub rows: usize,
    /// Rows whose gradients one group sums.
    pub rows_per_split: usize,
    pub splits: usize,
}

impl Sizes {
    /// Sizes for runs of up to `wanted` rows, or fewer where limits say so.
    ///
    /// # Errors
    /// [`Error::GpuLimit`] names the limit, what was needed and what to lower.
    pub fn new(plan: &Plan, limits: &wgpu::Limits, wanted: usize, training: bool) -> Result<Self> {
        let parameters = plan.layout.len();
        let binding = limits
            .max_storage_buffer_binding_size
            .min(limits.max_buffer_size) as usize;
        if 4 * parameters > binding {
            return Err(Error::GpuLimit(format!(
                "the {parameters} parameters take {} bytes, and this adapter binds at most {binding} at once \
                 (max_storage_buffer_binding_size); lower hidden or layers, or take --device cpu",
                4 * parameters
            )));
        }
        let outputs = plan.widths.iter().copied().max().unwrap_or(1);
        if outputs > (4 * MAX_GROUPS) as usize {
            return Err(Error::GpuLimit(format!(
                "a hidden layer of {outputs} units needs more than {MAX_GROUPS} groups \
                 (max_compute_workgroups_per_dimension); lower hidden"
            )));
        }
        let gradients: usize = if training {
            plan.gradient_widths.iter().sum()
        } else {
            0
        };
        let bytes_per_row = 4 * (plan.widths.iter().sum::<usize>() + gradients + 2);
        let most = (binding / (4 * outputs))
            .min(ACTIVATION_BUDGET / bytes_per_row)
            .min((GROUP * MAX_GROUPS) as usize)
            / 4
            * 4;
        if most == 0 {
            return Err(Error::GpuLimit(format!(
                "four rows' activations take {} bytes, more than the {ACTIVATION_BUDGET} set aside; \
                 lower hidden or layers",
                4 * bytes_per_row
            )));
        }
        // Runs of even length, so that the last one is not a small rest.
        let wanted = wanted.max(1);
        let rows = wanted.div_ceil(wanted.div_ceil(most)).next_multiple_of(4);
        // Many splits keep a GPU busy where the weights are few; few keep the partial gradients small where the
        // weights are many (2^20 numbers, or what the binding takes).
        let splits = ((1 << 20) / parameters.max(1))
            .min(rows.div_ceil(16 * GROUP as usize))
            .max(rows.div_ceil(MAX_ROWS_PER_SPLIT))
            .clamp(1, (binding / (4 * parameters.max(1))).max(1));
        let rows_per_split = rows
            .div_ceil(splits)
            .next_multiple_of(TILE_DEPTH as usize)
            .min(MAX_ROWS_PER_SPLIT);
        // Where even that many splits would not bind, fewer rows at a time.
        let rows = rows.min(splits * rows_per_split);
        Ok(Sizes {
            rows,
            rows_per_split,
            splits: rows.div_ceil(rows_per_split),
        })
    }
}

/// What training keeps on the device beside the activations.
pub struct Optimizer {
    pub gradient: wgpu::Buffer,
    pub first_moment: wgpu::Buffer,
    pub second_moment: wgpu::Buffer,
    pub losses: wgpu::Buffer,
}

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
    pub update: Dispatch,
}

/// The grid of a matrix product with so many columns.
fn product_grid(form: Form, columns: usize) -> Grid {
    match form {
        Form::Tiled => Grid::Tiles((columns as u32).div_ceil(TILE)),
        _ => Grid::Quads((columns as u32).div_ceil(4)),
    }
}

/// Makes dispatches of kernels from buffers.
pub struct Builder<'a> {
    pub gpu: &'a Gpu,
    pub pipelines: &'a Pipelines,
    pub plan: &'a Plan,
    pub parameters: &'a wgpu::Buffer,
    /// The plan's activation buffers.
    pub buffers: &'a [wgpu::Buffer],
}

impl Builder<'_> {
    /// `buffers` are bound in the order of the kernel's bindings.
    fn dispatch(&self, kernel: Kernel, grid: Grid, buffers: &[&wgpu::Buffer]) -> Result<Dispatch> {
        let pipeline = self.pipelines.get(self.gpu, kernel)?;
        assert_eq!(
            buffers.len(),
            kernel.bindings().len(),
            "buffers of {kernel:?}"
        );
        let entries: Vec<_> = kernel
            .bindings()
            .iter()
            .zip(buffers)
            .map(|(&(binding, _), buffer)| wgpu::BindGroupEntry {
                binding,
                resource: buffer.as_entire_binding(),
            })
            .collect();
        let bindings = self
            .gpu
            .device
            .create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(kernel.name()),
                layout: &pipeline.bindings,
                entries: &entries,
            });
        Ok(Dispatch {
            pipeline,
            bindings,
            grid,
        })
    }

    fn linear_record(&self, op: &Linear) -> wgpu::Buffer {
        self.gpu.uniform(
            "linear",
            &kernels::Linear {
                inputs: op.input.count as u32,
                outputs: op.output.count as u32,
                input_first: op.input.first as u32,
                output_first: op.output.first as u32,
                weight: op.weight.start as u32,
                bias: op.bias.start as u32,
            },
        )
    }

    fn form(&self, op: &Linear) -> Form {
        Form::of(op.input.count, op.output.count, self.plan.layout.len())
    }

    pub fn linear_forward(&self, op: &Linear, form: Form) -> Result<Dispatch> {
        let record = self.linear_record(op);
        let mut buffers = vec![
            &record,
            self.parameters,
            &self.buffers[op.input.buffer],
            &self.buffers[op.output.buffer],
        ];
        if op.saved != op.output.buffer {
            buffers.push(&self.buffers[op.saved]);
        }
        let kernel = Kernel::LinearForward(op.activation, form);
        self.dispatch(kernel, product_grid(form, op.output.count), &buffers)
    }

    pub fn linear_backward_weights(
        &self,
        op: &Linear,
        form: Form,
        output_gradient: &wgpu::Buffer,
        partials: &wgpu::Buffer,
    ) -> Result<Dispatch> {
        let tile = match form {
            Form::Tiled => TILE,
            _ => 4,
        };
        let tiles = |count: usize| (count as u32).div_ceil(tile);
        self.dispatch(
            Kernel::LinearBackwardWeights(form),
            Grid::Splits(tiles(op.input.count), tiles(op.output.count)),
            &[
                &self.linear_record(op),
                &self.buffers[op.input.buffer],
                output_gradient,
                partials,
            ],
        )
    }

    /// None where nobody needs the input's gradient.
    pub fn linear_backward_input(
        &self,
        op: &Linear,
        form: Form,
        output_gradient: &wgpu::Buffer,
        input_gradient: &wgpu::Buffer,
    ) -> Result<Option<Dispatch>> {
        let (activation, saved) = match op.input_gradient {
            InputGradient::Skip => return Ok(None),
            // Nothing is read through `saved` then.
            InputGradient::Add => (None, op.input.buffer),
            InputGradient::Write { activation, saved } => (Some(activation), saved),
        };
        let dispatch = self.dispatch(
            Kernel::LinearBackwardInput(activation, form),
            product_grid(form, op.input.count),
            &[
                &self.linear_record(op),
                self.parameters,
                output_gradient,
                &self.buffers[saved],
                input_gradient,
            ],
        )?;
        Ok(Some(dispatch))
    }

    fn coupling_record(&self, op: &Coupling) -> wgpu::Buffer {
        self.gpu.uniform(
            "coupling",
            &kernels::Coupling {
                dims: self.plan.dims() as u32,
                active_first: op.active.start as u32,
                active_count: op.active.len() as u32,
                scaled: op.log_scale.is_some().into(),
                scale_first: op.log_scale.map_or(0, |s| s.first as u32),
                shift_first: op.shift.first as u32,
                scale_bound: op.scale_bound as f32,
            },
        )
    }

    /// The buffers that hold s and t; where there is no s, its place is taken by t.
    fn heads(&self, op: &Coupling) -> (BufferId, BufferId) {
        let shift = op.shift.buffer;
        (op.log_scale.map_or(shift, |s| s.buffer), shift)
    }

    pub fn coupling_forward(&self, op: &Coupling, log_det: &wgpu::Buffer) -> Result<Dispatch> {
        let (scale, shift) = self.heads(op);
        self.dispatch(
            Kernel::CouplingForward,
            Grid::Quads(1),
            &[
                &self.coupling_record(op),
                &self.buffers[op.input],
                &self.buffers[scale],
                &self.buffers[shift],
                &self.buffers[op.output],
                log_det,
            ],
        )
    }

    pub fn coupling_inverse(&self, op: &Coupling) -> Result<Dispatch> {
        let (scale, shift) = self.heads(op);
        self.dispatch(
            Kernel::CouplingInverse,
            Grid::Quads(1),
            &[
                &self.coupling_record(op),
                &self.buffers[op.input],
                &self.buffers[scale],
                &self.buffers[shift],
                &self.buffers[op.output],
            ],
        )
    }

    fn base_record(&self) -> wgpu::Buffer {
        self.gpu.uniform(
            "base",
            &BaseDensity {
                dims: self.plan.dims() as u32,
                mean: self.plan.base.mean.start as u32,
                raw_variance: self.plan.base.raw_variance.start as u32,
            },
        )
    }

    /// Data to latent to log-density.
    fn forward(&self, log_det: &wgpu::Buffer, log_prob: &wgpu::Buffer) -> Result<Vec<Dispatch>> {
        let mut list = Vec::new();
        for op in &self.plan.forward {
            list.push(match op {
                Op::Linear(op) => self.linear_forward(op, self.form(op))?,
                Op::Coupling(op) => self.coupling_forward(op, log_det)?,
            });
        }
        list.push(self.base_log_prob(log_det, log_prob)?);
        Ok(list)
    }

    pub fn base_log_prob(
        &self,
        log_det: &wgpu::Buffer,
        log_prob: &wgpu::Buffer,
    ) -> Result<Dispatch> {
        self.dispatch(
            Kernel::BaseLogProb(self.plan.base.kind),
            Grid::Quads(1),
            &[
                &self.base_record(),
                self.parameters,
                &self.buffers[self.plan.latent()],
                log_det,
                log_prob,
            ],
        )
    }

    pub fn base_backward(
        &self,
        z_gradient: &wgpu::Buffer,
        partials: &wgpu::Buffer,
    ) -> Result<Dispatch> {
        let record = self.base_record();
        let latent = &self.buffers[self.plan.latent()];
        let mut buffers = vec![&record, self.parameters, latent, z_gradient];
        if self.plan.base.kind == Base::TrainableNormal {
            buffers.push(partials);
        }
        self.dispatch(
            Kernel::BaseBackward(self.plan.base.kind),
            Grid::Splits(self.plan.dims() as u32, 1),
            &buffers,
        )
    }

    fn inverse(&self) -> Result<Vec<Dispatch>> {
        self.plan
            .inverse
            .iter()
            .map(|op| match op {
                Op::Linear(op) => self.linear_forward(op, self.form(op)),
                Op::Coupling(op) => self.coupling_inverse(op),
            })
            .collect()
    }

    pub fn sample(&self) -> Result<Dispatch> {
        self.dispatch(
            Kernel::BaseSample(self.plan.base.kind),
            Grid::Rows,
            &[
                &self.base_record(),
                self.parameters,
                &self.buffers[self.plan.latent()],
            ],
        )
    }

    pub fn gather(&self, data: &Data, log_det: &wgpu::Buffer) -> Result<Vec<Dispatch>> {
        data.segments
            .iter()
            .map(|(record, buffer)| {
                let record = self.gpu.uniform("segment", record);
                let x = &self.buffers[self.plan.data()];
                self.dispatch(
                    Kernel::GatherRows,
                    Grid::Rows,
                    &[&record, buffer, x, log_det],
                )
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
                Op::Linear(op) => {
                    let form = self.form(op);
                    let (output, input) =
                        (gradient_of(op.output.buffer), gradient_of(op.input.buffer));
                    list.push(self.linear_backward_weights(op, form, output, &partials)?);
                    list.extend(self.linear_backward_input(op, form, output, input)?);
                }
            }
        }
        list.push(self.sum_partials(&partials, &optimizer.gradient)?);
        Ok(list)
    }

    pub fn sum_log_prob(
        &self,
        log_prob: &wgpu::Buffer,
        loss_partials: &wgpu::Buffer,
    ) -> Result<Dispatch> {
        let grid = Grid::Splits(1, 1);
        self.dispatch(Kernel::SumLogProb, grid, &[log_prob, loss_partials])
    }

    pub fn sum_loss(
        &self,
        loss_partials: &wgpu::Buffer,
        losses: &wgpu::Buffer,
    ) -> Result<Dispatch> {
        let grid = Grid::Numbers(1);
        self.dispatch(Kernel::SumLoss, grid, &[loss_partials, losses])
    }

    pub fn sum_partials(
        &self,
        partials: &wgpu::Buffer,
        gradient: &wgpu::Buffer,
    ) -> Result<Dispatch> {
        let grid = Grid::Numbers(self.plan.layout.len() as u32);
        self.dispatch(Kernel::SumPartials, grid, &[partials, gradient])
    }

    pub fn coupling_backward<'b>(
        &self,
        op: &Coupling,
        gradient_of: &impl Fn(BufferId) -> &'b wgpu::Buffer,
    ) -> Result<Dispatch> {
        let (scale, shift) = self.heads(op);
        let record = self.coupling_record(op);
        let mut buffers = vec![
            &record,
            &self.buffers[op.input],
            &self.buffers[scale],
            gradient_of(op.output),
            gradient_of(op.input),
            gradient_of(shift),
        ];
        let heads = if scale == shift {
            Heads::One
        } else {
            buffers.push(gradient_of(scale));
            Heads::Two
        };
        self.dispatch(Kernel::CouplingBackward(heads), Grid::Quads(1), &buffers)
    }

    pub fn update(&self, optimizer: &Optimizer) -> Result<Dispatch> {
        self.dispatch(
            Kernel::AdamW,
            Grid::Numbers(self.plan.layout.len() as u32),
            &[
                &optimizer.gradient,
                self.parameters,
                &optimizer.first_moment,
                &optimizer.second_moment,
            ],
        )
    }
}

/// The rows to train on, in as many buffers as the binding limit asks for.
pub struct Data {
    pub segments: Vec<(Segment, wgpu::Buffer)>,
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
