use std::sync::Arc;

use crate::error::Result;

use super::device::Gpu;
use super::kernels::{GROUP, Kernel, Pass, Step, TILE};
use super::pipelines::{Pipeline, Pipelines};

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
            pipeline.bindings.len(),
            "buffers of {kernel:?}"
        );
        let entries: Vec<_> = pipeline
            .bindings
            .iter()
            .zip(buffers)
            .map(|(&binding, buffer)| wgpu::BindGroupEntry {
                binding,
                resource: buffer.as_entire_binding(),
            })
            .collect();
        let bindings = gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(kernel.name()),
            layout: &pipeline.layout,
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
    pub fn taking(self, buffer: &wgpu::Buffer, bytes: u64) -> Self {
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
