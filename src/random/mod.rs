//! Random numbers as functions of (seed, purpose, position). There is no state, so the noise of row i, the row at position j of
//! an epoch, and parameter p do not depend on batch size, device or thread count. The kernels generate the same
//! integers (`shaders/shared/philox.wgsl`).

mod normal;
mod philox;
mod shuffle;

pub use normal::{StandardLogistic, StandardNormal, standard_logistic, standard_normal};
pub use philox::{Philox, philox4x32};
pub use shuffle::{ROUNDS, Shuffle};

/// What a stream of random words is for. Streams of one seed never overlap: the purpose is a counter word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// A [`Philox`] generator used as a `rand` one.
    Generator = 0,
    /// Initial parameters.
    Parameters = 1,
    /// The base noise of a sampled row.
    Noise = 2,
    /// The order of the rows in an epoch.
    Shuffle = 3,
    /// The parameters of a built-in target.
    Target = 4,
    /// The rows of a built-in target, for training.
    TargetRows = 5,
    /// The rows of a built-in target, held out.
    TargetHeldOut = 6,
    /// The rows held out for validation.
    Split = 7,
    /// The rows of each fold.
    Folds = 8,
    /// Where the clusters of a mixture start.
    Clusters = 9,
    /// The component, or the member, that a sampled row is of.
    Component = 10,
    /// The seed of each flow of an ensemble.
    Ensemble = 11,
    /// The real number that a flow is fitted to in the place of one of another kind.
    Preimage = 12,
    /// The levels of a sampled row.
    Levels = 13,
    /// The rows that statistics of a long table are of.
    Sample = 14,
    /// The order of the blocks in an epoch, and the block of each row.
    Blocks = 15,
}

/// The four random words at `(index, block)` of a purpose's stream.
pub fn words(seed: u64, purpose: Purpose, index: u64, block: u32) -> [u32; 4] {
    let counter = [index as u32, (index >> 32) as u32, block, purpose as u32];
    philox4x32(counter, [seed as u32, (seed >> 32) as u32])
}

/// A word as a number in [0, 1).
pub fn uniform(word: u32) -> f64 {
    f64::from(word) / 4_294_967_296.0
}

/// The standard normal number of row `row`, column `column`, of a purpose's stream.
pub fn normal_at(seed: u64, purpose: Purpose, row: u64, column: usize) -> f32 {
    standard_normal(words(seed, purpose, row, (column / 4) as u32)[column % 4])
}
