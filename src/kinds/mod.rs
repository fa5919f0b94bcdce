//! What columns hold: real, positive or bounded numbers, whole numbers, angles, categories. Flows are densities over real numbers, so
//! a column of another kind is an image of a real one. Positive and bounded columns are one-to-one images ([`Interval`]). A whole
//! number is a real number rounded, and an angle one on the line wound round the circle: many real numbers become one. Such maps are
//! the inference surjections of Nielsen et al. (2020, "SurVAE flows"): a flow is fitted to a random real number that becomes the one
//! in the table, and what it says of all of them is added up for the log-density of the table's.

mod detection;
mod interval;
mod kind;
mod number_column;
mod preimages;
mod proposal;
mod words;

pub use interval::Interval;
pub use kind::{ColumnKind, Kind};
pub(crate) use kind::{by_name, some_by_name};
pub use number_column::NumberColumn;
#[cfg(feature = "plots")]
pub(crate) use number_column::wrap;
pub(crate) use preimages::Preimages;
pub(crate) use proposal::is_one_whole_number;
