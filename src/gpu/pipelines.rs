use std::cell::RefCell;
use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use crate::error::{Error, Result};

use super::device::Gpu;
use super::kernels::{Kernel, Step};
use super::shader::Access;
use super::wait;

/// The distance between two records of the step ring: what WebGPU guarantees for dynamic offsets.
pub const STEP_PITCH: u64 = 256;

/// A compiled kernel and the shape of its bindings.
pub struct Pipeline {
    /// What a pass runs.
    pub pipeline: wgpu::ComputePipeline,
    /// The layout of group 1: the kernel's own buffers.
    pub layout: wgpu::BindGroupLayout,
    /// The numbers of its bindings, in their order.
    pub bindings: Vec<u32>,
}

/// The compiled kernels of a device, each compiled when it is first asked for.
pub struct Pipelines {
    /// The layout of group 0 of every kernel: the step record, at a dynamic offset.
    pub step: wgpu::BindGroupLayout,
    compiled: RefCell<HashMap<Kernel, Arc<Pipeline>>>,
}

impl Pipelines {
    /// None yet, for a device.
    pub fn new(gpu: &Gpu) -> Self {
        let step = gpu
            .device()
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: Some("step"),
                entries: &[wgpu::BindGroupLayoutEntry {
                    ty: wgpu::BindingType::Buffer {
                        ty: wgpu::BufferBindingType::Uniform,
                        has_dynamic_offset: true,
                        min_binding_size: NonZeroU64::new(size_of::<Step>() as u64),
                    },
                    ..entry(0, Access::Uniform)
                }],
            });
        Pipelines {
            step,
            compiled: RefCell::default(),
        }
    }

    /// The pipeline of a kernel.
    ///
    /// # Errors
    /// [`Error::Gpu`] with the compiler's message, at file and line.
    pub fn get(&self, gpu: &Gpu, kernel: Kernel) -> Result<Arc<Pipeline>> {
        if let Some(pipeline) = self.compiled.borrow().get(&kernel) {
            return Ok(pipeline.clone());
        }
        let pipeline = Arc::new(self.compile(gpu, kernel)?);
        self.compiled.borrow_mut().insert(kernel, pipeline.clone());
        Ok(pipeline)
    }

    fn compile(&self, gpu: &Gpu, kernel: Kernel) -> Result<Pipeline> {
        let source = kernel.source();
        let scope = gpu.device().push_error_scope(wgpu::ErrorFilter::Validation);
        let module = gpu
            .device()
            .create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some(kernel.name()),
                source: wgpu::ShaderSource::Wgsl(source.text.as_str().into()),
            });
        let fail = |message: String| {
            Err(Error::gpu(format!(
                "{}: kernel {kernel:?} does not compile:\n{message}",
                gpu.description
            )))
        };
        if let Some(error) = wait::block_on(scope.pop()) {
            let messages = wait::block_on(module.get_compilation_info()).messages;
            return fail(if messages.is_empty() {
                error.to_string()
            } else {
                source.explain(&messages)
            });
        }
        let bindings = match source.bindings() {
            Ok(bindings) => bindings,
            Err(message) => return fail(message),
        };
        let scope = gpu.device().push_error_scope(wgpu::ErrorFilter::Validation);
        let entries: Vec<_> = bindings
            .iter()
            .map(|&(binding, access)| entry(binding, access))
            .collect();
        let own = gpu
            .device()
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: Some(kernel.name()),
                entries: &entries,
            });
        let whole = gpu
            .device()
            .create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(kernel.name()),
                bind_group_layouts: &[Some(&self.step), Some(&own)],
                immediate_size: 0,
            });
        let pipeline = gpu
            .device()
            .create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(kernel.name()),
                layout: Some(&whole),
                module: &module,
                entry_point: Some(kernel.name()),
                // Every kernel writes before it reads; zeros cost compilers seconds where tiles are large.
                compilation_options: wgpu::PipelineCompilationOptions {
                    zero_initialize_workgroup_memory: false,
                    ..Default::default()
                },
                cache: None,
            });
        match wait::block_on(scope.pop()) {
            None => Ok(Pipeline {
                pipeline,
                layout: own,
                bindings: bindings.into_iter().map(|(number, _)| number).collect(),
            }),
            Some(error) => fail(error.to_string()),
        }
    }
}

fn entry(binding: u32, access: Access) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty: match access {
                Access::Uniform => wgpu::BufferBindingType::Uniform,
                Access::Read => wgpu::BufferBindingType::Storage { read_only: true },
                Access::Write => wgpu::BufferBindingType::Storage { read_only: false },
            },
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        count: None,
    }
}
