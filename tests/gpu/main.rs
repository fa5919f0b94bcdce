//! Kernels, and whole steps of them.

#[path = "../common/mod.rs"]
mod common;

mod shaders;
mod steps;
