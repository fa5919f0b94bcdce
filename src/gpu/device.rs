use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::adapter::Adapter;
use super::wait;
use crate::error::{Error, Message, Remedy, Result};

#[cfg(feature = "testing")]
use super::fault_injection::FaultInjection;

/// As many parameters as a uniform binding holds under the WebGPU default limits (64 KiB).
pub const UNIFORM_PARAMETERS: u32 = 16_384;

/// How long a submission may take before the device counts as hung. Submissions are kept well under a second; a
/// software adapter on a busy machine may need some time for its first one.
const DEADLINE: Duration = Duration::from_secs(120);

/// An open device and what is common to all work on it.
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    /// Name, kind and backend, for messages.
    pub description: String,
    /// As [`Adapter::is_software`].
    pub is_software: bool,
    /// The first failure that no call returned.
    failure: Failure,
    /// Whether it did not answer in time: it may never do.
    is_silent: Cell<bool>,
    /// Bytes of all buffers that were ever made.
    #[cfg(feature = "testing")]
    pub taken: Cell<u64>,
}

/// The first of some failures, as text.
#[derive(Clone, Default)]
struct Failure(Arc<Mutex<Option<String>>>);

impl Failure {
    fn note(&self, message: String) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(message);
    }

    fn first(&self) -> Option<String> {
        let first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.clone()
    }
}

impl Gpu {
    /// Opens an adapter with these limits, and no more.
    ///
    /// # Errors
    /// [`Error::NoGpu`] where the adapter does not reach the limits, or refuses.
    pub fn open(adapter: &Adapter, limits: wgpu::Limits) -> Result<Self> {
        // A browser opens an adapter once.
        #[cfg(target_arch = "wasm32")]
        let adapter = &adapter.again()?;
        // For timing alone: nothing that computes needs a feature.
        let clock = adapter.adapter.features() & wgpu::Features::TIMESTAMP_QUERY;
        let request = adapter.adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("couplet"),
            required_features: clock,
            required_limits: limits,
            ..Default::default()
        });
        let (device, queue) = wait::block_on(request).map_err(|error| {
            Error::no_gpu(format!(
                "{} cannot be opened with the limits that the kernels need (the WebGPU defaults): {error}",
                adapter.describe()
            ))
        })?;
        let failure = Failure::default();
        let (on_error, on_loss) = (failure.clone(), failure.clone());
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            on_error.note(error.to_string());
        }));
        // Dropping the device is a loss, too; then nobody asks any more.
        device.set_device_lost_callback(move |_, message| {
            on_loss.note(format!("the device was lost: {message}"));
        });
        Ok(Gpu {
            device,
            queue,
            description: adapter.describe(),
            is_software: adapter.is_software(),
            failure,
            is_silent: Cell::new(false),
            #[cfg(feature = "testing")]
            taken: Cell::new(0),
        })
    }

    /// The device, for a call.
    pub fn device(&self) -> &wgpu::Device {
        #[cfg(feature = "testing")]
        self.inject_fault();
        &self.device
    }

    /// The queue, for a call.
    pub fn queue(&self) -> &wgpu::Queue {
        #[cfg(feature = "testing")]
        self.inject_fault();
        &self.queue
    }

    /// What the device was opened with.
    pub fn limits(&self) -> wgpu::Limits {
        self.device.limits()
    }

    /// Whether it can say when a kernel began and ended.
    pub fn has_clock(&self) -> bool {
        let features = self.device.features();
        features.contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// Destroys the device when it is called, as a driver does that is reset.
    #[cfg(feature = "testing")]
    pub fn destroy_for_test(&self) -> impl Fn() + use<> {
        let device = self.device.clone();
        move || device.destroy()
    }

    /// Has the fault happen that a test has planned for this call.
    #[cfg(feature = "testing")]
    pub fn inject_fault(&self) {
        if FaultInjection::Lost.fires() {
            self.destroy_for_test()();
        }
        if FaultInjection::Invalid.fires() {
            self.make_invalid_call();
        }
    }

    /// Makes a call that is not valid.
    #[cfg(feature = "testing")]
    fn make_invalid_call(&self) {
        let _ = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("never to be"),
            size: 4,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::MAP_WRITE,
            mapped_at_creation: false,
        });
    }

    /// Fails if anything on the device failed since the last check.
    pub fn check(&self) -> Result<()> {
        match self.failure.first() {
            None => Ok(()),
            Some(message) => Err(Error::gpu(format!("{}: {message}", self.description))),
        }
    }

    /// A storage buffer of `numbers` f32 or u32 numbers, zero.
    pub fn buffer(&self, label: &str, numbers: usize) -> wgpu::Buffer {
        self.storage(label, numbers, wgpu::BufferUsages::empty())
    }

    /// A storage buffer for the parameters. Where a uniform binding could hold them, it is as large as one.
    pub fn parameters(&self, numbers: usize) -> wgpu::Buffer {
        let room = UNIFORM_PARAMETERS as usize;
        if numbers <= room {
            self.storage("parameters", room, wgpu::BufferUsages::UNIFORM)
        } else {
            self.buffer("parameters", numbers)
        }
    }

    fn storage(&self, label: &str, numbers: usize, more: wgpu::BufferUsages) -> wgpu::Buffer {
        #[cfg(feature = "testing")]
        self.taken.update(|taken| taken + 4 * numbers as u64);
        self.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: 4 * numbers.max(1) as u64,
            usage: wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::COPY_SRC
                | wgpu::BufferUsages::COPY_DST
                | more,
            mapped_at_creation: false,
        })
    }

    /// A uniform buffer that holds one record.
    pub fn uniform<T: bytemuck::Pod>(&self, label: &str, record: &T) -> wgpu::Buffer {
        self.uniforms(label, std::slice::from_ref(record))
    }

    /// A uniform buffer that holds some records, each a multiple of 16 bytes long if there are several.
    pub fn uniforms<T: bytemuck::Pod>(&self, label: &str, records: &[T]) -> wgpu::Buffer {
        let bytes = bytemuck::cast_slice(records);
        let buffer = self.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: bytes.len() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.queue().write_buffer(&buffer, 0, bytes);
        buffer
    }

    /// Runs `create`, and turns a lack of device memory into an error that says what to lower.
    ///
    /// # Errors
    /// [`Error::Gpu`] for that, and for what the device had to say since it was last asked.
    pub fn allocate<T>(&self, what: &str, create: impl FnOnce() -> T) -> Result<T> {
        let scope = self
            .device()
            .push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let created = create();
        let error = wait::block_on(scope.pop()).map(|error| error.to_string());
        #[cfg(feature = "testing")]
        let error = error.or(FaultInjection::OutOfMemory
            .fires()
            .then(|| "as planned".into()));
        match error {
            None => {
                self.check()?;
                Ok(created)
            }
            Some(error) => {
                let text = format!("{} has no memory for {what}: {error}", self.description);
                let smaller = Remedy::by_hand("lower batch_size or the model");
                Err(Error::Gpu(
                    Message::new(text).remedy(smaller).remedy(Remedy::on_cpu()),
                ))
            }
        }
    }

    /// Sends work to the device.
    pub fn submit(&self, encoder: wgpu::CommandEncoder) -> wgpu::SubmissionIndex {
        self.queue().submit([encoder.finish()])
    }

    /// Waits until the device is done with a submission.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device failed or does not answer.
    pub fn wait(&self, submission: wgpu::SubmissionIndex) -> Result<()> {
        let waited = wait::until_done(self.device(), self.queue(), submission, DEADLINE);
        #[cfg(feature = "testing")]
        let waited = match FaultInjection::Silent.fires() {
            true => Err("as planned".into()),
            false => waited,
        };
        if let Err(error) = waited {
            self.is_silent.set(true);
            self.failure.note(format!(
                "no answer within {} s: {error}",
                DEADLINE.as_secs()
            ));
        }
        self.check()
    }

    /// Submits, and waits until the device is done.
    ///
    /// # Errors
    /// As [`Gpu::wait`].
    pub fn run(&self, encoder: wgpu::CommandEncoder) -> Result<()> {
        self.wait(self.submit(encoder))
    }

    /// Replaces the first numbers of a buffer, before whatever is submitted next.
    ///
    /// # Errors
    /// What the device had to say since it was last asked.
    pub fn write(&self, buffer: &wgpu::Buffer, values: &[f64]) -> Result<()> {
        let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
        self.queue()
            .write_buffer(buffer, 0, bytemuck::cast_slice(&values));
        self.check()
    }

    /// To record work in.
    pub fn encoder(&self) -> wgpu::CommandEncoder {
        self.device().create_command_encoder(&Default::default())
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        // Dropping a queue waits for the device.
        if self.is_silent.get() {
            std::mem::forget(self.queue.clone());
        }
    }
}
