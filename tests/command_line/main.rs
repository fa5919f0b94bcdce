//! The command line as a user meets it.

#[path = "../common/command.rs"]
mod command;
#[path = "../common/faulty.rs"]
mod faulty;

mod advice;
mod checkpoints;
mod cli;
mod columns;
mod devices;
mod disk_faults;
mod ensemble;
mod files;
mod formats;
mod given;
mod kinds;
#[cfg(unix)]
mod machine;
mod mistakes;
mod mixture;
#[cfg(feature = "plots")]
mod pictures;
mod screen;
mod tables;
mod text;
#[cfg(feature = "arrow")]
mod types;
mod validation;
mod weights;
