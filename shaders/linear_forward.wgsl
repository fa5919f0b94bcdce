// output[o][row] = activate(bias[o] + sum_i weight[o][i] * input[i][row])
//
// A group makes a tile of TILE rows by TILE outputs, each invocation four by four of it in registers. Inputs and weights
// pass through workgroup memory TILE_DEPTH inputs at a time. Twin: `forward` in src/cpu/linear.rs.

const QUADS = TILE / 4u;
var<workgroup> input_tile: array<vec4<f32>, TILE_DEPTH * QUADS>;
var<workgroup> weight_tile: array<vec4<f32>, TILE_DEPTH * QUADS>;

fn weight_or_zero(o: u32, i: u32) -> f32 {
    if o < op.outputs && i < op.inputs {
        return weight(o, i);
    }
    return 0.0;
}

@compute @workgroup_size(QUADS, TILE_DEPTH)
fn linear_forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let quad = group.x * QUADS + local.x;
    let o = group.y * TILE + 4u * local.y;
    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var sum2 = vec4<f32>();
    var sum3 = vec4<f32>();
    for (var first = 0u; first < op.inputs; first += TILE_DEPTH) {
        // Each invocation brings four rows of one input, and that input's weights for four outputs.
        let i = first + local.y;
        var x = vec4<f32>();
        if i < op.inputs && 4u * quad < step.rows {
            x = input[at(op.input_first + i, quad)];
        }
        let o_brought = group.y * TILE + 4u * local.x;
        let w = vec4(
            weight_or_zero(o_brought, i),
            weight_or_zero(o_brought + 1u, i),
            weight_or_zero(o_brought + 2u, i),
            weight_or_zero(o_brought + 3u, i),
        );
        workgroupBarrier();
        input_tile[local.y * QUADS + local.x] = x;
        weight_tile[local.y * QUADS + local.x] = w;
        workgroupBarrier();
        for (var k = 0u; k < TILE_DEPTH; k++) {
            let rows = input_tile[k * QUADS + local.x];
            let weights = weight_tile[k * QUADS + local.y];
            sum0 += weights.x * rows;
            sum1 += weights.y * rows;
            sum2 += weights.z * rows;
            sum3 += weights.w * rows;
        }
    }
    finish(sum0, o, quad);
    finish(sum1, o + 1u, quad);
    finish(sum2, o + 2u, quad);
    finish(sum3, o + 3u, quad);
}
