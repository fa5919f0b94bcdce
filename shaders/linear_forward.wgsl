// output[o][row] = activate(bias[o] + sum_i weight[o][i] * input[i][row])
//
// A group makes a tile of TILE_ROWS rows by TILE_OUT outputs; each invocation four outputs of one row. Inputs pass through
// workgroup memory TILE_IN at a time. Twin: `forward` in src/cpu/linear.rs.

@group(1) @binding(0) var<uniform> op: Linear;
@group(1) @binding(1) var<storage, read> parameters: array<f32>;
@group(1) @binding(2) var<storage, read> input: array<f32>;
@group(1) @binding(4) var<storage, read_write> output: array<f32>;

var<workgroup> input_tile: array<f32, TILE_IN * TILE_ROWS>;
var<workgroup> weight_tile: array<vec4<f32>, TILE_IN * TILE_OUT / 4u>;

fn weight(o: u32, i: u32) -> f32 {
    if o < op.outputs && i < op.inputs {
        return parameters[op.weight + o * op.inputs + i];
    }
    return 0.0;
}

fn finish(sum: f32, o: u32, row: u32) {
    if o < op.outputs && row < step.rows {
        let pre = sum + parameters[op.bias + o];
        let index = (op.output_first + o) * step.stride + row;
        save(pre, index);
        output[index] = activate(pre);
    }
}

@compute @workgroup_size(TILE_ROWS, TILE_OUT / 4u)
fn linear_forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x * TILE_ROWS + local.x;
    let o = group.y * TILE_OUT + 4u * local.y;
    var sum = vec4<f32>();
    for (var first = 0u; first < op.inputs; first += TILE_IN) {
        let depth = min(TILE_IN, op.inputs - first);
        workgroupBarrier();
        for (var i = local.y; i < depth; i += TILE_OUT / 4u) {
            var value = 0.0;
            if row < step.rows {
                value = input[(op.input_first + first + i) * step.stride + row];
            }
            input_tile[i * TILE_ROWS + local.x] = value;
        }
        if lane < TILE_IN * TILE_OUT / 4u {
            let i = first + lane / (TILE_OUT / 4u);
            let quad = group.y * TILE_OUT + 4u * (lane % (TILE_OUT / 4u));
            weight_tile[lane] = vec4(weight(quad, i), weight(quad + 1u, i), weight(quad + 2u, i), weight(quad + 3u, i));
        }
        workgroupBarrier();
        for (var i = 0u; i < depth; i++) {
            sum += weight_tile[i * (TILE_OUT / 4u) + local.y] * input_tile[i * TILE_ROWS + local.x];
        }
    }
    finish(sum.x, o, row);
    finish(sum.y, o + 1u, row);
    finish(sum.z, o + 2u, row);
    finish(sum.w, o + 3u, row);
}
