//! Sizes that Rust and the kernels share.

/// Invocations of a group in kernels that have no tile, and the width of a group's tree sum.
pub const GROUP: u32 = 64;
/// The tile of the matrix products: TILE by TILE numbers of the result a group, the summed dimension in steps of
/// `TILE_DEPTH`. An invocation makes eight by eight of them, so that 64 products follow on 16 numbers loaded.
pub const TILE: u32 = 64;
pub const TILE_DEPTH: u32 = 8;

/// Numbers of the gradient whose squares one invocation sums.
pub const NORM_SPAN: u32 = 64;
/// How often an invocation of `peak_multiply_adds` goes round: well below what a software adapter grants.
pub const PEAK_ROUNDS: u32 = 4096;
