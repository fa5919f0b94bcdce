//! Every kernel fits the registers of a GPU, and compiles at once: on a GPU that is not there, where Mesa's RADV is installed.
//! A process of its own: the driver is chosen by the environment.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

#[path = "../benches/registers/null_device.rs"]
mod null_device;

use std::time::Duration;

use couplet::testing::gpu::Kernel;
use null_device::NullDevice;

#[test]
fn no_kernel_spills_registers_or_compiles_slowly() {
    let device = NullDevice::open();
    let device = device.expect(
        "Mesa's RADV is not installed; scripts/test installs it with Mesa's Vulkan drivers",
    );
    for kernel in Kernel::all() {
        let it = device.compile(kernel);
        let what = format!("{kernel:?} on {}: {it:?}", device.name);
        assert_eq!((it.spilled, it.scratch), (0, 0), "{what}");
        assert!(it.vector_registers <= 168, "six waves a SIMD: {what}");
        assert!(it.workgroup_memory <= 16_384, "{what}");
        assert!(it.code < 1 << 16, "{what}");
        // A second is the promise on a quiet machine.
        assert!(it.time < Duration::from_secs(3), "{what}");
    }
}
