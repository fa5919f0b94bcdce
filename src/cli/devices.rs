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
        let mut gpus: Vec<_> = adapters.iter().map(Adapter::to_json).collect();
        for (index, gpu) in gpus.iter_mut().enumerate() {
            gpu["index"] = json!(index);
        }
        return print(&format!(
            "{}\n",
            json!({ "adapters": gpus, "cpu_threads": threads })
        ));
    }
    let mut text = String::new();
    for (index, adapter) in adapters.iter().enumerate() {
        text += &format!("{index}    {}", adapter.details());
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
