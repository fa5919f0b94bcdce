use crate::cpu::CpuExecutor;
use crate::error::Error;
use crate::executor::Executor;
use crate::flow::Plan;
use crate::gpu::{Adapter, GpuExecutor, adapters};

use super::{DeviceArgs, DeviceName, Failure, Result, Wrap};

/// What to say where there is no adapter at all.
pub fn no_adapter() -> String {
    match std::env::var("WGPU_BACKEND") {
        Ok(backend) if !backend.is_empty() => format!(
            "no adapter of the backend that WGPU_BACKEND={backend} asks for (vulkan, metal and dx12 are known here); \
             unset it, or take --device cpu"
        ),
        _ => NO_DRIVER.into(),
    }
}

const NO_DRIVER: &str = "no GPU driver was found. Install the driver of your GPU's maker with its Vulkan part \
    (on Debian or Ubuntu mesa-vulkan-drivers for AMD and Intel, nvidia-driver for NVIDIA); mesa-vulkan-drivers also \
    brings llvmpipe, a software adapter for trying things out. Or take --device cpu";

/// Where the work will run.
pub enum Device {
    Cpu,
    Gpu(Box<Adapter>),
}

impl Device {
    /// Chooses as the flags say, and tells the user what they should know of the choice.
    pub fn choose(args: &DeviceArgs) -> Result<Self> {
        let wanted = match &args.adapter {
            Some(name) => Some((name.clone(), "--adapter ")),
            None => std::env::var("WGPU_ADAPTER_NAME")
                .ok()
                .filter(|name| !name.is_empty())
                .map(|name| (name, "WGPU_ADAPTER_NAME=")),
        };
        match (args.device, wanted) {
            (DeviceName::Cpu, _) if args.adapter.is_some() => Err(Failure::usage(
                "--adapter names a GPU, and --device cpu asks for none; drop one of the two",
            )),
            (DeviceName::Cpu, _) => Ok(Device::Cpu),
            (_, Some((name, origin))) => Ok(Self::gpu(named(adapters(), &name, origin)?)),
            (DeviceName::Gpu, None) => match adapters().into_iter().next() {
                Some(adapter) => Ok(Self::gpu(adapter)),
                None => Err(Error::NoGpu(no_adapter()).into()),
            },
            (DeviceName::Auto, None) => {
                match adapters()
                    .into_iter()
                    .find(|adapter| !adapter.is_software())
                {
                    Some(adapter) => Ok(Self::gpu(adapter)),
                    None => {
                        say!("note: no hardware GPU found; using the CPU");
                        Ok(Device::Cpu)
                    }
                }
            }
        }
    }

    fn gpu(adapter: Adapter) -> Self {
        if adapter.is_software() {
            say!(
                "warning: {} computes on the CPU; --device cpu does the same work faster",
                adapter.describe()
            );
        }
        Device::Gpu(Box::new(adapter))
    }

    /// An executor on the device, with the given parameters.
    pub fn executor(
        &self,
        plan: Plan,
        parameters: &[f32],
        wrap: Wrap<'_>,
    ) -> Result<Box<dyn Executor>> {
        Ok(wrap(match self {
            Device::Cpu => Box::new(CpuExecutor::<f32>::new(plan, parameters)),
            Device::Gpu(adapter) => Box::new(GpuExecutor::new(adapter, plan, parameters)?),
        }))
    }
}

/// The adapter that a user names, by number or by part of its name.
fn named(adapters: Vec<Adapter>, name: &str, origin: &str) -> Result<Adapter> {
    let place = match name.parse::<usize>() {
        Ok(index) => (index < adapters.len()).then_some(index),
        Err(_) => adapters.iter().position(|adapter| {
            let full = adapter.info.name.to_lowercase();
            full.contains(&name.to_lowercase())
        }),
    };
    let known: Vec<String> = adapters
        .iter()
        .enumerate()
        .map(|(index, adapter)| format!("{index}: {}", adapter.info.name))
        .collect();
    match place.and_then(|place| adapters.into_iter().nth(place)) {
        Some(adapter) => Ok(adapter),
        None if known.is_empty() => Err(Error::NoGpu(no_adapter()).into()),
        None => Err(Error::NoGpu(format!(
            "{origin}{name}: no such adapter; there is {}",
            known.join(", ")
        ))
        .into()),
    }
}
