use serde_json::json;

use crate::fit::choice::no_adapter;
use crate::gpu::{Adapter, adapters};

use super::Result;
use super::output::print;

#[derive(clap::Args)]
pub struct DevicesArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &DevicesArgs) -> Result<()> {
    let adapters = adapters();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    if args.json {
        let gpus: Vec<_> = adapters.iter().enumerate().map(json).collect();
        return print(&format!(
            "{}\n",
            json!({ "adapters": gpus, "cpu_threads": threads })
        ));
    }
    let mut text = String::new();
    for (index, adapter) in adapters.iter().enumerate() {
        let limits = &adapter.limits;
        text += &format!(
            "{index}    {}\n     driver {} {}\n     binds {} MiB at once, buffers up to {} MiB, {} bytes of workgroup \
             memory, {} invocations a group\n",
            adapter.describe(),
            adapter.info.driver,
            adapter.info.driver_info,
            limits.max_storage_buffer_binding_size >> 20,
            limits.max_buffer_size >> 20,
            limits.max_compute_workgroup_storage_size,
            limits.max_compute_invocations_per_workgroup,
        );
    }
    text += &format!("cpu  the CPU executor, f32, {threads} threads\n\n");
    text += match adapters.iter().find(|adapter| !adapter.is_software()) {
        Some(adapter) => format!("--device auto takes {}\n", adapter.info.name),
        None if adapters.is_empty() => {
            format!("--device auto takes the CPU: {}\n", no_adapter())
        }
        None => "--device auto takes the CPU: every adapter here is a software one\n".into(),
    }
    .as_str();
    print(&text)
}

fn json((index, adapter): (usize, &Adapter)) -> serde_json::Value {
    let (info, limits) = (&adapter.info, &adapter.limits);
    json!({
        "index": index,
        "name": info.name,
        "backend": format!("{:?}", info.backend),
        "kind": adapter.kind(),
        "software": adapter.is_software(),
        "driver": info.driver,
        "driver_info": info.driver_info,
        "max_storage_buffer_binding_size": limits.max_storage_buffer_binding_size,
        "max_buffer_size": limits.max_buffer_size,
        "max_compute_workgroup_storage_size": limits.max_compute_workgroup_storage_size,
        "max_compute_invocations_per_workgroup": limits.max_compute_invocations_per_workgroup,
        "max_compute_workgroups_per_dimension": limits.max_compute_workgroups_per_dimension,
    })
}
