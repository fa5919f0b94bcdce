use std::sync::Arc;
use std::time::Duration;

use crate::cpu::{self, CpuExecutor};
use crate::error::{Error, Message, Result};
use crate::executor::{Batches, DeviceFailure, Executor, Recovering, Training};
use crate::flow::Plan;
use crate::gpu::{self, Adapter, GpuExecutor, GpuPath, adapters};
use crate::matrix::Matrix;
use crate::memory;

use super::choice::{DeviceChoice, DeviceName, named, no_adapter};

/// Where a flow runs.
#[derive(Clone)]
pub struct Device {
    hardware: Hardware,
    /// Whether this GPU was not asked for: where it cannot be used, the CPU is.
    may_fall_back: bool,
    path: GpuPath,
}

#[derive(Clone)]
#[allow(
    clippy::large_enum_variant,
    reason = "a fit has one; and behind a pointer the compiler would not see where no adapter can be"
)]
enum Hardware {
    Cpu,
    Gpu(Adapter),
}

/// What an executor is opened for.
#[derive(Clone, Debug)]
pub struct ExecutorRequest {
    /// The plan to run.
    pub plan: Plan,
    /// The parameters to begin with.
    pub parameters: Vec<f32>,
    /// What it has to be ready for when it is opened: only then is it known to work.
    pub purpose: Purpose,
}

/// What an executor has to be ready for.
#[derive(Clone, Debug)]
pub enum Purpose {
    /// Training on these rows, with a weight for each where they do not all count the same.
    Train(Arc<Matrix<f32>>, Arc<Vec<f32>>, Training),
    /// Log-densities.
    Score,
    /// Samples.
    Sample,
}

/// How long to wait before a device that failed is opened again, each time that it fails without getting ahead: a driver
/// takes a moment to come back. After that it is given up.
const PAUSES: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(3),
];

impl Device {
    /// Chooses a device.
    ///
    /// # Errors
    /// [`Error::NoGpu`] where there is no such device, [`Error::Spec`] where the choice contradicts itself.
    pub fn choose(choice: &DeviceChoice) -> Result<Self> {
        let device = Self::find(choice)?;
        Ok(Device {
            path: choice.gpu_path,
            ..device
        })
    }

    fn find(choice: &DeviceChoice) -> Result<Self> {
        const VARIABLE: &str = "WGPU_ADAPTER_NAME";
        let requested = match &choice.adapter {
            Some(name) => Some((name.clone(), "adapter")),
            None => std::env::var(VARIABLE)
                .ok()
                .filter(|name| !name.is_empty())
                .map(|name| (name, VARIABLE)),
        };
        match (choice.device, requested) {
            (DeviceName::Cpu, _) if choice.adapter.is_some() => {
                let text = "it names a GPU, and the CPU was chosen as the device; leave one of the two out";
                let name = choice.adapter.as_deref().unwrap_or_default();
                Err(Error::Spec(Message::about("adapter", name, text)))
            }
            (DeviceName::Cpu, _) => Ok(Self::cpu()),
            (_, Some((name, origin))) => Ok(Self::gpu(named(adapters(), &name, origin)?, false)),
            (DeviceName::Gpu, None) => match adapters().into_iter().next() {
                Some(adapter) => Ok(Self::gpu(adapter, false)),
                None => Err(Error::NoGpu(no_adapter())),
            },
            (DeviceName::Auto, None) => {
                match adapters()
                    .into_iter()
                    .find(|adapter| !adapter.is_software())
                {
                    Some(adapter) => Ok(Self::gpu(adapter, true)),
                    None => {
                        log::info!("no hardware GPU found; using the CPU");
                        Ok(Self::cpu())
                    }
                }
            }
        }
    }

    /// The CPU.
    pub fn cpu() -> Self {
        Device {
            hardware: Hardware::Cpu,
            may_fall_back: false,
            path: GpuPath::Auto,
        }
    }

    /// A GPU; where it cannot be used, the CPU may be.
    pub fn gpu(adapter: Adapter, may_fall_back: bool) -> Self {
        if adapter.is_software() {
            log::warn!(
                "{} computes on the CPU and is for checking kernels; device = cpu does the same work faster",
                adapter.describe()
            );
        }
        Device {
            hardware: Hardware::Gpu(adapter),
            may_fall_back,
            path: GpuPath::Auto,
        }
    }

    /// The adapter, if it is a GPU.
    pub fn adapter(&self) -> Option<&Adapter> {
        match &self.hardware {
            Hardware::Cpu => None,
            Hardware::Gpu(adapter) => Some(adapter),
        }
    }

    /// What it is, in words.
    pub fn describe(&self) -> String {
        match &self.hardware {
            Hardware::Cpu => {
                let threads = rayon::current_num_threads();
                format!("CPU, {threads} threads, {}", cpu::instructions())
            }
            Hardware::Gpu(adapter) => adapter.describe(),
        }
    }

    /// Bytes of memory that a request takes, of the machine's or of the device's own.
    ///
    /// # Errors
    /// As [`gpu::memory`].
    pub fn memory(&self, request: &ExecutorRequest) -> Result<u64> {
        let (plan, rows) = (&request.plan, request.rows());
        match &self.hardware {
            Hardware::Cpu => Ok(cpu::memory::<f32>(plan, rows)),
            Hardware::Gpu(adapter) => gpu::memory(adapter, plan, rows),
        }
    }

    /// An executor on the device.
    ///
    /// # Errors
    /// Those of opening the device and of making the executor ready, unless the CPU may be used instead.
    pub fn open(&self, request: &ExecutorRequest) -> Result<Box<dyn Executor>> {
        let opened = match &self.hardware {
            Hardware::Cpu => request.on_cpu(),
            Hardware::Gpu(adapter) => request.on_gpu(adapter, self.path),
        };
        match opened {
            Err(error @ (Error::NoGpu(_) | Error::GpuLimit(_) | Error::Gpu(_)))
                if self.may_fall_back =>
            {
                log::info!("{}; using the CPU", error.text());
                request.on_cpu()
            }
            result => result,
        }
    }

    /// An executor that outlives the device: where that fails, it is opened again, a bounded number of times. Where it keeps
    /// failing, or cannot be opened, the CPU takes over if `fallback` is set. `on_failure` is called with each failure.
    ///
    /// # Errors
    /// As [`Device::open`].
    pub fn open_recovering(
        mut self,
        request: ExecutorRequest,
        fallback: bool,
        mut on_failure: impl FnMut(&DeviceFailure) + Send + 'static,
    ) -> Result<Box<dyn Executor>> {
        self.may_fall_back |= fallback;
        let first = self.open(&request)?;
        let Hardware::Gpu(adapter) = self.hardware else {
            return Ok(first);
        };
        let path = self.path;
        let reopen = move |failure: &DeviceFailure| {
            let from = match failure.steps {
                Some((step, kept)) => format!(" at step {step}, continuing from step {kept}"),
                None => String::new(),
            };
            let pause = PAUSES.get(failure.number - 1);
            let takes_over = fallback && failure.number == PAUSES.len() + 1;
            let response = match pause {
                Some(_) => format!(
                    "; opening the device again{from} (try {} of {})",
                    failure.number,
                    PAUSES.len()
                ),
                None if takes_over => format!("; the CPU takes over{from}"),
                None => String::new(),
            };
            let message = format!("{}{response}", failure.message);
            if !response.is_empty() {
                log::warn!("{message}");
            }
            on_failure(&DeviceFailure {
                message,
                ..failure.clone()
            });
            match pause {
                Some(pause) => {
                    crate::gpu::wait::pause(*pause);
                    let again = adapter.again();
                    Some(again.and_then(|adapter| request.on_gpu(&adapter, path)))
                }
                None => takes_over.then(|| request.on_cpu()),
            }
        };
        Ok(Box::new(Recovering::new(first, reopen)?))
    }
}

impl ExecutorRequest {
    /// How many rows are trained on, and how many of them in a batch.
    fn rows(&self) -> Option<(usize, usize)> {
        match &self.purpose {
            Purpose::Train(rows, _, training) => {
                let batches = Batches::new(rows.rows(), training.batch_size, training.seed);
                Some((rows.rows(), batches.size()))
            }
            Purpose::Score | Purpose::Sample => None,
        }
    }

    fn on_gpu(&self, adapter: &Adapter, path: GpuPath) -> Result<Box<dyn Executor>> {
        // A software adapter's memory is the machine's; of a GPU's nobody says how much there is before it is taken.
        if adapter.is_software() {
            self.check_memory(gpu::memory(adapter, &self.plan, self.rows())?)?;
        }
        let mut executor = GpuExecutor::new(adapter, self.plan.clone(), &self.parameters)?;
        executor.set_path(path);
        self.make_ready(Box::new(executor))
    }

    fn on_cpu(&self) -> Result<Box<dyn Executor>> {
        self.check_memory(cpu::memory::<f32>(&self.plan, self.rows()))?;
        let executor = CpuExecutor::<f32>::new(self.plan.clone(), &self.parameters);
        self.make_ready(Box::new(executor))
    }

    fn make_ready(&self, executor: Box<dyn Executor>) -> Result<Box<dyn Executor>> {
        #[cfg(feature = "testing")]
        let executor = crate::testing::decorate(executor);
        let mut executor = executor;
        match &self.purpose {
            Purpose::Train(rows, weights, training) => {
                executor.start_weighted(rows.clone(), weights.clone(), training)?;
            }
            Purpose::Score => drop(executor.log_prob(&Matrix::zeros(1, self.plan.width()))?),
            Purpose::Sample => {
                let context = Matrix::zeros(1, self.plan.spec.context);
                drop(executor.sample_given(0, 0..1, &context)?);
            }
        }
        Ok(executor)
    }

    /// Refuses what takes more bytes than this machine has.
    fn check_memory(&self, bytes: u64) -> Result<()> {
        match memory::shortfall(bytes) {
            None => Ok(()),
            Some(shortfall) => Err(Error::spec(format!(
                "this flow ({}, {} parameters) {shortfall}; lower hidden, layers, or the number of rows",
                self.plan.spec,
                self.plan.layout.len()
            ))),
        }
    }
}
