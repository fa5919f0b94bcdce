//! Builds the dispatches of a training step.

use crate::error::Result;
use crate::gpu::dispatch::{Dispatch, Grid};
use crate::gpu::fused::Fused;
use crate::gpu::kernels::{GROUP, Kernel, NORM_SPAN, Segment};

use super::Builder;

/// What training keeps on the device beside the activations.
pub struct Optimizer {
    pub gradient: wgpu::Buffer,
    pub first_moment: wgpu::Buffer,
    pub second_moment: wgpu::Buffer,
    pub losses: wgpu::Buffer,
    /// A [`Gate`](crate::gpu::kernels::Gate).
    pub gate: wgpu::Buffer,
    /// The moving average of the parameters; a single number where none is kept.
    pub average: wgpu::Buffer,
}

/// The rows to train on, in as many buffers as the binding limit asks for.
pub struct Data {
    pub segments: Vec<(Segment, wgpu::Buffer)>,
    /// Whether their last column is the weight of each row.
    pub weighted: bool,
}

impl Builder<'_> {
    pub fn gather(&self, data: &Data, log_det: &wgpu::Buffer) -> Result<Vec<Dispatch>> {
        data.segments
            .iter()
            .map(|(record, buffer)| {
                let record = self.gpu.uniform("segment", record);
                let x = &self.buffers[self.plan.data()];
                let gather = self.weighted_dispatch(
                    Kernel::GatherRows(self.weights()),
                    Grid::Rows(GROUP),
                    &[&record, buffer, x, log_det],
                )?;
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
        let buffers = [log_prob, loss_partials];
        self.weighted_dispatch(Kernel::SumLogProb(self.weights()), grid, &buffers)
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

    /// Loss and gradient in two dispatches, the update in two more; `groups` make up a full batch.
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
        let saved = 4 * (fused.shape.saved_columns * fused.shape.quads) as usize * groups;
        let saved = gpu.buffer("saved activations", saved);
        let partials = gpu.buffer("partial gradients", groups * parameters);
        let loss_partials = gpu.buffer("partial losses", groups);
        let norms = gpu.buffer("partial norms", 2 * parameters.div_ceil(GROUP as usize));
        let outputs = [&saved, &partials, &loss_partials];
        let evaluate = self.fused(fused, Grid::Splits(1, 1), rows, &outputs)?;
        let batch = fused.rows_per_group * groups * self.plan.width();
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
