#import lane_sums, linear_backward_weights
// linear_backward_weights for maps with few inputs or few outputs: a group makes four outputs by four inputs of one split.
// Each lane sums its own rows in registers; then the lanes' sums are added, in fixed order. CPU version: `backward_weights` in
// src/cpu/linear.rs.

// Twenty sums (16 weights, 4 biases) of each lane.
const SUMS = 20u;

@compute @workgroup_size(GROUP)
fn linear_backward_weights_narrow(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = 4u * group.x;
    let o = 4u * group.y;
    let begin = group.z * step.rows_per_split;
    let end = min(begin + step.rows_per_split, step.rows);
    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var sum2 = vec4<f32>();
    var sum3 = vec4<f32>();
    var bias = vec4<f32>();
    for (var row = begin + 4u * lane; row < end; row += 4u * GROUP) {
        let quad = row / 4u;
        let x0 = input_rows(i, quad);
        let x1 = input_rows(i + 1u, quad);
        let x2 = input_rows(i + 2u, quad);
        let x3 = input_rows(i + 3u, quad);
        let g0 = gradient_rows(o, quad);
        let g1 = gradient_rows(o + 1u, quad);
        let g2 = gradient_rows(o + 2u, quad);
        let g3 = gradient_rows(o + 3u, quad);
        sum0 += vec4(dot(g0, x0), dot(g0, x1), dot(g0, x2), dot(g0, x3));
        sum1 += vec4(dot(g1, x0), dot(g1, x1), dot(g1, x2), dot(g1, x3));
        sum2 += vec4(dot(g2, x0), dot(g2, x1), dot(g2, x2), dot(g2, x3));
        sum3 += vec4(dot(g3, x0), dot(g3, x1), dot(g3, x2), dot(g3, x3));
        bias += vec4(dot(g0, vec4(1.0)), dot(g1, vec4(1.0)), dot(g2, vec4(1.0)), dot(g3, vec4(1.0)));
    }
    store_lane_sums(lane, 0u, sum0);
    store_lane_sums(lane, 4u, sum1);
    store_lane_sums(lane, 8u, sum2);
    store_lane_sums(lane, 12u, sum3);
    store_lane_sums(lane, 16u, bias);
    workgroupBarrier();
    if lane >= SUMS {
        return;
    }
    let total = lane_total(lane);
    if lane < 16u {
        store_weight(group.z, o + lane / 4u, i + lane % 4u, total);
    } else if i == 0u {
        store_bias(group.z, o + lane - 16u, total);
    }
}
