#import linear_backward_input
// linear_backward_input for maps with few inputs or few outputs: an invocation makes four input gradients of four rows,
// straight from the buffers. CPU version: `backward_input` in src/cpu/linear.rs.

@compute @workgroup_size(GROUP)
fn linear_backward_input_narrow(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let quad = group.x * GROUP + lane;
    if 4u * quad >= step.rows {
        return;
    }
    let i = 4u * group.y;
    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var sum2 = vec4<f32>();
    var sum3 = vec4<f32>();
    for (var o = 0u; o < op.outputs; o++) {
        // Beyond the last input lie other parameters, whose sums are dropped.
        let g = output_gradient[quad_index(op.output_first + o, quad)];
        sum0 += weight(o, i) * g;
        sum1 += weight(o, i + 1u) * g;
        sum2 += weight(o, i + 2u) * g;
        sum3 += weight(o, i + 3u) * g;
    }
    finish_sum(sum0, i, quad);
    finish_sum(sum1, i + 1u, quad);
    finish_sum(sum2, i + 2u, quad);
    finish_sum(sum3, i + 3u, quad);
}
