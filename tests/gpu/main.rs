//! Kernels, and whole steps of them.

#[path = "../common/mod.rs"]
mod common;

mod compile;
mod shaders;
mod steps;
