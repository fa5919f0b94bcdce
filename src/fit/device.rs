use std::thread;
use std::time::Duration;

use crate::cpu::{self, CpuExecutor};
use crate::error::{Error, Result};
use crate::executor::{DeviceFailure, Executor, Recovering};
use crate::flow::Plan;
use crate::gpu::{self, Adapter, GpuExecutor, GpuPath, adapters};
use crate::matrix::Matrix;
use crate::memory;

use super::choice::{DeviceChoice, DeviceName, named, no_adapter};

/// Hears sentences for the user.
pub type Tell<'a> = &'a dyn Fn(&str);

/// Stands between whoever opens an executor and the executor; a test puts a fault there.
pub type Wrap<'a> = &'a dyn Fn(Box<dyn Executor>) -> Box<dyn Executor>;

/// Where the work will run.
#[derive(Clone)]
pub struct Device {
    place: Place,
    /// Whether nobody asked for this GPU: where it will not do, the CPU will.
    may_fall_back: bool,
    path: GpuPath,
}

/// What an executor is opened for.
pub struct Work<'a> {
    /// What is run.
    pub plan: Plan,
    /// The parameters to begin with.
    pub parameters: Vec<f32>,
    /// Rows to train on, and those of a batch.
    pub training: Option<(usize, usize)>,
    /// Gets the executor before anybody else.
    pub wrap: Wrap<'a>,
    /// Hears what the user should know.
    pub tell: Tell<'a>,
    /// Makes it ready: only then is it known to do.
    pub prepare: Prepare<'a>,
}

pub type Prepare<'a> = Box<dyn Fn(&mut dyn Executor) -> Result<()> + 'a>;

/// How long to wait before a device that failed is opened again, each time that it fails without getting ahead: a driver
/// takes a moment to come back. After that it is given up.
const PAUSES: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(3),
];

#[derive(Clone)]
enum Place {
    Cpu,
    Gpu(Box<Adapter>),
}

impl Device {
    /// Chooses, and tells the user what they should know of the choice.
    ///
    /// # Errors
    /// [`Error::NoGpu`] where there is no such device, [`Error::Spec`] where the choice contradicts itself.
    pub fn choose(choice: &DeviceChoice, tell: Tell<'_>) -> Result<Self> {
        let device = Self::place(choice, tell)?;
        Ok(Device {
            path: choice.gpu_path,
            ..device
        })
    }

    fn place(choice: &DeviceChoice, tell: Tell<'_>) -> Result<Self> {
        let gpu = |adapter, may_fall_back| Ok(Self::gpu(adapter, may_fall_back, tell));
        let wanted = match &choice.adapter {
            Some(name) => Some((name.clone(), "--adapter ")),
            None => std::env::var("WGPU_ADAPTER_NAME")
                .ok()
                .filter(|name| !name.is_empty())
                .map(|name| (name, "WGPU_ADAPTER_NAME=")),
        };
        match (choice.device, wanted) {
            (DeviceName::Cpu, _) if choice.adapter.is_some() => Err(Error::Spec(
                "--adapter names a GPU, and --device cpu asks for none; drop one of the two".into(),
            )),
            (DeviceName::Cpu, _) => Ok(Self::cpu()),
            (_, Some((name, origin))) => gpu(named(adapters(), &name, origin)?, false),
            (DeviceName::Gpu, None) => match adapters().into_iter().next() {
                Some(adapter) => gpu(adapter, false),
                None => Err(Error::NoGpu(no_adapter())),
            },
            (DeviceName::Auto, None) => {
                match adapters()
                    .into_iter()
                    .find(|adapter| !adapter.is_software())
                {
                    Some(adapter) => gpu(adapter, true),
                    None => {
                        tell("note: no hardware GPU found; using the CPU");
                        Ok(Self::cpu())
                    }
                }
            }
        }
    }

    /// The CPU.
    pub fn cpu() -> Self {
        Device {
            place: Place::Cpu,
            may_fall_back: false,
            path: GpuPath::Auto,
        }
    }

    /// A GPU; where it will not do, the CPU may.
    pub fn gpu(adapter: Adapter, may_fall_back: bool, tell: Tell<'_>) -> Self {
        if adapter.is_software() {
            tell(&format!(
                "warning: {} computes on the CPU; --device cpu does the same work faster",
                adapter.describe()
            ));
        }
        Device {
            place: Place::Gpu(Box::new(adapter)),
            may_fall_back,
            path: GpuPath::Auto,
        }
    }

    /// The adapter, if it is a GPU.
    pub fn adapter(&self) -> Option<&Adapter> {
        match &self.place {
            Place::Cpu => None,
            Place::Gpu(adapter) => Some(adapter),
        }
    }

    /// An executor on the device.
    ///
    /// # Errors
    /// Those of opening the device and of [`Work::prepare`], unless the CPU may do it instead.
    pub fn open(&self, work: &Work<'_>) -> Result<Box<dyn Executor>> {
        let opened = match &self.place {
            Place::Cpu => work.on_cpu(),
            Place::Gpu(adapter) => work.on_gpu(adapter, self.path),
        };
        self.or_the_cpu(opened, work.tell, || work.on_cpu())
    }

    /// An executor that scores and samples, ready to do so. `tell` hears where the CPU does it instead.
    ///
    /// # Errors
    /// As [`Device::open`].
    pub fn open_flow(
        &self,
        plan: &Plan,
        parameters: &[f32],
        tell: Tell<'_>,
    ) -> Result<Box<dyn Executor + Send>> {
        let on_cpu = || Ok(Box::new(open_cpu(plan, parameters, None)?) as Box<dyn Executor + Send>);
        let Place::Gpu(adapter) = &self.place else {
            return on_cpu();
        };
        let on_gpu = || {
            let mut executor = open_gpu(adapter, self.path, plan, parameters, None)?;
            executor.log_prob(&Matrix::zeros(1, plan.dims()))?;
            Ok(Box::new(executor) as Box<dyn Executor + Send>)
        };
        self.or_the_cpu(on_gpu(), tell, on_cpu)
    }

    /// What came of opening it; or, where the CPU may do instead, what comes of that.
    fn or_the_cpu<T>(
        &self,
        opened: Result<T>,
        tell: Tell<'_>,
        on_cpu: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        match opened {
            Err(error @ (Error::NoGpu(_) | Error::GpuLimit(_) | Error::Gpu(_)))
                if self.may_fall_back =>
            {
                tell(&format!("note: {error}; using the CPU"));
                on_cpu()
            }
            result => result,
        }
    }

    /// Bytes of memory that the work takes, of the machine's or of the device's own.
    ///
    /// # Errors
    /// As [`gpu::memory`].
    pub fn memory(&self, work: &Work<'_>) -> Result<u64> {
        match &self.place {
            Place::Cpu => Ok(cpu::memory::<f32>(&work.plan, work.training)),
            Place::Gpu(adapter) => gpu::memory(adapter, &work.plan, work.training),
        }
    }

    /// What it is, in words.
    pub fn describe(&self) -> String {
        match &self.place {
            Place::Cpu => {
                let threads = rayon::current_num_threads();
                format!("CPU, {threads} threads, {}", cpu::instructions())
            }
            Place::Gpu(adapter) => adapter.describe(),
        }
    }

    /// An executor that outlives the device. Where it fails again and again, or cannot be opened, the CPU is the last resort, if
    /// it is to be. `on_failure` hears of each failure.
    ///
    /// # Errors
    /// As [`Device::open`].
    pub fn open_lasting<'a>(
        mut self,
        work: Work<'a>,
        last_resort: bool,
        mut on_failure: impl FnMut(&DeviceFailure<'_>) + 'a,
    ) -> Result<Box<dyn Executor + 'a>> {
        self.may_fall_back |= last_resort;
        let first = self.open(&work)?;
        let Place::Gpu(adapter) = self.place else {
            return Ok(first);
        };
        let path = self.path;
        let reopen = move |failure: &DeviceFailure<'_>| {
            on_failure(failure);
            let error = failure.error;
            let place = match failure.steps {
                Some((step, kept)) => format!(" at step {step}, and goes on from step {kept}"),
                None => String::new(),
            };
            if let Some(pause) = PAUSES.get(failure.number - 1) {
                (work.tell)(&format!(
                    "warning: {error}; it is opened again{place} (try {} of {})",
                    failure.number,
                    PAUSES.len()
                ));
                thread::sleep(*pause);
                let again = adapter.again();
                return Some(again.and_then(|adapter| work.on_gpu(&adapter, path)));
            }
            if last_resort && failure.number == PAUSES.len() + 1 {
                (work.tell)(&format!("warning: {error}; the CPU takes over{place}"));
                return Some(work.on_cpu());
            }
            if !last_resort {
                (work.tell)(&format!(
                    "note: with --fallback cpu the CPU would have taken over{place}"
                ));
            }
            None
        };
        Ok(Box::new(Recovering::new(first, reopen)?))
    }
}

impl Work<'_> {
    fn on_gpu(&self, adapter: &Adapter, path: GpuPath) -> Result<Box<dyn Executor>> {
        let (plan, parameters) = (&self.plan, &self.parameters);
        let executor = open_gpu(adapter, path, plan, parameters, self.training)?;
        self.ready(Box::new(executor))
    }

    fn on_cpu(&self) -> Result<Box<dyn Executor>> {
        let executor = open_cpu(&self.plan, &self.parameters, self.training)?;
        self.ready(Box::new(executor))
    }

    fn ready(&self, executor: Box<dyn Executor>) -> Result<Box<dyn Executor>> {
        let mut executor = (self.wrap)(executor);
        (self.prepare)(executor.as_mut())?;
        Ok(executor)
    }
}

/// `training` has the rows to train on, and those of a batch.
fn open_gpu(
    adapter: &Adapter,
    path: GpuPath,
    plan: &Plan,
    parameters: &[f32],
    training: Option<(usize, usize)>,
) -> Result<GpuExecutor> {
    // A software adapter's memory is the machine's; of a GPU's nobody says how much there is before it is taken.
    if adapter.is_software() {
        check_memory(plan, gpu::memory(adapter, plan, training)?)?;
    }
    let mut executor = GpuExecutor::new(adapter, plan.clone(), parameters)?;
    executor.set_path(path);
    Ok(executor)
}

fn open_cpu(
    plan: &Plan,
    parameters: &[f32],
    training: Option<(usize, usize)>,
) -> Result<CpuExecutor<f32>> {
    check_memory(plan, cpu::memory::<f32>(plan, training))?;
    Ok(CpuExecutor::new(plan.clone(), parameters))
}

/// Refuses what takes more bytes than this machine has.
fn check_memory(plan: &Plan, bytes: u64) -> Result<()> {
    match memory::shortfall(bytes) {
        None => Ok(()),
        Some(shortfall) => Err(Error::Spec(format!(
            "this flow ({}, {} parameters) {shortfall}; lower hidden, layers, or the number of rows",
            plan.spec,
            plan.layout.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelConfig;

    /// A model beyond the adapter's limits: auto takes the CPU, but who asked for the GPU hears of it. So for a device that
    /// fails while it is made ready.
    #[test]
    fn auto_falls_back_to_the_cpu() {
        let adapter = || {
            let first = adapters().into_iter().next();
            first.expect("the kernel tests need a GPU adapter; scripts/test installs one")
        };
        let config = ModelConfig {
            hidden: vec![1],
            layers: 1,
            ..ModelConfig::default()
        };
        let describe = |dims: usize, may_fall_back, prepare: fn(&mut dyn Executor) -> _| {
            let plan = Plan::new(&config.spec(dims).unwrap()).unwrap();
            let work = Work {
                parameters: vec![0.0; plan.layout.len()],
                plan,
                training: None,
                wrap: &|executor| executor,
                tell: &|_| {},
                prepare: Box::new(prepare),
            };
            Device::gpu(adapter(), may_fall_back, &|_| {})
                .open(&work)
                .map(|executor| executor.describe())
        };
        let nothing = |_: &mut dyn Executor| Ok(());
        // One more than groups in a dimension.
        let wide = describe(65_536, true, nothing).ok().unwrap();
        assert!(wide.starts_with("CPU"), "{wide}");
        let refused = describe(65_536, false, nothing).err().unwrap();
        let message = refused.to_string();
        assert!(message.contains("65536 columns") && message.contains("--device cpu"));
        let fails_on_gpu = |executor: &mut dyn Executor| match executor.describe() {
            name if name.starts_with("CPU") => Ok(()),
            _ => Err(Error::Gpu("the device was lost".into())),
        };
        let lost = describe(4, true, fails_on_gpu).ok().unwrap();
        assert!(lost.starts_with("CPU"), "{lost}");
        assert!(matches!(
            describe(4, false, fails_on_gpu),
            Err(Error::Gpu(_))
        ));
    }
}
