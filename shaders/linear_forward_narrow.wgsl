#import linear_forward
// linear_forward for maps with few inputs or few outputs, where a tile would stand half empty: an invocation makes four
// outputs of four rows, straight from the buffers. CPU version: `forward` in src/cpu/linear.rs.

@compute @workgroup_size(GROUP)
fn linear_forward_narrow(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let quad = group.x * GROUP + lane;
    if 4u * quad >= step.rows {
        return;
    }
    let o = 4u * group.y;
    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var sum2 = vec4<f32>();
    var sum3 = vec4<f32>();
    for (var i = 0u; i < op.inputs; i++) {
        // Beyond the last output lie other parameters, whose sums are dropped.
        let x = input[quad_index(op.input_first + i, quad)];
        sum0 += weight(o, i) * x;
        sum1 += weight(o + 1u, i) * x;
        sum2 += weight(o + 2u, i) * x;
        sum3 += weight(o + 3u, i) * x;
    }
    finish_sum(sum0, o, quad);
    finish_sum(sum1, o + 1u, quad);
    finish_sum(sum2, o + 2u, quad);
    finish_sum(sum3, o + 3u, quad);
}
