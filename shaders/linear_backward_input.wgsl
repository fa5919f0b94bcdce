// input_gradient[i][row] (+)= sum_o weight[o][i] * output_gradient[o][row], finished by `shared/into_*.wgsl`.
//
// Tiled as linear_forward, with inputs and outputs changing places. Twin: `backward_input` in src/cpu/linear.rs.

@group(1) @binding(0) var<uniform> op: Linear;
@group(1) @binding(1) var<storage, read> parameters: array<f32>;
@group(1) @binding(2) var<storage, read> output_gradient: array<f32>;
@group(1) @binding(3) var<storage, read> saved: array<f32>;
@group(1) @binding(4) var<storage, read_write> input_gradient: array<f32>;

var<workgroup> gradient_tile: array<f32, TILE_IN * TILE_ROWS>;
var<workgroup> weight_tile: array<vec4<f32>, TILE_IN * TILE_OUT / 4u>;

fn weight(o: u32, i: u32) -> f32 {
    if o < op.outputs && i < op.inputs {
        return parameters[op.weight + o * op.inputs + i];
    }
    return 0.0;
}

fn finish(sum: f32, i: u32, row: u32) {
    if i < op.inputs && row < step.rows {
        let index = (op.input_first + i) * step.stride + row;
        input_gradient[index] = finished(sum, index);
    }
}

@compute @workgroup_size(TILE_ROWS, TILE_OUT / 4u)
fn linear_backward_input(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x * TILE_ROWS + local.x;
    let i = group.y * TILE_OUT + 4u * local.y;
    var sum = vec4<f32>();
    for (var first = 0u; first < op.outputs; first += TILE_IN) {
        let depth = min(TILE_IN, op.outputs - first);
        workgroupBarrier();
        for (var o = local.y; o < depth; o += TILE_OUT / 4u) {
            var value = 0.0;
            if row < step.rows {
                value = output_gradient[(op.output_first + first + o) * step.stride + row];
            }
            gradient_tile[o * TILE_ROWS + local.x] = value;
        }
        if lane < TILE_IN * TILE_OUT / 4u {
            let o = first + lane / (TILE_OUT / 4u);
            let quad = group.y * TILE_OUT + 4u * (lane % (TILE_OUT / 4u));
            weight_tile[lane] = vec4(weight(o, quad), weight(o, quad + 1u), weight(o, quad + 2u), weight(o, quad + 3u));
        }
        workgroupBarrier();
        for (var o = 0u; o < depth; o++) {
            sum += weight_tile[o * (TILE_OUT / 4u) + local.y] * gradient_tile[o * TILE_ROWS + local.x];
        }
    }
    finish(sum.x, i, row);
    finish(sum.y, i + 1u, row);
    finish(sum.z, i + 2u, row);
    finish(sum.w, i + 3u, row);
}
