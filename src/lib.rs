//! Couplet trains normalizing flows: RealNVP coupling layers with exact densities, on any GPU (WGSL kernels on wgpu) or on
//! the CPU.
//!
//! ```
//! use couplet::config::ModelConfig;
//! use couplet::cpu::CpuExecutor;
//! use couplet::executor::{AdamW, Executor, Training};
//! use couplet::flow::{Plan, initial_parameters};
//! use couplet::Matrix;
//!
//! # fn main() -> couplet::Result<()> {
//! // A flow over two columns, lowered to the ops that both executors run.
//! let plan = Plan::new(&ModelConfig::default().spec(2)?)?;
//! let parameters = initial_parameters(&plan.layout, 42);
//! let mut flow = CpuExecutor::<f32>::new(plan, &parameters);
//!
//! // Rows on a ring.
//! let rows = Matrix::from_fn(500, 2, |row, column| {
//!     let angle = row as f32 * 0.1;
//!     if column == 0 { angle.sin() } else { angle.cos() }
//! });
//! let optimizer = AdamW::new(1e-2, 0.0);
//! flow.start(&rows, &Training { batch_size: 0, seed: 1, optimizer })?;
//! let losses = flow.train(100)?.losses;
//! assert!(losses[99] < losses[0]);
//!
//! let sample = flow.sample(7, 0..10)?;
//! let log_prob = flow.log_prob(&sample)?;
//! assert_eq!(log_prob.len(), 10);
//! # Ok(())
//! # }
//! ```
//!
//! A [`flow::FlowSpec`] says what a flow is; a [`flow::Plan`] is that spec lowered to a short list of ops; an
//! [`executor::Executor`] runs a plan: [`cpu::CpuExecutor`] in f64 or f32, [`gpu::GpuExecutor`] on a GPU. [`train`] holds
//! the training loop, [`checkpoint`] what it goes on from, [`model`] the model file, [`data`] tables and targets.

#![forbid(unsafe_code)]

pub mod checkpoint;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod cpu;
pub mod data;
mod error;
pub mod executor;
mod files;
pub mod fit;
pub mod flow;
pub mod gpu;
mod matrix;
pub mod memory;
pub mod model;
pub mod preprocessing;
pub mod random;
pub mod train;
#[cfg(test)]
mod twins;

pub use error::{Error, Result};
pub use matrix::Matrix;
