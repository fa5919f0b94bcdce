// partials[split][weight[o][i]] = sum over the split's rows of output_gradient[o] * input[i], and the same for the bias.
//
// A group makes TILE outputs by TILE inputs of one split, each invocation four by four of them in registers; rows pass
// through workgroup memory TILE_DEPTH at a time. `sum_partials` adds the splits. Twin: `backward_weights` in
// src/cpu/linear.rs.

var<workgroup> input_tile: array<f32, TILE_DEPTH * TILE>;
var<workgroup> gradient_tile: array<f32, TILE_DEPTH * TILE>;

const QUADS = TILE / 4u;

@compute @workgroup_size(QUADS, QUADS)
fn linear_backward_weights(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group.x * TILE + 4u * local.x;
    let o = group.y * TILE + 4u * local.y;
    let begin = group.z * step.rows_per_split;
    let end = min(begin + step.rows_per_split, step.rows);
    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var sum2 = vec4<f32>();
    var sum3 = vec4<f32>();
    var bias = vec4<f32>();
    for (var first = begin; first < end; first += TILE_DEPTH) {
        // Each invocation brings four rows of one input and of one output's gradient.
        let column = lane / (TILE_DEPTH / 4u);
        let row = 4u * (lane % (TILE_DEPTH / 4u));
        var x = vec4<f32>();
        var g = vec4<f32>();
        if first + row < end {
            x = input_rows(group.x * TILE + column, (first + row) / 4u);
            g = gradient_rows(group.y * TILE + column, (first + row) / 4u);
        }
        workgroupBarrier();
        for (var k = 0u; k < 4u; k++) {
            input_tile[(row + k) * TILE + column] = x[k];
            gradient_tile[(row + k) * TILE + column] = g[k];
        }
        workgroupBarrier();
        for (var k = 0u; k < TILE_DEPTH; k++) {
            let xs = k * TILE + 4u * local.x;
            let gs = k * TILE + 4u * local.y;
            let inputs = vec4(input_tile[xs], input_tile[xs + 1u], input_tile[xs + 2u], input_tile[xs + 3u]);
            let gradients =
                vec4(gradient_tile[gs], gradient_tile[gs + 1u], gradient_tile[gs + 2u], gradient_tile[gs + 3u]);
            sum0 += gradients.x * inputs;
            sum1 += gradients.y * inputs;
            sum2 += gradients.z * inputs;
            sum3 += gradients.w * inputs;
            bias += gradients;
        }
    }
    for (var k = 0u; k < 4u; k++) {
        store_weight(group.z, o, i + k, sum0[k]);
        store_weight(group.z, o + 1u, i + k, sum1[k]);
        store_weight(group.z, o + 2u, i + k, sum2[k]);
        store_weight(group.z, o + 3u, i + k, sum3[k]);
        if i == 0u {
            store_bias(group.z, o + k, bias[k]);
        }
    }
}
