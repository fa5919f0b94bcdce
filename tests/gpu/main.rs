//! Kernels, and whole steps of them.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/faulty.rs"]
mod faulty;

mod compile;
mod fallback;
mod fault_injection;
mod parity;
mod shaders;
mod steps;

use couplet::gpu::{Adapter, adapters};

/// The device that is tested.
fn adapter() -> Adapter {
    let first = adapters().into_iter().next();
    first.expect("the GPU tests need a Vulkan, Metal or DX12 adapter; scripts/test installs one")
}
