use std::sync::Arc;

use crate::error::Result;
use crate::flow::{Basis, BufferId, Coupling, InputGradient, Linear, Plan, Triangular};

use super::device::Gpu;
use super::fused::{Fused, Pass};
use super::kernels::{
    self, BaseDensity, Elementwise, Form, GROUP, Heads, Kernel, NORM_SPAN, Segment, Step, TILE,
    WeightForm,
};
use super::pipelines::{Pipeline, Pipelines};
use super::terms;

/// How many groups a dispatch has, given the rows at hand.
#[derive(Clone, Copy, Debug)]
pub enum Grid {
    /// One group for each so many rows.
    Rows(u32),
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
pub const MAX_GROUPS: u32 = 65_535;

impl Grid {
    fn groups(self, step: &Step) -> [u32; 3] {
        match self {
            Grid::Rows(rows) => [step.rows.div_ceil(rows), 1, 1],
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
    pub kernel: Kernel,
    pipeline: Arc<Pipeline>,
    bindings: wgpu::BindGroup,
    grid: Grid,
    /// What it is given to read and to write, each buffer once.
    pub bytes: u64,
}

impl Dispatch {
    /// `buffers` are bound in the order of the kernel's bindings.
    pub fn new(
        gpu: &Gpu,
        pipelines: &Pipelines,
        kernel: Kernel,
        grid: Grid,
        buffers: &[&wgpu::Buffer],
    ) -> Result<Self> {
        let pipeline = pipelines.get(gpu, kernel)?;
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
        let bindings = gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(kernel.name()),
            layout: &pipeline.bindings,
            entries: &entries,
        });
        Ok(Dispatch {
            kernel,
            pipeline,
            bindings,
            grid,
            bytes: buffers.iter().map(|buffer| buffer.size()).sum(),
        })
    }

    /// The same, which takes only `bytes` bytes of one of its buffers.
    fn taking(self, buffer: &wgpu::Buffer, bytes: u64) -> Self {
        Dispatch {
            bytes: self.bytes - buffer.size() + bytes.min(buffer.size()),
            ..self
        }
    }

    /// How many groups it has, where it may have some of them at a time.
    pub fn divisible(&self, step: &Step) -> Option<u32> {
        let divides = matches!(self.kernel, Kernel::Fused(shape) if shape.pass == Pass::Evaluate);
        divides.then(|| self.grid.groups(step)[2])
    }

    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>, step: &Step) {
        let [_, _, z] = self.grid.groups(step);
        self.record_groups(pass, step, z);
    }

    /// So many of its groups, from `step.first_group` on.
    pub fn record_groups(&self, pass: &mut wgpu::ComputePass<'_>, step: &Step, z: u32) {
        let [x, y, _] = self.grid.groups(step);
        pass.set_pipeline(&self.pipeline.pipeline);
        pass.set_bind_group(1, &self.bindings, &[]);
        pass.dispatch_workgroups(x, y, z);
    }
}

/// What training keeps on the device beside the activations.
pub struct Optimizer {
    pub gradient: wgpu::Buffer,
    pub first_moment: wgpu::Buffer,
    pub second_moment: wgpu::Buffer,
    pub losses: wgpu::Buffer,
    /// A [`Gate`](kernels::Gate).
    pub gate: wgpu::Buffer,
    /// The moving average of the parameters; a single number where none is kept.
    pub average: wgpu::Buffer,
}

/// The rows to train on, in as many buffers as the binding limit asks for.
pub struct Data {
    pub segments: Vec<(Segment, wgpu::Buffer)>,
}

/// The grid of a matrix product with so many columns.
fn product_grid(form: Form, columns: usize) -> Grid {
    match form {
        Form::Tiled => Grid::Tiles((columns as u32).div_ceil(TILE)),
        _ => Grid::Quads((columns as u32).div_ceil(4)),
    }
}

/// Makes a dispatch of each kernel, from a plan's buffers.
#[derive(Clone, Copy)]
pub struct Builder<'a> {
    pub gpu: &'a Gpu,
    pub pipelines: &'a Pipelines,
    pub plan: &'a Plan,
    pub parameters: &'a wgpu::Buffer,
    /// The plan's activation buffers; none where what is made needs none, or makes them.
    pub buffers: &'a [wgpu::Buffer],
}

impl<'a> Builder<'a> {
    /// The same for these activation buffers.
    pub fn on<'b>(self, buffers: &'b [wgpu::Buffer]) -> Builder<'b>
    where
        'a: 'b,
    {
        Builder { buffers, ..self }
    }
}

impl Builder<'_> {
    fn dispatch(&self, kernel: Kernel, grid: Grid, buffers: &[&wgpu::Buffer]) -> Result<Dispatch> {
        Dispatch::new(self.gpu, self.pipelines, kernel, grid, buffers)
    }

    fn linear_record(&self, op: &Linear) -> wgpu::Buffer {
        let (by_output, by_input) = op.weight_strides();
        self.gpu.uniform(
            "linear",
            &kernels::Linear {
                inputs: op.input.count as u32,
                outputs: op.output.count as u32,
                input_first: op.input.first as u32,
                output_first: op.output.first as u32,
                weight: op.weight.start as u32,
                by_output: by_output as u32,
                by_input: by_input as u32,
                bias: op.bias.start as u32,
                biased: (!op.bias.is_empty()).into(),
            },
        )
    }

    pub fn form(&self, op: &Linear) -> Form {
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
        form: WeightForm,
        output_gradient: &wgpu::Buffer,
        partials: &wgpu::Buffer,
    ) -> Result<Dispatch> {
        let tiles = |count: usize, tile: u32| (count as u32).div_ceil(tile);
        let (inputs, outputs) = (op.input.count, op.output.count);
        let grid = match form {
            WeightForm::Tiled => Grid::Splits(tiles(inputs, TILE), tiles(outputs, TILE)),
            WeightForm::Narrow => Grid::Splits(tiles(inputs, 4), tiles(outputs, 4)),
            WeightForm::PairInputs => Grid::Splits(tiles(outputs, 8), 1),
            WeightForm::PairOutputs => Grid::Splits(tiles(inputs, 8), 1),
        };
        self.dispatch(
            Kernel::LinearBackwardWeights(form),
            grid,
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
        let Some(way) = op.input_gradient else {
            return Ok(None);
        };
        let saved = match way {
            InputGradient::Through { saved, .. } => saved,
            // Nothing is read through it.
            InputGradient::Add | InputGradient::Write => op.input.buffer,
        };
        let dispatch = self.dispatch(
            Kernel::LinearBackwardInput(way.map(|_| ()), form),
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

    /// The record of a basis, and the table of its terms.
    fn basis_tables(&self, op: &Basis) -> (wgpu::Buffer, wgpu::Buffer) {
        let mut table = Vec::new();
        let record = terms::add(&mut table, op);
        (self.gpu.uniform("basis", &record), self.table(&table))
    }

    /// A table of terms, on the device.
    fn table(&self, terms: &[u32]) -> wgpu::Buffer {
        let buffer = self.gpu.buffer("terms", terms.len());
        let bytes = bytemuck::cast_slice(terms);
        self.gpu.queue().write_buffer(&buffer, 0, bytes);
        buffer
    }

    pub fn basis_forward(&self, op: &Basis) -> Result<Dispatch> {
        let (record, terms) = self.basis_tables(op);
        self.dispatch(
            Kernel::BasisForward(op.family),
            Grid::Quads(op.terms.len() as u32),
            &[
                &record,
                &terms,
                &self.buffers[op.input.buffer],
                &self.buffers[op.output.buffer],
            ],
        )
    }

    /// None where nobody needs the input's gradient.
    pub fn basis_backward(
        &self,
        op: &Basis,
        output_gradient: &wgpu::Buffer,
        input_gradient: &wgpu::Buffer,
    ) -> Result<Option<Dispatch>> {
        if op.input_gradient.is_none() {
            return Ok(None);
        }
        let (record, terms) = self.basis_tables(op);
        let dispatch = self.dispatch(
            Kernel::BasisBackward(op.family),
            Grid::Quads(op.input.count as u32),
            &[
                &record,
                &terms,
                &self.buffers[op.input.buffer],
                output_gradient,
                input_gradient,
            ],
        )?;
        Ok(Some(dispatch))
    }

    fn coupling_record(&self, op: &Coupling) -> wgpu::Buffer {
        let record = kernels::Coupling::of(op, self.plan.dims());
        self.gpu.uniform("coupling", &record)
    }

    /// The kernel's variant for a coupling, and what all of its kernels read: the record, `input`, the heads.
    fn coupling<'b>(
        &'b self,
        op: &Coupling,
        record: &'b wgpu::Buffer,
    ) -> (Elementwise, Heads, Vec<&'b wgpu::Buffer>) {
        let heads = match op.heads.len() {
            1 => Heads::One,
            _ => Heads::Two,
        };
        let mut buffers = vec![record, &self.buffers[op.input]];
        buffers.extend(op.heads.iter().map(|head| &self.buffers[head.buffer]));
        (Elementwise::of(op.transform), heads, buffers)
    }

    pub fn coupling_forward(&self, op: &Coupling, log_det: &wgpu::Buffer) -> Result<Dispatch> {
        let record = self.coupling_record(op);
        let (map, heads, mut buffers) = self.coupling(op, &record);
        buffers.extend([&self.buffers[op.output], log_det]);
        self.dispatch(
            Kernel::CouplingForward(map, heads),
            Grid::Quads(1),
            &buffers,
        )
    }

    pub fn coupling_inverse(&self, op: &Coupling) -> Result<Dispatch> {
        let record = self.coupling_record(op);
        let (map, heads, mut buffers) = self.coupling(op, &record);
        buffers.push(&self.buffers[op.output]);
        self.dispatch(
            Kernel::CouplingInverse(map, heads),
            Grid::Quads(1),
            &buffers,
        )
    }

    pub fn coupling_backward<'b>(
        &self,
        op: &Coupling,
        gradient_of: &impl Fn(BufferId) -> &'b wgpu::Buffer,
    ) -> Result<Dispatch> {
        let record = self.coupling_record(op);
        let (map, heads, mut buffers) = self.coupling(op, &record);
        buffers.extend([gradient_of(op.output), gradient_of(op.input)]);
        buffers.extend(op.heads.iter().map(|head| gradient_of(head.buffer)));
        self.dispatch(
            Kernel::CouplingBackward(map, heads),
            Grid::Quads(1),
            &buffers,
        )
    }

    /// A kernel of a triangular map, on a grid of columns.
    fn triangular(
        &self,
        kernel: Kernel,
        op: &Triangular,
        grid: Grid,
        buffers: &[&wgpu::Buffer],
    ) -> Result<Dispatch> {
        let record = self.gpu.uniform(
            "triangular",
            &kernels::Triangular {
                dims: self.plan.dims() as u32,
                matrix: op.matrix.start as u32,
                log_diagonal: op.log_diagonal.start as u32,
                upper: op.is_upper().into(),
            },
        );
        let mut all = vec![&record, self.parameters];
        all.extend(buffers);
        self.dispatch(kernel, grid, &all)
    }

    pub fn triangular_forward(&self, op: &Triangular, log_det: &wgpu::Buffer) -> Result<Dispatch> {
        let grid = Grid::Quads(self.plan.dims() as u32);
        let buffers = [&self.buffers[op.input], &self.buffers[op.output], log_det];
        self.triangular(Kernel::TriangularForward, op, grid, &buffers)
    }

    pub fn triangular_inverse(&self, op: &Triangular) -> Result<Dispatch> {
        let buffers = [&self.buffers[op.input], &self.buffers[op.output]];
        self.triangular(Kernel::TriangularInverse, op, Grid::Quads(1), &buffers)
    }

    /// The gradients of its input, and of its parameters.
    pub fn triangular_backward(
        &self,
        op: &Triangular,
        output_gradient: &wgpu::Buffer,
        input_gradient: &wgpu::Buffer,
        partials: &wgpu::Buffer,
    ) -> Result<[Dispatch; 2]> {
        let dims = self.plan.dims() as u32;
        Ok([
            self.triangular(
                Kernel::TriangularBackwardInput,
                op,
                Grid::Quads(dims),
                &[output_gradient, input_gradient],
            )?,
            self.triangular(
                Kernel::TriangularBackwardWeights,
                op,
                Grid::Splits(dims, dims),
                &[&self.buffers[op.input], output_gradient, partials],
            )?,
        ])
    }

    fn base_record(&self) -> wgpu::Buffer {
        self.gpu.uniform(
            "base",
            &BaseDensity {
                dims: self.plan.dims() as u32,
                location: self.plan.base.location.start as u32,
                raw_spread: self.plan.base.raw_spread.start as u32,
            },
        )
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
        if self.plan.base.kind.trained {
            buffers.push(partials);
        }
        self.dispatch(
            Kernel::BaseBackward(self.plan.base.kind),
            Grid::Splits(self.plan.dims() as u32, 1),
            &buffers,
        )
    }

    pub fn sample(&self) -> Result<Dispatch> {
        self.dispatch(
            Kernel::BaseSample(self.plan.base.kind),
            Grid::Rows(GROUP),
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
                let buffers = [&record, buffer, x, log_det];
                let gather = self.dispatch(Kernel::GatherRows, Grid::Rows(GROUP), &buffers)?;
                Ok(gather.taking(buffer, x.size()))
            })
            .collect()
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
        let dispatch = self.dispatch(Kernel::SumLoss, grid, &[loss_partials, losses])?;
        Ok(dispatch.taking(losses, 4))
    }

    pub fn sum_partials(
        &self,
        partials: &wgpu::Buffer,
        gradient: &wgpu::Buffer,
    ) -> Result<Dispatch> {
        let grid = Grid::Numbers(self.plan.layout.len() as u32);
        self.dispatch(Kernel::SumPartials, grid, &[partials, gradient])
    }

    pub fn gradient_norm(
        &self,
        gradient: &wgpu::Buffer,
        partials: &wgpu::Buffer,
    ) -> Result<Dispatch> {
        let grid = Grid::Numbers((self.plan.layout.len() as u32).div_ceil(NORM_SPAN));
        self.dispatch(Kernel::GradientNorm, grid, &[gradient, partials])
    }

    pub fn clip(&self, partials: &wgpu::Buffer, optimizer: &Optimizer) -> Result<Dispatch> {
        let buffers = [partials, &optimizer.losses, &optimizer.gate];
        let dispatch = self.dispatch(Kernel::Clip, Grid::Numbers(1), &buffers)?;
        Ok(dispatch.taking(&optimizer.losses, 4))
    }

    pub fn adamw(&self, optimizer: &Optimizer) -> Result<Dispatch> {
        self.dispatch(
            Kernel::AdamW,
            Grid::Numbers(self.plan.layout.len() as u32),
            &[
                &optimizer.gradient,
                self.parameters,
                &optimizer.first_moment,
                &optimizer.second_moment,
                &optimizer.average,
                &optimizer.gate,
            ],
        )
    }

    /// A fused kernel that reads `input` and writes `outputs`.
    fn fused(
        &self,
        fused: &Fused,
        grid: Grid,
        input: &wgpu::Buffer,
        outputs: &[&wgpu::Buffer],
    ) -> Result<Dispatch> {
        let layers = self.gpu.uniforms("layers", &fused.layers);
        let maps = self.gpu.uniforms("linear maps", &fused.maps);
        let mut buffers = vec![&layers, self.parameters, &maps, input];
        buffers.extend(outputs);
        let terms = fused.shape.family.map(|_| self.table(&fused.terms));
        buffers.extend(&terms);
        self.dispatch(Kernel::Fused(fused.shape), grid, &buffers)
    }

    pub fn fused_forward(&self, fused: &Fused, log_det: &wgpu::Buffer) -> Result<Dispatch> {
        let grid = Grid::Rows(fused.rows_per_group as u32);
        let [x, z] = [self.plan.data(), self.plan.latent()].map(|state| &self.buffers[state]);
        self.fused(fused, grid, x, &[z, log_det])
    }

    pub fn fused_inverse(&self, fused: &Fused) -> Result<Dispatch> {
        let grid = Grid::Rows(fused.rows_per_group as u32);
        let [x, z] = [self.plan.data(), self.plan.latent()].map(|state| &self.buffers[state]);
        self.fused(fused, grid, z, &[x])
    }

    /// Loss and gradient in two dispatches, the update in two more; `groups` groups share a full batch.
    pub fn fused_step(
        &self,
        fused: &Fused,
        groups: usize,
        data: &Data,
        optimizer: &Optimizer,
    ) -> Result<(Vec<Dispatch>, Vec<Dispatch>)> {
        let gpu = self.gpu;
        let [(_, rows)] = &data.segments[..] else {
            unreachable!("fused where the data fit one binding")
        };
        let parameters = self.plan.layout.len();
        let aside = 4 * (fused.shape.aside * fused.shape.quads) as usize * groups;
        let aside = gpu.buffer("columns put aside", aside);
        let partials = gpu.buffer("partial gradients", groups * parameters);
        let loss_partials = gpu.buffer("partial losses", groups);
        let norms = gpu.buffer("partial norms", 2 * parameters.div_ceil(GROUP as usize));
        let outputs = [&aside, &partials, &loss_partials];
        let evaluate = self.fused(fused, Grid::Splits(1, 1), rows, &outputs)?;
        let batch = fused.rows_per_group * groups * self.plan.dims();
        let evaluate = evaluate.taking(rows, 4 * batch as u64);
        let sum = self.dispatch(
            Kernel::SumGradient,
            Grid::Numbers(parameters as u32),
            &[
                &partials,
                &loss_partials,
                &optimizer.gradient,
                &norms,
                &optimizer.losses,
            ],
        )?;
        let sum = sum.taking(&optimizer.losses, 4);
        let update = vec![self.clip(&norms, optimizer)?, self.adamw(optimizer)?];
        Ok((vec![evaluate, sum], update))
    }

    /// Gradient to parameters: norm, clipping, AdamW.
    pub fn update(&self, optimizer: &Optimizer) -> Result<Vec<Dispatch>> {
        let groups = self
            .plan
            .layout
            .len()
            .div_ceil((NORM_SPAN * GROUP) as usize);
        let partials = self.gpu.buffer("partial norms", 2 * groups);
        Ok(vec![
            self.gradient_norm(&optimizer.gradient, &partials)?,
            self.clip(&partials, optimizer)?,
            self.adamw(optimizer)?,
        ])
    }
}
