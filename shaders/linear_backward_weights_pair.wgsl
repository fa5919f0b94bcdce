#import lane_sums, <pair>
// linear_backward_weights for maps with at most two inputs, or two outputs: a group makes eight of the long side by the two of
// the short side (`shared/pair_*.wgsl` say which is which) of one split. Each lane sums its own rows in registers; then the
// lanes' sums are added, in fixed order. CPU version: `backward_weights` in src/cpu/linear.rs.

// Sixteen products, eight sums of the long side, two of the short one.
const SUMS = 26u;

@compute @workgroup_size(GROUP)
fn linear_backward_weights_pair(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let c = 8u * group.x;
    let one = vec4(1.0);
    let begin = group.z * step.rows_per_split;
    let end = min(begin + step.rows_per_split, step.rows);
    // Products with the short side's first and second column, four columns of the long side at a time.
    var first_low = vec4<f32>();
    var first_high = vec4<f32>();
    var second_low = vec4<f32>();
    var second_high = vec4<f32>();
    var long_low = vec4<f32>();
    var long_high = vec4<f32>();
    var short = vec2<f32>();
    for (var row = begin + 4u * lane; row < end; row += 4u * GROUP) {
        let quad = row / 4u;
        let s0 = short_rows(0u, quad);
        let s1 = short_rows(1u, quad);
        let c0 = long_rows(c, quad);
        let c1 = long_rows(c + 1u, quad);
        let c2 = long_rows(c + 2u, quad);
        let c3 = long_rows(c + 3u, quad);
        first_low += vec4(dot(c0, s0), dot(c1, s0), dot(c2, s0), dot(c3, s0));
        second_low += vec4(dot(c0, s1), dot(c1, s1), dot(c2, s1), dot(c3, s1));
        long_low += vec4(dot(c0, one), dot(c1, one), dot(c2, one), dot(c3, one));
        let c4 = long_rows(c + 4u, quad);
        let c5 = long_rows(c + 5u, quad);
        let c6 = long_rows(c + 6u, quad);
        let c7 = long_rows(c + 7u, quad);
        first_high += vec4(dot(c4, s0), dot(c5, s0), dot(c6, s0), dot(c7, s0));
        second_high += vec4(dot(c4, s1), dot(c5, s1), dot(c6, s1), dot(c7, s1));
        long_high += vec4(dot(c4, one), dot(c5, one), dot(c6, one), dot(c7, one));
        short += vec2(dot(s0, one), dot(s1, one));
    }
    store_lane_sums(lane, 0u, first_low);
    store_lane_sums(lane, 4u, first_high);
    store_lane_sums(lane, 8u, second_low);
    store_lane_sums(lane, 12u, second_high);
    store_lane_sums(lane, 16u, long_low);
    store_lane_sums(lane, 20u, long_high);
    lane_sums[24u * GROUP + lane] = short.x;
    lane_sums[25u * GROUP + lane] = short.y;
    workgroupBarrier();
    if lane >= SUMS {
        return;
    }
    let total = lane_total(lane);
    if lane < 16u {
        store_product(group.z, c + lane % 8u, lane / 8u, total);
    } else if lane < 24u {
        store_long(group.z, c + lane - 16u, total);
    } else if group.x == 0u {
        store_short(group.z, lane - 24u, total);
    }
}
