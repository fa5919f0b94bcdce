#import outer
// sums[n][row] = sum_k weight_or_zero(n, k) * rows_or_zero(k)[row], for a tile of TILE rows by TILE n a group.
//
// An invocation makes eight rows by eight n of it in registers, so that 64 products follow on four loads. What it takes passes
// through workgroup memory TILE_DEPTH k at a time, in two buffers: while one is used the other is filled. The kernel that
// composes this file has both functions; they give zero beyond the edge, so that the sums need no mask.

const TILE_QUADS = TILE / 4u;
/// Invocations each way. An invocation's rows, and its n, are fours at places HALF apart: neighbors read neighboring words.
const HALF = TILE / 8u;
const ACROSS = HALF;
const DOWN = HALF;
const BUFFER = TILE_DEPTH * TILE_QUADS;

var<workgroup> row_tile: array<vec4<f32>, 2u * BUFFER>;
var<workgroup> weight_tile: array<vec4<f32>, 2u * BUFFER>;

/// Fours of rows down, fours of n across.
struct Sums {
    acc00: mat4x4<f32>,
    acc01: mat4x4<f32>,
    acc10: mat4x4<f32>,
    acc11: mat4x4<f32>,
}

/// The weights of four n.
fn four_weights(n: u32, k: u32) -> vec4<f32> {
    return vec4(
        weight_or_zero(n, k),
        weight_or_zero(n + 1u, k),
        weight_or_zero(n + 2u, k),
        weight_or_zero(n + 3u, k),
    );
}

fn product(count: u32, group: vec3<u32>, local: vec3<u32>) -> Sums {
    // What an invocation loads: four rows at two k, and four n's weights at both.
    let lane = local.y * HALF + local.x;
    let loaded = lane % TILE_QUADS;
    let first_half = lane / TILE_QUADS;
    let second_half = first_half + TILE_DEPTH / 2u;
    let quad = group.x * TILE_QUADS + loaded;
    let n = group.y * TILE + 4u * loaded;
    row_tile[lane] = rows_or_zero(first_half, quad);
    row_tile[lane + BUFFER / 2u] = rows_or_zero(second_half, quad);
    weight_tile[lane] = four_weights(n, first_half);
    weight_tile[lane + BUFFER / 2u] = four_weights(n, second_half);
    workgroupBarrier();

    var sums = Sums();
    var used = 0u;
    for (var first = 0u; first < count; first += TILE_DEPTH) {
        let next = first + TILE_DEPTH;
        let first_half_rows = rows_or_zero(next + first_half, quad);
        let second_half_rows = rows_or_zero(next + second_half, quad);
        let first_half_weights = four_weights(n, next + first_half);
        let second_half_weights = four_weights(n, next + second_half);
        for (var k = 0u; k < TILE_DEPTH; k++) {
            let index = used + k * TILE_QUADS;
            let rows0 = row_tile[index + local.x];
            let rows1 = row_tile[index + local.x + HALF];
            let weights0 = weight_tile[index + local.y];
            let weights1 = weight_tile[index + local.y + HALF];
            sums.acc00 += outer(rows0, weights0);
            sums.acc01 += outer(rows0, weights1);
            sums.acc10 += outer(rows1, weights0);
            sums.acc11 += outer(rows1, weights1);
        }
        used = BUFFER - used;
        row_tile[used + lane] = first_half_rows;
        row_tile[used + lane + BUFFER / 2u] = second_half_rows;
        weight_tile[used + lane] = first_half_weights;
        weight_tile[used + lane + BUFFER / 2u] = second_half_weights;
        workgroupBarrier();
    }
    return sums;
}

fn finish_four(sums: mat4x4<f32>, n: u32, quad: u32) {
    finish_sum(sums[0], n, quad);
    finish_sum(sums[1], n + 1u, quad);
    finish_sum(sums[2], n + 2u, quad);
    finish_sum(sums[3], n + 3u, quad);
}

fn finish_tile(sums: Sums, group: vec3<u32>, local: vec3<u32>) {
    let quad = group.x * TILE_QUADS + local.x;
    let n = group.y * TILE + 4u * local.y;
    finish_four(sums.acc00, n, quad);
    finish_four(sums.acc01, n + 4u * HALF, quad);
    finish_four(sums.acc10, n, quad + HALF);
    finish_four(sums.acc11, n + 4u * HALF, quad + HALF);
}
