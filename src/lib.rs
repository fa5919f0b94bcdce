#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod cpu;
pub mod data;
mod error;
pub mod executor;
mod files;
pub mod flow;
pub mod gpu;
mod matrix;
pub mod model;
pub mod random;
pub mod train;
#[cfg(test)]
mod twins;

pub use error::{Error, Result};
pub use matrix::Matrix;
