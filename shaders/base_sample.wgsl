#import philox, <parameters>, <base>, <density>
// The base noise of the rows from sample_row on: a draw from each dimension's density. One invocation a row. CPU version: `sample` in
// src/cpu/base.rs.

@group(1) @binding(0) var<uniform> op: BaseDensity;
@group(1) @binding(2) var<storage, read_write> z: array<f32>;

@compute @workgroup_size(GROUP)
fn base_sample(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = id.x;
    if row >= step.rows {
        return;
    }
    // The 64-bit number of the row, carried by hand.
    let low = step.sample_row_low + row;
    let high = step.sample_row_high + select(0u, 1u, low < row);
    var words: vec4<u32>;
    for (var d = 0u; d < op.dims; d++) {
        if d % 4u == 0u {
            words = philox4x32(vec4(low, high, d / 4u, PURPOSE_NOISE), vec2(step.seed_low, step.seed_high));
        }
        z[d * step.stride + row] = draw(words[d % 4u], base_location(d), base_spread(d));
    }
}
