// A tile that an invocation has to itself, for software adapters. They run the invocations of a group as the lanes of a vector, and
// reach memory lane by lane, whether it is workgroup memory or a buffer, which is larger.

/// The tiles of a group's invocations lie side by side, so that what they reach at a time is near.
@group(1) @binding(8) var<storage, read_write> tile: array<vec4<f32>>;

var<private> tile_begin: u32;

/// The place of four rows of a column.
fn cell(column: u32, quad: u32) -> u32 {
    return tile_begin + (column * QUADS + quad) * WIDTH;
}

fn take_tile(group: u32, invocation: u32) {
    tile_begin = group * TILE_COLUMNS * QUADS * WIDTH + invocation;
}

/// The rows of the data that the tile has.
var<private> sources: array<u32, ROWS>;

/// The number of the tile, or of the share of the tiles, that an invocation of a group is at work on.
fn number_of(group: u32, invocation: u32) -> u32 {
    return group * WIDTH + invocation;
}

/// The invocation's number among those that have the tile.
fn lane_of(invocation: u32) -> u32 {
    return 0u;
}

/// Nobody is to be waited for.
fn together() {}

/// The sum of a number over those that have the tile.
fn total(number: f32, lane: u32) -> f32 {
    return number;
}
