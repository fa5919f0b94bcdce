//! Couplet trains normalizing flows: RealNVP coupling layers with exact densities, on any GPU (WGSL kernels on wgpu) or on
//! the CPU.
//!
//! ```
//! use couplet::{Fit, Table};
//!
//! # fn main() -> couplet::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # std::env::set_current_dir(&folder).unwrap();
//! # let row = |i: u32| format!("{},{}\n", (0.1 * f64::from(i)).sin(), (0.1 * f64::from(i)).cos());
//! # std::fs::write("ring.csv", "x,y\n".to_string() + &(0..400).map(row).collect::<String>()).unwrap();
//! let table = Table::read("ring.csv")?;
//! let fitted = Fit::new(&table).seed(1).steps(200).run()?;
//! println!("{:.4} nats, {}", fitted.report.nll, fitted.report.device);
//! let scores = fitted.flow.log_prob(&table.values)?;
//! println!("the first row scores {:.4}", scores[0]);
//! fitted.flow.save("ring.safetensors")?;
//! # assert_eq!(couplet::Flow::load("ring.safetensors")?.log_prob(&table.values)?, scores);
//! # Ok(())
//! # }
//! ```
//!
//! [`Fit`] trains, a [`Flow`] scores and samples. For a training loop of your own, use the layers below: a
//! [`flow::FlowSpec`] describes a flow; a [`flow::Plan`] is that spec lowered to a list of ops; an
//! [`executor::Executor`] runs a plan: [`cpu::CpuExecutor`] in f64 or f32, [`gpu::GpuExecutor`] on a GPU.
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
//! # Ok(())
//! # }
//! ```
//!
//! [`fit`] prepares tables and chooses devices, [`train`] has the training loop, [`checkpoint`] saves and resumes it,
//! [`model`] reads and writes model files, [`data`] tables and targets.

#![forbid(unsafe_code)]
#![cfg_attr(not(feature = "testing"), warn(missing_docs))]

pub mod checkpoint;
#[cfg(feature = "cli")]
pub mod cli;
pub mod collective;
pub mod config;
pub mod cpu;
pub mod data;
mod error;
pub mod executor;
mod files;
pub mod fit;
pub mod flow;
pub mod frequencies;
pub mod gpu;
pub mod kinds;
mod matrix;
pub mod memory;
pub mod mixture;
pub mod model;
#[cfg(feature = "mpi")]
pub mod mpi;
mod numeric;
#[cfg(feature = "plots")]
pub mod pictures;
#[cfg(feature = "cli")]
mod pipeline;
pub mod preprocessing;
pub mod random;
#[cfg(feature = "plots")]
pub mod report;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;
pub mod timing;
pub mod train;

pub use data::Table;
pub use error::{Error, Location, Message, Remedy, Result, Setting};
pub use fit::{Fit, Fitted, Flow};
pub use matrix::Matrix;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
