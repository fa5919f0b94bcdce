use std::sync::mpsc::{self, Receiver};

use crate::error::{Error, Result};

use super::device::Gpu;
#[cfg(feature = "testing")]
use super::fault_injection::FaultInjection;

/// A buffer through which results come back to the host.
pub struct Readback {
    buffer: wgpu::Buffer,
}

/// Results on their way: until they are there, the host is free to do something else.
pub struct Pending {
    submission: wgpu::SubmissionIndex,
    mapped: Receiver<Result<(), wgpu::BufferAsyncError>>,
    numbers: usize,
}

impl Readback {
    /// For so many numbers of four bytes.
    ///
    /// # Errors
    /// As [`Gpu::allocate`].
    pub fn new(gpu: &Gpu, numbers: usize) -> Result<Self> {
        #[cfg(feature = "testing")]
        gpu.taken.update(|taken| taken + 4 * numbers as u64);
        let buffer = gpu.allocate("a result", || {
            gpu.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some("readback"),
                size: 4 * numbers.max(1) as u64,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        })?;
        Ok(Readback { buffer })
    }

    /// Submits, with a copy of the first numbers of each of `sources` after all else, one after another.
    pub fn submit(
        &self,
        gpu: &Gpu,
        mut encoder: wgpu::CommandEncoder,
        sources: &[(&wgpu::Buffer, usize)],
    ) -> Pending {
        let mut numbers = 0;
        for &(source, count) in sources {
            let bytes = 4 * count as u64;
            encoder.copy_buffer_to_buffer(source, 0, &self.buffer, 4 * numbers as u64, bytes);
            numbers += count;
        }
        let submission = gpu.submit(encoder);
        let (sender, mapped) = mpsc::channel();
        if numbers > 0 {
            let range = ..4 * numbers as u64;
            #[cfg(feature = "testing")]
            FaultInjection::before_call(gpu);
            self.buffer
                .map_async(wgpu::MapMode::Read, range, move |result| {
                    // The receiver is gone where the wait timed out; nobody is left to tell.
                    let _ = sender.send(result);
                });
        }
        Pending {
            submission,
            mapped,
            numbers,
        }
    }

    /// Waits for the numbers.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device failed or does not answer.
    pub fn finish(&self, gpu: &Gpu, pending: Pending) -> Result<Vec<f32>> {
        gpu.wait(pending.submission)?;
        if pending.numbers == 0 {
            return Ok(Vec::new());
        }
        let failed =
            |what: String| Error::Gpu(format!("{}: reading back: {what}", gpu.description).into());
        // The wait has called back whoever was to be told.
        pending
            .mapped
            .try_recv()
            .map_err(|_| failed("no answer".into()))?
            .map_err(|error| failed(error.to_string()))?;
        #[cfg(feature = "testing")]
        FaultInjection::before_call(gpu);
        let numbers = {
            let view = self
                .buffer
                .get_mapped_range(..4 * pending.numbers as u64)
                .map_err(|error| failed(error.to_string()))?;
            bytemuck::pod_collect_to_vec(&view)
        };
        self.buffer.unmap();
        gpu.check()?;
        Ok(numbers)
    }
}

pub fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}
