//! Reads and writes files: whole or not at all, never over anything but a file, and never two runs into one file.

mod disk;
mod input;
mod lock;
#[cfg(feature = "cli")]
mod log;
mod output;
#[cfg(feature = "cli")]
mod same;
mod temporary;

#[cfg(feature = "testing")]
pub use disk::Fault;
pub use disk::before;
pub use input::read_at_most;
pub use lock::take;
#[cfg(feature = "cli")]
pub use log::LogFile;
#[cfg(feature = "cli")]
pub use output::OutputFile;
pub use output::write_whole;
#[cfg(feature = "cli")]
pub use same::same;
#[cfg(feature = "cli")]
pub use temporary::discard_unfinished;
