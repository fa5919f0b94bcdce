//! Builds dispatches from the ops and buffers of a plan.

mod step;

use crate::error::Result;
use crate::flow::{
    Basis, BufferId, Columns, Concat, Coupling, InputGradient, Linear, Plan, TransformKind,
    Triangular,
};

use super::device::Gpu;
use super::dispatch::{Dispatch, Grid};
use super::kernels::{self, BaseDensity, Form, GROUP, Heads, Kernel, RowWeights, TILE, WeightForm};
use super::pipelines::Pipelines;
use super::terms;

pub use step::{Data, Optimizer};

/// The grid of a matrix product with so many columns.
fn product_grid(form: Form, columns: usize) -> Grid {
    match form {
        Form::Tiled => Grid::Tiles((columns as u32).div_ceil(TILE)),
        Form::Narrow | Form::NarrowUniform => Grid::Quads((columns as u32).div_ceil(4)),
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
    /// The weight of each row of a batch in the loss, where they have weights.
    pub row_weights: Option<&'a wgpu::Buffer>,
}

impl<'a> Builder<'a> {
    /// The same for these activation buffers.
    pub fn on<'b>(self, buffers: &'b [wgpu::Buffer]) -> Builder<'b>
    where
        'a: 'b,
    {
        Builder { buffers, ..self }
    }

    /// The same for rows with these weights.
    pub fn weighted<'b>(self, row_weights: Option<&'b wgpu::Buffer>) -> Builder<'b>
    where
        'a: 'b,
    {
        Builder {
            row_weights,
            ..self
        }
    }
}

impl Builder<'_> {
    fn dispatch(&self, kernel: Kernel, grid: Grid, buffers: &[&wgpu::Buffer]) -> Result<Dispatch> {
        Dispatch::new(self.gpu, self.pipelines, kernel, grid, buffers)
    }

    /// Which variant of a kernel suits the rows.
    fn weights(&self) -> RowWeights {
        match self.row_weights {
            None => RowWeights::Uniform,
            Some(_) => RowWeights::Stored,
        }
    }

    /// A kernel that reads the rows' weights, behind `buffers`.
    fn weighted_dispatch(
        &self,
        kernel: Kernel,
        grid: Grid,
        buffers: &[&wgpu::Buffer],
    ) -> Result<Dispatch> {
        let mut all = buffers.to_vec();
        all.extend(self.row_weights);
        self.dispatch(kernel, grid, &all)
    }

    pub fn concat(&self, op: &Concat) -> Result<Dispatch> {
        let record = self.gpu.uniform(
            "concat",
            &kernels::Concat {
                frozen_first: op.frozen.first as u32,
                frozen_count: op.frozen.count as u32,
                context_first: op.context.first as u32,
            },
        );
        self.dispatch(
            Kernel::Concat,
            Grid::Quads(op.output.count as u32),
            &[
                &record,
                &self.buffers[op.frozen.buffer],
                &self.buffers[op.context.buffer],
                &self.buffers[op.output.buffer],
            ],
        )
    }

    /// The record of a linear map, whose inputs are `input` or, on the way back, the first of them.
    fn linear_record(&self, op: &Linear, input: Columns) -> wgpu::Buffer {
        let (by_output, by_input) = op.weight_strides();
        self.gpu.uniform(
            "linear",
            &kernels::Linear {
                inputs: input.count as u32,
                outputs: op.output.count as u32,
                input_first: input.first as u32,
                output_first: op.output.first as u32,
                weight: op.weight.start as u32,
                by_output: by_output as u32,
                by_input: by_input as u32,
                bias: op.bias.start as u32,
                biased: (!op.bias.is_empty()).into(),
            },
        )
    }

    /// The form of a product that makes `made` columns of sums over `summed`.
    fn form(&self, made: usize, summed: usize) -> Form {
        Form::of(made, summed, self.plan.layout.len())
    }

    pub fn form_forward(&self, op: &Linear) -> Form {
        self.form(op.output.count, op.input.count)
    }

    pub fn form_backward(&self, op: &Linear) -> Form {
        self.form(op.gradient_target.count, op.output.count)
    }

    pub fn weight_form(&self, op: &Linear) -> WeightForm {
        WeightForm::of(op.input.count, op.output.count)[0]
    }

    pub fn linear_forward(&self, op: &Linear, form: Form) -> Result<Dispatch> {
        let record = self.linear_record(op, op.input);
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
        // A map without inputs has biases.
        let tiles = |count: usize, tile: u32| (count as u32).div_ceil(tile).max(1);
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
                &self.linear_record(op, op.input),
                &self.buffers[op.input.buffer],
                output_gradient,
                partials,
            ],
        )
    }

    /// None where the input's gradient is not needed.
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
            product_grid(form, op.gradient_target.count),
            &[
                &self.linear_record(op, op.gradient_target),
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

    /// None where the input's gradient is not needed.
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
            Grid::Quads(op.gradient_target.count as u32),
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
    ) -> (TransformKind, Heads, Vec<&'b wgpu::Buffer>) {
        let heads = match op.heads.len() {
            1 => Heads::One,
            _ => Heads::Two,
        };
        let mut buffers = vec![record, &self.buffers[op.input]];
        buffers.extend(op.heads.iter().map(|head| &self.buffers[head.buffer]));
        (op.transform.kind(), heads, buffers)
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
        self.weighted_dispatch(
            Kernel::CouplingBackward(map, heads, self.weights()),
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
        let mut of_weights = vec![&self.buffers[op.input], output_gradient, partials];
        of_weights.extend(self.row_weights);
        Ok([
            self.triangular(
                Kernel::TriangularBackwardInput,
                op,
                Grid::Quads(dims),
                &[output_gradient, input_gradient],
            )?,
            self.triangular(
                Kernel::TriangularBackwardWeights(self.weights()),
                op,
                Grid::Splits(dims, dims),
                &of_weights,
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
        self.weighted_dispatch(
            Kernel::BaseBackward(self.plan.base.kind, self.weights()),
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
}
