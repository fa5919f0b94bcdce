pub mod cpu;
mod error;
pub mod executor;
pub mod flow;
pub mod gpu;
mod matrix;
pub mod random;

pub use error::{Error, Result};
pub use matrix::Matrix;
