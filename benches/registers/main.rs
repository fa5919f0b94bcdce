//! Registers, spills, workgroup memory, code size and compile time of every kernel on a GPU, without one: a Markdown table with
//! the most that any variant of a kernel takes.
//!
//!     cargo bench --bench registers
//!
//! It needs Mesa's RADV (Debian: mesa-vulkan-drivers) on x86-64 Linux.

mod null_device;

use couplet::testing::gpu::Kernel;
use null_device::{Compiled, FAMILY, NullDevice};

fn main() {
    let Some(device) = NullDevice::open() else {
        eprintln!(
            "Mesa's RADV is not installed (Debian: mesa-vulkan-drivers); nothing was compiled"
        );
        std::process::exit(1);
    };
    let mut kernels: Vec<(&str, Vec<Compiled>)> = Vec::new();
    for kernel in Kernel::all() {
        let it = device.compile(kernel);
        match kernels.iter_mut().find(|(name, _)| *name == kernel.name()) {
            Some((_, variants)) => variants.push(it),
            None => kernels.push((kernel.name(), vec![it])),
        }
    }
    kernels.sort_by_key(|(name, _)| *name);
    println!("For {FAMILY}, by {}:\n", device.name);
    println!(
        "| kernel | variants | vector registers | spilled | scratch, bytes | workgroup memory, bytes | code, bytes | compiled in, ms |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for (name, variants) in kernels {
        let most = |of: fn(&Compiled) -> u64| variants.iter().map(of).max().unwrap_or(0);
        println!(
            "| `{name}` | {} | {} | {} | {} | {} | {} | {} |",
            variants.len(),
            most(|it| it.vector_registers),
            most(|it| it.spilled),
            most(|it| it.scratch),
            most(|it| it.workgroup_memory),
            most(|it| it.code),
            most(|it| it.time.as_millis() as u64),
        );
    }
}
