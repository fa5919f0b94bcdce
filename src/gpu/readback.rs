use std::sync::mpsc::{self, Receiver};

use crate::error::{Error, Result};

use super::device::Gpu;

/// As many numbers as several buffers may be copied back through one: 64 MiB, below every adapter's limit for a buffer.
const MOST_READ: usize = 1 << 24;

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
            gpu.inject_fault();
            self.buffer
                .map_async(wgpu::MapMode::Read, range, move |result| {
                    // The receiver is gone if the wait timed out.
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
            |what: String| Error::gpu(format!("{}: reading back: {what}", gpu.description));
        // The wait has run the callbacks.
        pending
            .mapped
            .try_recv()
            .map_err(|_| failed("no answer".into()))?
            .map_err(|error| failed(error.to_string()))?;
        #[cfg(feature = "testing")]
        gpu.inject_fault();
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

impl Gpu {
    /// Copies the first `numbers` numbers of a buffer to the host.
    ///
    /// # Errors
    /// As [`Gpu::read_all`].
    pub fn read(&self, buffer: &wgpu::Buffer, numbers: usize) -> Result<Vec<f32>> {
        self.read_all(&[(buffer, numbers)])
    }

    /// Copies the first numbers of each of some buffers to the host, one after another.
    ///
    /// # Errors
    /// As [`Gpu::wait`], and [`Gpu::allocate`] for what is copied through.
    pub fn read_all(&self, sources: &[(&wgpu::Buffer, usize)]) -> Result<Vec<f32>> {
        let numbers = sources.iter().map(|(_, count)| count).sum();
        if numbers > MOST_READ && sources.len() > 1 {
            let parts = sources
                .iter()
                .map(|&(buffer, count)| self.read(buffer, count));
            return Ok(parts.collect::<Result<Vec<_>>>()?.concat());
        }
        let readback = Readback::new(self, numbers)?;
        readback.finish(self, readback.submit(self, self.encoder(), sources))
    }
}

pub fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}
