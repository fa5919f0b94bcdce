//! `couplet-bindgen MODULE FOLDER NAME`: the JavaScript that a module of couplet-web is called through, and the module as it is
//! loaded.

use std::env::args;

use anyhow::{Context, Result};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<()> {
    let [module, folder, name] = &args().skip(1).collect::<Vec<_>>()[..] else {
        anyhow::bail!("usage: couplet-bindgen MODULE FOLDER NAME");
    };
    let mut bindgen = Bindgen::new();
    bindgen.input_path(module).out_name(name).typescript(false);
    bindgen
        .remove_name_section(true)
        .remove_producers_section(true);
    bindgen.web(true)?.generate(folder).context("no bindings")
}
