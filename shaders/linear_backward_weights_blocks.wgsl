// partials[split][weight[o][i]] = sum over the split's rows of output_gradient[o] * input[i], and the same for the bias: sixteen
// outputs by sixteen inputs an invocation, straight from the buffers, for software adapters; see shared/product_blocks.wgsl.
// `sum_partials` adds the splits. Twin: `backward_weights` in src/cpu/linear.rs.

/// The invocations of a group have the same outputs.
const ACROSS = BLOCK_ROWS / 16u;

/// Sixteen columns of four rows.
struct Quads {
    a: mat4x4<f32>,
    b: mat4x4<f32>,
    c: mat4x4<f32>,
    d: mat4x4<f32>,
}

/// Sums of four outputs, of sixteen inputs each.
struct Outputs {
    a: Sixteen,
    b: Sixteen,
    c: Sixteen,
    d: Sixteen,
}

/// Sums of sixteen outputs.
struct Square {
    a: Outputs,
    b: Outputs,
    c: Outputs,
    d: Outputs,
}

fn four_inputs(i: u32, quad: u32) -> mat4x4<f32> {
    return mat4x4(input_rows(i, quad), input_rows(i + 1u, quad), input_rows(i + 2u, quad), input_rows(i + 3u, quad));
}

fn four_gradients(o: u32, quad: u32) -> mat4x4<f32> {
    return mat4x4(
        gradient_rows(o, quad),
        gradient_rows(o + 1u, quad),
        gradient_rows(o + 2u, quad),
        gradient_rows(o + 3u, quad),
    );
}

/// The sums, and the products of one output's gradient and the inputs.
fn with_products(sums: Sixteen, gradient: vec4<f32>, inputs: Quads) -> Sixteen {
    return Sixteen(
        sums.a + gradient * inputs.a,
        sums.b + gradient * inputs.b,
        sums.c + gradient * inputs.c,
        sums.d + gradient * inputs.d,
    );
}

fn outputs_with_products(sums: Outputs, gradients: mat4x4<f32>, inputs: Quads) -> Outputs {
    return Outputs(
        with_products(sums.a, gradients[0], inputs),
        with_products(sums.b, gradients[1], inputs),
        with_products(sums.c, gradients[2], inputs),
        with_products(sums.d, gradients[3], inputs),
    );
}

fn store_four(split: u32, o: u32, i: u32, sums: vec4<f32>) {
    store_weight(split, o, i, sums.x);
    store_weight(split, o, i + 1u, sums.y);
    store_weight(split, o, i + 2u, sums.z);
    store_weight(split, o, i + 3u, sums.w);
}

fn store_sixteen(split: u32, o: u32, i: u32, sums: Sixteen) {
    store_four(split, o, i, sums.a);
    store_four(split, o, i + 4u, sums.b);
    store_four(split, o, i + 8u, sums.c);
    store_four(split, o, i + 12u, sums.d);
}

@compute @workgroup_size(ACROSS)
fn linear_backward_weights_blocks(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let begin = group.z * step.rows_per_split;
    let end = min(begin + step.rows_per_split, step.rows);
    let i = BLOCK * (ACROSS * group.x + lane);
    let o = BLOCK * group.y;
    var sums = Square();
    var biases = Sixteen();
    for (var quad = begin / 4u; 4u * quad < end; quad++) {
        let inputs = Quads(
            four_inputs(i, quad),
            four_inputs(i + 4u, quad),
            four_inputs(i + 8u, quad),
            four_inputs(i + 12u, quad),
        );
        let a = four_gradients(o, quad);
        let b = four_gradients(o + 4u, quad);
        let c = four_gradients(o + 8u, quad);
        let d = four_gradients(o + 12u, quad);
        sums.a = outputs_with_products(sums.a, a, inputs);
        sums.b = outputs_with_products(sums.b, b, inputs);
        sums.c = outputs_with_products(sums.c, c, inputs);
        sums.d = outputs_with_products(sums.d, d, inputs);
        biases.a += vec4(1.0) * a;
        biases.b += vec4(1.0) * b;
        biases.c += vec4(1.0) * c;
        biases.d += vec4(1.0) * d;
    }
    // Four outputs at a time, so that what stores them is compiled once.
    for (var k = 0u; k < 4u; k++) {
        var four = sums.a;
        var four_biases = biases.a;
        if k == 1u {
            four = sums.b;
            four_biases = biases.b;
        }
        if k == 2u {
            four = sums.c;
            four_biases = biases.c;
        }
        if k == 3u {
            four = sums.d;
            four_biases = biases.d;
        }
        let first = o + 4u * k;
        store_sixteen(group.z, first, i, four.a);
        store_sixteen(group.z, first + 1u, i, four.b);
        store_sixteen(group.z, first + 2u, i, four.c);
        store_sixteen(group.z, first + 3u, i, four.d);
        if i == 0u {
            store_bias(group.z, first, four_biases.x);
            store_bias(group.z, first + 1u, four_biases.y);
            store_bias(group.z, first + 2u, four_biases.z);
            store_bias(group.z, first + 3u, four_biases.w);
        }
    }
}
