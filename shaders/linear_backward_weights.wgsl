#import linear_backward_weights
// partials[split][weight[o][i]] = sum over the split's rows of output_gradient[o] * input[i], and the same for the bias.
//
// A group makes TILE outputs by TILE inputs of one split, each invocation eight by eight of them in registers. Rows pass
// through workgroup memory in fours, as they lie, DEPTH fours at a time, in two buffers: while one is used the other is filled.
// `sum_partials` adds the splits. CPU version: `backward_weights` in src/cpu/linear.rs.

/// Invocations each way; an invocation's inputs, and its outputs, are so second apart: neighbors read neighboring words.
const HALF = TILE / 8u;
const DEPTH = TILE_DEPTH / 4u;
const BUFFER = DEPTH * TILE;

var<workgroup> input_tile: array<vec4<f32>, 2u * BUFFER>;
var<workgroup> gradient_tile: array<vec4<f32>, 2u * BUFFER>;

/// Four rows of four columns, HALF apart.
fn four_inputs(index: u32) -> mat4x4<f32> {
    return mat4x4(
        input_tile[index],
        input_tile[index + HALF],
        input_tile[index + 2u * HALF],
        input_tile[index + 3u * HALF],
    );
}

/// Four rows of an input; zero beyond the split's last.
fn inputs_or_zero(i: u32, quad: u32, last: u32) -> vec4<f32> {
    return select(vec4<f32>(), input_rows(i, min(quad, last)), quad <= last);
}

fn gradients_or_zero(o: u32, quad: u32, last: u32) -> vec4<f32> {
    return select(vec4<f32>(), gradient_rows(o, min(quad, last)), quad <= last);
}

fn store_weights(split: u32, o: u32, i: u32, first: vec4<f32>, second: vec4<f32>) {
    for (var k = 0u; k < 4u; k++) {
        store_weight(split, o, i + k * HALF, first[k]);
        store_weight(split, o, i + (k + 4u) * HALF, second[k]);
    }
}

@compute @workgroup_size(HALF, HALF)
fn linear_backward_weights(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let begin = group.z * step.rows_per_split;
    let end = min(begin + step.rows_per_split, step.rows);
    // What an invocation loads: four rows of two inputs, and of two outputs' gradients.
    let depth = lane % DEPTH;
    let column = lane / DEPTH;
    let index = depth * TILE + column;
    let last = (end - 1u) / 4u;
    let i_loaded = group.x * TILE + column;
    let o_loaded = group.y * TILE + column;
    var acc00 = vec4<f32>();
    var acc01 = vec4<f32>();
    var acc02 = vec4<f32>();
    var acc03 = vec4<f32>();
    var acc04 = vec4<f32>();
    var acc05 = vec4<f32>();
    var acc06 = vec4<f32>();
    var acc07 = vec4<f32>();
    var acc10 = vec4<f32>();
    var acc11 = vec4<f32>();
    var acc12 = vec4<f32>();
    var acc13 = vec4<f32>();
    var acc14 = vec4<f32>();
    var acc15 = vec4<f32>();
    var acc16 = vec4<f32>();
    var acc17 = vec4<f32>();
    var bias = 0.0;
    let quad = begin / 4u + depth;
    input_tile[index] = inputs_or_zero(i_loaded, quad, last);
    input_tile[index + TILE / 2u] = inputs_or_zero(i_loaded + TILE / 2u, quad, last);
    gradient_tile[index] = gradients_or_zero(o_loaded, quad, last);
    gradient_tile[index + TILE / 2u] = gradients_or_zero(o_loaded + TILE / 2u, quad, last);
    workgroupBarrier();
    var used = 0u;
    for (var first = begin; first < end; first += TILE_DEPTH) {
        let next = (first + TILE_DEPTH) / 4u + depth;
        let x_first = inputs_or_zero(i_loaded, next, last);
        let x_second = inputs_or_zero(i_loaded + TILE / 2u, next, last);
        let g_first = gradients_or_zero(o_loaded, next, last);
        let g_second = gradients_or_zero(o_loaded + TILE / 2u, next, last);
        for (var k = 0u; k < DEPTH; k++) {
            let inputs = used + k * TILE + local.x;
            let gradients = used + k * TILE + local.y;
            let x0 = four_inputs(inputs);
            let x4 = four_inputs(inputs + 4u * HALF);
            let g0 = gradient_tile[gradients];
            let g1 = gradient_tile[gradients + HALF];
            let g2 = gradient_tile[gradients + 2u * HALF];
            let g3 = gradient_tile[gradients + 3u * HALF];
            let g4 = gradient_tile[gradients + 4u * HALF];
            let g5 = gradient_tile[gradients + 5u * HALF];
            let g6 = gradient_tile[gradients + 6u * HALF];
            let g7 = gradient_tile[gradients + 7u * HALF];
            acc00 += g0 * x0;
            acc01 += g1 * x0;
            acc02 += g2 * x0;
            acc03 += g3 * x0;
            acc04 += g4 * x0;
            acc05 += g5 * x0;
            acc06 += g6 * x0;
            acc07 += g7 * x0;
            acc10 += g0 * x4;
            acc11 += g1 * x4;
            acc12 += g2 * x4;
            acc13 += g3 * x4;
            acc14 += g4 * x4;
            acc15 += g5 * x4;
            acc16 += g6 * x4;
            acc17 += g7 * x4;
            // Each of the first row of invocations has one of the eight outputs' biases.
            bias += dot(gradient_tile[gradients + local.x * HALF], vec4(1.0));
        }
        used = BUFFER - used;
        input_tile[used + index] = x_first;
        input_tile[used + index + TILE / 2u] = x_second;
        gradient_tile[used + index] = g_first;
        gradient_tile[used + index + TILE / 2u] = g_second;
        workgroupBarrier();
    }
    let i = group.x * TILE + local.x;
    let o = group.y * TILE + local.y;
    store_weights(group.z, o, i, acc00, acc10);
    store_weights(group.z, o + HALF, i, acc01, acc11);
    store_weights(group.z, o + 2u * HALF, i, acc02, acc12);
    store_weights(group.z, o + 3u * HALF, i, acc03, acc13);
    store_weights(group.z, o + 4u * HALF, i, acc04, acc14);
    store_weights(group.z, o + 5u * HALF, i, acc05, acc15);
    store_weights(group.z, o + 6u * HALF, i, acc06, acc16);
    store_weights(group.z, o + 7u * HALF, i, acc07, acc17);
    if group.x == 0u {
        store_bias(group.z, o + local.x * HALF, bias);
    }
}
