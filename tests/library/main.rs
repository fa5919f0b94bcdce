//! The library, on the CPU; [`limits`] and [`fit`] look at the command line, too.

#[path = "../common/command.rs"]
mod command;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/safetensors.rs"]
mod safetensors;

mod categories;
mod cpu_reference;
mod distributed;
mod documents;
mod ensemble;
mod fit;
mod fixtures;
mod given;
mod kinds;
mod limits;
mod long_tables;
mod model_file;
mod stack;
mod training;
mod weights;
