//! Couplet in a browser, or wherever else WebAssembly runs: tables, fits and flows as JavaScript has them. What a user calls is
//! `web/package`, which runs this in a worker.

#![forbid(unsafe_code)]
#![cfg_attr(
    feature = "jspi",
    expect(
        deprecated,
        reason = "wasm-bindgen warns of promise integration, which a page asks for first"
    )
)]

mod error;
mod fit;
mod flow;
mod table;

use couplet::gpu::adapters;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn console_error(text: &str);
}

/// Has a failure of this library's own reach the console.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| {
        console_error(&format!("couplet has failed; please report this: {panic}"));
    }));
}

/// The GPU that would be taken, in words; nothing where there is none, or none but one that computes on the CPU.
#[cfg_attr(feature = "jspi", wasm_bindgen(jspi))]
#[cfg_attr(not(feature = "jspi"), wasm_bindgen)]
pub fn gpu() -> Option<String> {
    let adapters = adapters();
    let hardware = adapters.iter().find(|adapter| !adapter.is_software());
    hardware.map(|adapter| adapter.describe())
}
