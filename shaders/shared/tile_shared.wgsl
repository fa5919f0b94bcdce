#import tile
// The tile of a group, in workgroup memory.

var<workgroup> tile: array<vec4<f32>, TILE_COLUMNS * QUADS>;

/// The rows of the data that the tile has.
var<workgroup> sources: array<u32, ROWS>;

/// The index of four rows of a column.
fn tile_index(column: u32, quad: u32) -> u32 {
    return column * QUADS + quad;
}

/// Waits for the others that have the tile.
fn tile_barrier() {
    workgroupBarrier();
}

/// The sum of a number that the first QUADS invocations have.
fn total(number: f32, lane: u32) -> f32 {
    if lane < QUADS {
        tile[lane].x = number;
    }
    tile_barrier();
    var sum = 0.0;
    for (var quad = 0u; quad < QUADS; quad++) {
        sum += tile[quad].x;
    }
    return sum;
}
