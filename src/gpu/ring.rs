use super::device::Gpu;
use super::kernels::Step;
use super::pipelines::{Pipelines, STEP_PITCH};

/// Records in a ring: how many runs of rows one submission may hold.
pub const RING: usize = 256;

/// The step records of one submission, each bound with its own offset.
pub struct Ring {
    records: wgpu::Buffer,
    bindings: wgpu::BindGroup,
}

impl Ring {
    pub fn new(gpu: &Gpu, pipelines: &Pipelines) -> Self {
        let records = gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("steps"),
            size: STEP_PITCH * RING as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let bindings = gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("step"),
            layout: &pipelines.step,
            entries: &[wgpu::BindGroupEntry {
                binding: 0,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: &records,
                    offset: 0,
                    size: std::num::NonZeroU64::new(size_of::<Step>() as u64),
                }),
            }],
        });
        Ring { records, bindings }
    }

    /// Writes records to the ring, from its beginning. They are there for the whole next submission.
    pub fn write(&self, gpu: &Gpu, steps: &[Step]) {
        assert!(steps.len() <= RING, "more steps than the ring holds");
        let mut bytes = vec![0u8; steps.len() * STEP_PITCH as usize];
        for (slot, step) in bytes.chunks_exact_mut(STEP_PITCH as usize).zip(steps) {
            slot[..size_of::<Step>()].copy_from_slice(bytemuck::bytes_of(step));
        }
        gpu.queue().write_buffer(&self.records, 0, &bytes);
    }

    /// Makes the record at `index` the one that the next dispatches read.
    pub fn bind(&self, pass: &mut wgpu::ComputePass<'_>, index: usize) {
        let offset = index as u32 * STEP_PITCH as u32;
        pass.set_bind_group(0, &self.bindings, &[offset]);
    }
}
