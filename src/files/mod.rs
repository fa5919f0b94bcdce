//! How files are written: whole or not at all, never over something that is no file, never two runs into one.

#[cfg(feature = "cli")]
mod log;
mod output;
#[cfg(feature = "cli")]
mod same;
mod temporary;

#[cfg(feature = "cli")]
pub use log::LogFile;
#[cfg(feature = "cli")]
pub use output::OutputFile;
pub use output::write_whole;
#[cfg(feature = "cli")]
pub use same::same;
#[cfg(feature = "cli")]
pub use temporary::discard_unfinished;
