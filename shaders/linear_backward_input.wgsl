#import linear_backward_input, product
// input_gradient[i][row] (+)= sum_o weight[o][i] * output_gradient[o][row], tile by tile, finished by `shared/input_gradient_*.wgsl`.
// CPU version: `backward_input` in src/cpu/linear.rs.

fn weight_or_zero(i: u32, o: u32) -> f32 {
    return select(0.0, weight(o, i), o < op.outputs && i < op.inputs);
}

fn rows_or_zero(o: u32, quad: u32) -> vec4<f32> {
    return select(vec4<f32>(), output_gradient[quad_index(op.output_first + o, quad)], o < op.outputs && 4u * quad < step.rows);
}

@compute @workgroup_size(ACROSS, DOWN)
fn linear_backward_input(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    finish_tile(product(op.outputs, group, local), group, local);
}
