// partials[split][weight[o][i]] = sum over the split's rows of output_gradient[o] * input[i], and the same for the bias.
//
// A group makes TILE outputs by TILE inputs of one split, each invocation eight by eight of them in registers. Rows pass
// through workgroup memory in fours, as they lie, DEPTH fours at a time, in two buffers: while one is used the other is filled.
// `sum_partials` adds the splits. Twin: `backward_weights` in src/cpu/linear.rs.

/// Invocations each way; an invocation's inputs, and its outputs, are so far apart: neighbours read neighbouring words.
const HALF = TILE / 8u;
const DEPTH = TILE_DEPTH / 4u;
const BUFFER = DEPTH * TILE;

var<workgroup> input_tile: array<vec4<f32>, 2u * BUFFER>;
var<workgroup> gradient_tile: array<vec4<f32>, 2u * BUFFER>;

/// Four rows of four columns, HALF apart.
fn four_inputs(place: u32) -> mat4x4<f32> {
    return mat4x4(
        input_tile[place],
        input_tile[place + HALF],
        input_tile[place + 2u * HALF],
        input_tile[place + 3u * HALF],
    );
}

/// Four rows of an input; zero beyond the split's last.
fn inputs_or_zero(i: u32, quad: u32, last: u32) -> vec4<f32> {
    return select(vec4<f32>(), input_rows(i, min(quad, last)), quad <= last);
}

fn gradients_or_zero(o: u32, quad: u32, last: u32) -> vec4<f32> {
    return select(vec4<f32>(), gradient_rows(o, min(quad, last)), quad <= last);
}

fn store_weights(split: u32, o: u32, i: u32, near: vec4<f32>, far: vec4<f32>) {
    for (var k = 0u; k < 4u; k++) {
        store_weight(split, o, i + k * HALF, near[k]);
        store_weight(split, o, i + (k + 4u) * HALF, far[k]);
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
    // What an invocation brings: four rows of two inputs, and of two outputs' gradients.
    let deep = lane % DEPTH;
    let column = lane / DEPTH;
    let place = deep * TILE + column;
    let last = (end - 1u) / 4u;
    let i_brought = group.x * TILE + column;
    let o_brought = group.y * TILE + column;
    var near0 = vec4<f32>();
    var near1 = vec4<f32>();
    var near2 = vec4<f32>();
    var near3 = vec4<f32>();
    var near4 = vec4<f32>();
    var near5 = vec4<f32>();
    var near6 = vec4<f32>();
    var near7 = vec4<f32>();
    var far0 = vec4<f32>();
    var far1 = vec4<f32>();
    var far2 = vec4<f32>();
    var far3 = vec4<f32>();
    var far4 = vec4<f32>();
    var far5 = vec4<f32>();
    var far6 = vec4<f32>();
    var far7 = vec4<f32>();
    var bias = 0.0;
    let quad = begin / 4u + deep;
    input_tile[place] = inputs_or_zero(i_brought, quad, last);
    input_tile[place + TILE / 2u] = inputs_or_zero(i_brought + TILE / 2u, quad, last);
    gradient_tile[place] = gradients_or_zero(o_brought, quad, last);
    gradient_tile[place + TILE / 2u] = gradients_or_zero(o_brought + TILE / 2u, quad, last);
    workgroupBarrier();
    var used = 0u;
    for (var first = begin; first < end; first += TILE_DEPTH) {
        let next = (first + TILE_DEPTH) / 4u + deep;
        let x_near = inputs_or_zero(i_brought, next, last);
        let x_far = inputs_or_zero(i_brought + TILE / 2u, next, last);
        let g_near = gradients_or_zero(o_brought, next, last);
        let g_far = gradients_or_zero(o_brought + TILE / 2u, next, last);
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
            near0 += g0 * x0;
            near1 += g1 * x0;
            near2 += g2 * x0;
            near3 += g3 * x0;
            near4 += g4 * x0;
            near5 += g5 * x0;
            near6 += g6 * x0;
            near7 += g7 * x0;
            far0 += g0 * x4;
            far1 += g1 * x4;
            far2 += g2 * x4;
            far3 += g3 * x4;
            far4 += g4 * x4;
            far5 += g5 * x4;
            far6 += g6 * x4;
            far7 += g7 * x4;
            // Each of the first row of invocations has one of the eight outputs' biases.
            bias += dot(gradient_tile[gradients + local.x * HALF], vec4(1.0));
        }
        used = BUFFER - used;
        input_tile[used + place] = x_near;
        input_tile[used + place + TILE / 2u] = x_far;
        gradient_tile[used + place] = g_near;
        gradient_tile[used + place + TILE / 2u] = g_far;
        workgroupBarrier();
    }
    let i = group.x * TILE + local.x;
    let o = group.y * TILE + local.y;
    store_weights(group.z, o, i, near0, far0);
    store_weights(group.z, o + HALF, i, near1, far1);
    store_weights(group.z, o + 2u * HALF, i, near2, far2);
    store_weights(group.z, o + 3u * HALF, i, near3, far3);
    store_weights(group.z, o + 4u * HALF, i, near4, far4);
    store_weights(group.z, o + 5u * HALF, i, near5, far5);
    store_weights(group.z, o + 6u * HALF, i, near6, far6);
    store_weights(group.z, o + 7u * HALF, i, near7, far7);
    if group.x == 0u {
        store_bias(group.z, o + local.x * HALF, bias);
    }
}
