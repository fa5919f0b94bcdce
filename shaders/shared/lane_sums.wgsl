// SUMS sums of each lane of a group, SUMS being the kernel's.
var<workgroup> lane_sums: array<f32, SUMS * GROUP>;

fn store_lane_sums(lane: u32, index: u32, sums: vec4<f32>) {
    lane_sums[index * GROUP + lane] = sums.x;
    lane_sums[(index + 1u) * GROUP + lane] = sums.y;
    lane_sums[(index + 2u) * GROUP + lane] = sums.z;
    lane_sums[(index + 3u) * GROUP + lane] = sums.w;
}

/// The sum over the lanes of their sum number `index`, in order.
fn lane_total(index: u32) -> f32 {
    var total = 0.0;
    for (var k = 0u; k < GROUP; k++) {
        total += lane_sums[index * GROUP + k];
    }
    return total;
}
