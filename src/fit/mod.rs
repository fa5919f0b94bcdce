//! Fits a flow to a table.

mod prepared;

pub use prepared::{Prepared, starting_parameters};
