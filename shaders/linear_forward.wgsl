#import linear_forward, product
// output[o][row] = activate(bias[o] + sum_i weight[o][i] * input[i][row]), tile by tile. CPU version: `forward` in src/cpu/linear.rs.

fn weight_or_zero(o: u32, i: u32) -> f32 {
    return select(0.0, weight(o, i), o < op.outputs && i < op.inputs);
}

fn rows_or_zero(i: u32, quad: u32) -> vec4<f32> {
    return select(vec4<f32>(), input[quad_index(op.input_first + i, quad)], i < op.inputs && 4u * quad < step.rows);
}

@compute @workgroup_size(ACROSS, DOWN)
fn linear_forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    finish_tile(product(op.inputs, group, local), group, local);
}
