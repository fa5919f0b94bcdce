use serde::Deserialize;

use crate::error::{Error, Message, Remedy, Result};
use crate::gpu::{Adapter, GpuPath};

/// Which device is wanted.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[cfg_attr(feature = "cli", group(skip))]
pub struct DeviceChoice {
    /// auto takes a hardware GPU if there is one, else the CPU.
    #[cfg_attr(
        feature = "cli",
        arg(
            long,
            value_enum,
            default_value = "auto",
            value_name = "auto|gpu|cpu",
            hide_possible_values = true
        )
    )]
    pub device: DeviceName,
    /// A GPU by its number in `couplet devices`, or by part of its name.
    #[cfg_attr(
        feature = "cli",
        arg(long, hide_short_help = true, value_name = "NAME|INDEX")
    )]
    pub adapter: Option<String>,
    /// How a GPU runs the flow: in one kernel where that suits it (auto), always (fused), or one kernel an op (staged).
    #[cfg_attr(
        feature = "cli",
        arg(
            long,
            value_enum,
            default_value = "auto",
            value_name = "auto|fused|staged",
            hide_short_help = true,
            hide_possible_values = true,
            hide_default_value = true
        )
    )]
    pub gpu_path: GpuPath,
    /// Whether the CPU takes over where a GPU keeps failing, or cannot be opened.
    #[cfg_attr(feature = "cli", arg(skip))]
    pub fallback_to_cpu: bool,
}

/// A kind of device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum DeviceName {
    /// A hardware GPU if there is one, else the CPU; and the CPU where that GPU will not do.
    #[default]
    Auto,
    /// A GPU, software adapters included.
    Gpu,
    /// The CPU.
    Cpu,
}

/// The adapter that a user names, by number or by part of its name. `origin` is the setting or variable that names it.
pub(super) fn named(adapters: Vec<Adapter>, name: &str, origin: &'static str) -> Result<Adapter> {
    let names: Vec<String> = adapters
        .iter()
        .map(|adapter| adapter.info.name.clone())
        .collect();
    let index = position(&names, name);
    let known: Vec<String> = adapters
        .iter()
        .enumerate()
        .map(|(index, adapter)| format!("{index}: {}", adapter.info.name))
        .collect();
    match index.and_then(|index| adapters.into_iter().nth(index)) {
        Some(adapter) => Ok(adapter),
        None if known.is_empty() => Err(Error::NoGpu(no_adapter())),
        None => {
            let text = format!("no such adapter; there is {}", known.join(", "));
            Err(Error::NoGpu(Message::about(origin, name, text)))
        }
    }
}

/// The index of the adapter of that number, or else of the first with that in its name: 4090 is more likely a part of one.
fn position(names: &[String], requested: &str) -> Option<usize> {
    let by_number = requested.parse().ok().filter(|&index| index < names.len());
    by_number.or_else(|| {
        let requested = requested.to_lowercase();
        names
            .iter()
            .position(|name| name.to_lowercase().contains(&requested))
    })
}

/// What to say where there is no adapter at all.
pub(crate) fn no_adapter() -> Message {
    let message = match std::env::var("WGPU_BACKEND") {
        Ok(backend) if !backend.is_empty() => Message::new(format!(
            "no adapter of the backend that WGPU_BACKEND={backend} asks for (vulkan, metal and dx12 are known here)"
        ))
        .remedy(Remedy::by_hand("unset it")),
        _ => Message::new("no GPU driver was found").remedy(Remedy::by_hand(
            "install the driver of your GPU's maker with its Vulkan part (on Debian or Ubuntu mesa-vulkan-drivers for AMD \
             and Intel, nvidia-driver for NVIDIA; mesa-vulkan-drivers also brings llvmpipe, a software adapter for checking)",
        )),
    };
    message.remedy(Remedy::on_cpu())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapter_is_found_by_number_or_by_a_number_in_its_name() {
        let names = [
            "Intel UHD 770".to_string(),
            "NVIDIA GeForce RTX 4090".into(),
        ];
        for (wanted, expected) in [
            ("0", Some(0)),
            ("1", Some(1)),
            ("4090", Some(1)),
            ("770", Some(0)),
            ("geforce", Some(1)),
            ("2", None),
            ("radeon", None),
        ] {
            assert_eq!(position(&names, wanted), expected, "{wanted}");
        }
    }
}
