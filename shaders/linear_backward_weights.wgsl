// partials[split][weight[o][i]] = sum over the split's rows of output_gradient[o] * input[i], and the same for the bias.
//
// A group makes TILE_WEIGHT outputs by TILE_WEIGHT inputs of one split, each invocation one of them; rows pass through
// workgroup memory TILE_DEPTH at a time. `sum_partials` adds the splits. Twin: `backward_weights` in src/cpu/linear.rs.

@group(1) @binding(0) var<uniform> op: Linear;
@group(1) @binding(1) var<storage, read> input: array<f32>;
@group(1) @binding(2) var<storage, read> output_gradient: array<f32>;
@group(1) @binding(3) var<storage, read_write> partials: array<f32>;

// One column of padding keeps invocations that read down a column off each other's memory banks.
const PITCH = TILE_DEPTH + 1u;
var<workgroup> input_tile: array<f32, TILE_WEIGHT * PITCH>;
var<workgroup> gradient_tile: array<f32, TILE_WEIGHT * PITCH>;

@compute @workgroup_size(TILE_WEIGHT, TILE_WEIGHT)
fn linear_backward_weights(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group.x * TILE_WEIGHT + local.x;
    let o = group.y * TILE_WEIGHT + local.y;
    let begin = group.z * step.rows_per_split;
    let end = min(begin + step.rows_per_split, step.rows);
    var weight_sum = 0.0;
    var bias_sum = 0.0;
    for (var first = begin; first < end; first += TILE_DEPTH) {
        workgroupBarrier();
        for (var k = lane; k < TILE_WEIGHT * TILE_DEPTH; k += TILE_WEIGHT * TILE_WEIGHT) {
            let column = k / TILE_DEPTH;
            let row = first + k % TILE_DEPTH;
            var x = 0.0;
            var g = 0.0;
            if row < end {
                if group.x * TILE_WEIGHT + column < op.inputs {
                    x = input[(op.input_first + group.x * TILE_WEIGHT + column) * step.stride + row];
                }
                if group.y * TILE_WEIGHT + column < op.outputs {
                    g = output_gradient[(op.output_first + group.y * TILE_WEIGHT + column) * step.stride + row];
                }
            }
            input_tile[column * PITCH + k % TILE_DEPTH] = x;
            gradient_tile[column * PITCH + k % TILE_DEPTH] = g;
        }
        workgroupBarrier();
        for (var k = 0u; k < TILE_DEPTH; k++) {
            let g = gradient_tile[local.y * PITCH + k];
            weight_sum += g * input_tile[local.x * PITCH + k];
            bias_sum += g;
        }
    }
    if o < op.outputs && i < op.inputs {
        let partial = group.z * step.parameters;
        partials[partial + op.weight + o * op.inputs + i] = weight_sum;
        if i == 0u {
            partials[partial + op.bias + o] = bias_sum;
        }
    }
}
