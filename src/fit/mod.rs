//! Fits a flow to a table.

pub(crate) mod device;
mod prepared;

pub use device::{Device, DeviceChoice, DeviceName, Tell, Work, Wrap};
pub use prepared::{Prepared, starting_parameters};
