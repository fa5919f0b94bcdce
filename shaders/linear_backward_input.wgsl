// input_gradient[i][row] (+)= sum_o weight[o][i] * output_gradient[o][row], finished by `shared/into_*.wgsl`.
//
// Tiled as linear_forward, with inputs and outputs changing places. Twin: `backward_input` in src/cpu/linear.rs.

const QUADS = TILE / 4u;
var<workgroup> gradient_tile: array<vec4<f32>, TILE_DEPTH * QUADS>;
var<workgroup> weight_tile: array<vec4<f32>, TILE_DEPTH * QUADS>;

fn weight_or_zero(o: u32, i: u32) -> f32 {
    if o < op.outputs && i < op.inputs {
        return weight(o, i);
    }
    return 0.0;
}

@compute @workgroup_size(QUADS, TILE_DEPTH)
fn linear_backward_input(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let quad = group.x * QUADS + local.x;
    let i = group.y * TILE + 4u * local.y;
    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var sum2 = vec4<f32>();
    var sum3 = vec4<f32>();
    for (var first = 0u; first < op.outputs; first += TILE_DEPTH) {
        // Each invocation brings four rows of one output's gradient, and that output's weights for four inputs.
        let o = first + local.y;
        var g = vec4<f32>();
        if o < op.outputs && 4u * quad < step.rows {
            g = output_gradient[at(op.output_first + o, quad)];
        }
        let i_brought = group.y * TILE + 4u * local.x;
        let w = vec4(
            weight_or_zero(o, i_brought),
            weight_or_zero(o, i_brought + 1u),
            weight_or_zero(o, i_brought + 2u),
            weight_or_zero(o, i_brought + 3u),
        );
        workgroupBarrier();
        gradient_tile[local.y * QUADS + local.x] = g;
        weight_tile[local.y * QUADS + local.x] = w;
        workgroupBarrier();
        for (var k = 0u; k < TILE_DEPTH; k++) {
            let rows = gradient_tile[k * QUADS + local.x];
            let weights = weight_tile[k * QUADS + local.y];
            sum0 += weights.x * rows;
            sum1 += weights.y * rows;
            sum2 += weights.z * rows;
            sum3 += weights.w * rows;
        }
    }
    finish(sum0, i, quad);
    finish(sum1, i + 1u, quad);
    finish(sum2, i + 2u, quad);
    finish(sum3, i + 3u, quad);
}
