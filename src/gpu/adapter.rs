use serde_json::{Value, json};

use crate::error::{Error, Result};

use super::wait;

/// What every adapter has and nothing can have in a module that cannot wait for a device: none is made there, and the compiler, which
/// sees it, leaves out all that a GPU takes.
#[cfg(not(all(target_arch = "wasm32", not(feature = "jspi"))))]
type Waits = ();
#[cfg(all(target_arch = "wasm32", not(feature = "jspi")))]
type Waits = std::convert::Infallible;

/// A WebGPU adapter: a GPU as one of the machine's drivers offers it.
#[derive(Clone)]
pub struct Adapter {
    #[allow(dead_code, reason = "its type says whether there can be adapters")]
    waits: Waits,
    pub(super) adapter: wgpu::Adapter,
    /// What the driver says of it.
    pub info: wgpu::AdapterInfo,
    /// What it allows at most.
    pub limits: wgpu::Limits,
}

impl Adapter {
    /// Whether it computes on the CPU (llvmpipe, SwiftShader, WARP).
    pub fn is_software(&self) -> bool {
        self.info.device_type == wgpu::DeviceType::Cpu
    }

    /// The kind of device, for people.
    pub fn kind(&self) -> &'static str {
        match self.info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete GPU",
            wgpu::DeviceType::IntegratedGpu => "integrated GPU",
            wgpu::DeviceType::VirtualGpu => "virtual GPU",
            wgpu::DeviceType::Cpu => "software",
            wgpu::DeviceType::Other => "other",
        }
    }

    /// Name, backend and kind in one line.
    pub fn describe(&self) -> String {
        format!(
            "{} ({:?}, {})",
            self.info.name,
            self.info.backend,
            self.kind()
        )
    }

    /// Name, driver and limits, in lines of text.
    pub fn details(&self) -> String {
        let (info, limits) = (&self.info, &self.limits);
        format!(
            "{}\n     driver {} {}\n     binds {} MiB at once, buffers up to {} MiB, {} bytes of workgroup memory, {} \
             invocations a group\n",
            self.describe(),
            info.driver,
            info.driver_info,
            limits.max_storage_buffer_binding_size >> 20,
            limits.max_buffer_size >> 20,
            limits.max_compute_workgroup_storage_size,
            limits.max_compute_invocations_per_workgroup,
        )
    }

    /// The same as a JSON object.
    pub fn to_json(&self) -> Value {
        let (info, limits) = (&self.info, &self.limits);
        json!({
            "name": info.name,
            "backend": format!("{:?}", info.backend),
            "kind": self.kind(),
            "software": self.is_software(),
            "driver": info.driver,
            "driver_info": info.driver_info,
            "max_storage_buffer_binding_size": limits.max_storage_buffer_binding_size,
            "max_buffer_size": limits.max_buffer_size,
            "max_compute_workgroup_storage_size": limits.max_compute_workgroup_storage_size,
            "max_compute_invocations_per_workgroup": limits.max_compute_invocations_per_workgroup,
            "max_compute_workgroups_per_dimension": limits.max_compute_workgroups_per_dimension,
        })
    }

    /// The same adapter, asked for anew: after a driver was reset the old one may not open any more.
    ///
    /// # Errors
    /// [`Error::NoGpu`] where it is not there any more.
    pub fn again(&self) -> Result<Self> {
        adapters()
            .into_iter()
            .find(|adapter| adapter.info == self.info)
            .ok_or_else(|| Error::no_gpu(format!("{} is not there any more", self.describe())))
    }
}

/// The adapters of this machine, in the order in which they would be chosen: by kind, and by the order of their
/// drivers within a kind. `WGPU_BACKEND` and `WGPU_POWER_PREF` have their usual meaning.
pub fn adapters() -> Vec<Adapter> {
    #[cfg(not(all(target_arch = "wasm32", not(feature = "jspi"))))]
    return enumerate(());
    #[cfg(all(target_arch = "wasm32", not(feature = "jspi")))]
    Vec::new()
}

#[cfg_attr(
    all(target_arch = "wasm32", not(feature = "jspi")),
    expect(dead_code, reason = "nothing can wait")
)]
fn enumerate(waits: Waits) -> Vec<Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    // Set to nothing means not set.
    if std::env::var("WGPU_BACKEND").is_ok_and(|backend| backend.is_empty()) {
        descriptor.backends = wgpu::Backends::all();
    }
    let backends = descriptor.backends;
    let instance = wgpu::Instance::new(descriptor);
    let mut adapters: Vec<Adapter> = wait::block_on(instance.enumerate_adapters(backends))
        .into_iter()
        .map(|adapter| Adapter {
            waits,
            info: adapter.get_info(),
            limits: adapter.limits(),
            adapter,
        })
        .collect();
    let low_power = wgpu::PowerPreference::from_env() == Some(wgpu::PowerPreference::LowPower);
    adapters.sort_by_key(|adapter| match adapter.info.device_type {
        wgpu::DeviceType::DiscreteGpu => 1,
        wgpu::DeviceType::IntegratedGpu if low_power => 0,
        wgpu::DeviceType::IntegratedGpu => 2,
        wgpu::DeviceType::VirtualGpu => 3,
        wgpu::DeviceType::Other => 4,
        wgpu::DeviceType::Cpu => 5,
    });
    adapters
}
