// sums[n][row] = sum_k weight_or_zero(n, k) * rows_or_zero(k)[row], for a tile of TILE rows by TILE n a group.
//
// An invocation makes eight rows by eight n of it in registers, so that 64 products follow on four loads. What it takes passes
// through workgroup memory TILE_DEPTH k at a time, in two buffers: while one is used the other is filled. The kernel that
// composes this file has both functions; they give zero beyond the edge, so that the sums need no mask.

const QUADS = TILE / 4u;
/// Invocations each way. An invocation's rows, and its n, are fours at places HALF apart: neighbours read neighbouring words.
const HALF = TILE / 8u;
const ACROSS = HALF;
const DOWN = HALF;
const BUFFER = TILE_DEPTH * QUADS;

var<workgroup> row_tile: array<vec4<f32>, 2u * BUFFER>;
var<workgroup> weight_tile: array<vec4<f32>, 2u * BUFFER>;

/// Fours of rows down, fours of n across.
struct Sums {
    near_near: mat4x4<f32>,
    near_far: mat4x4<f32>,
    far_near: mat4x4<f32>,
    far_far: mat4x4<f32>,
}

fn product(count: u32, group: vec3<u32>, local: vec3<u32>) -> Sums {
    // What an invocation brings: four rows at two k, and four n's weights at both.
    let lane = local.y * HALF + local.x;
    let brought = lane % QUADS;
    let early = lane / QUADS;
    let late = early + TILE_DEPTH / 2u;
    let quad = group.x * QUADS + brought;
    let n = group.y * TILE + 4u * brought;
    row_tile[lane] = rows_or_zero(early, quad);
    row_tile[lane + BUFFER / 2u] = rows_or_zero(late, quad);
    weight_tile[lane] = four_weights(n, early);
    weight_tile[lane + BUFFER / 2u] = four_weights(n, late);
    workgroupBarrier();

    var sums = Sums();
    var used = 0u;
    for (var first = 0u; first < count; first += TILE_DEPTH) {
        let next = first + TILE_DEPTH;
        let early_rows = rows_or_zero(next + early, quad);
        let late_rows = rows_or_zero(next + late, quad);
        let early_weights = four_weights(n, next + early);
        let late_weights = four_weights(n, next + late);
        for (var k = 0u; k < TILE_DEPTH; k++) {
            let place = used + k * QUADS;
            let near_rows = row_tile[place + local.x];
            let far_rows = row_tile[place + local.x + HALF];
            let near_weights = weight_tile[place + local.y];
            let far_weights = weight_tile[place + local.y + HALF];
            sums.near_near += outer(near_rows, near_weights);
            sums.near_far += outer(near_rows, far_weights);
            sums.far_near += outer(far_rows, near_weights);
            sums.far_far += outer(far_rows, far_weights);
        }
        used = BUFFER - used;
        row_tile[used + lane] = early_rows;
        row_tile[used + lane + BUFFER / 2u] = late_rows;
        weight_tile[used + lane] = early_weights;
        weight_tile[used + lane + BUFFER / 2u] = late_weights;
        workgroupBarrier();
    }
    return sums;
}

fn finish_four(sums: mat4x4<f32>, n: u32, quad: u32) {
    finish(sums[0], n, quad);
    finish(sums[1], n + 1u, quad);
    finish(sums[2], n + 2u, quad);
    finish(sums[3], n + 3u, quad);
}

fn finish_tile(sums: Sums, group: vec3<u32>, local: vec3<u32>) {
    let quad = group.x * QUADS + local.x;
    let n = group.y * TILE + 4u * local.y;
    finish_four(sums.near_near, n, quad);
    finish_four(sums.near_far, n + 4u * HALF, quad);
    finish_four(sums.far_near, n, quad + HALF);
    finish_four(sums.far_far, n + 4u * HALF, quad + HALF);
}
