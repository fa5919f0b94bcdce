//! The command line as a user meets it.

#[path = "../common/command.rs"]
mod command;
#[path = "../common/faulty.rs"]
mod faulty;

mod checkpoints;
mod cli;
mod devices;
mod files;
mod formats;
mod mistakes;
#[cfg(feature = "plots")]
mod pictures;
mod screen;
mod tables;
