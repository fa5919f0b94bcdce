// SUMS sums of each lane of a group, SUMS being the kernel's.
var<workgroup> lane_sums: array<f32, SUMS * GROUP>;

fn keep(lane: u32, place: u32, sums: vec4<f32>) {
    lane_sums[place * GROUP + lane] = sums.x;
    lane_sums[(place + 1u) * GROUP + lane] = sums.y;
    lane_sums[(place + 2u) * GROUP + lane] = sums.z;
    lane_sums[(place + 3u) * GROUP + lane] = sums.w;
}

/// The sum over the lanes of their sum number `place`, in order.
fn lane_total(place: u32) -> f32 {
    var total = 0.0;
    for (var k = 0u; k < GROUP; k++) {
        total += lane_sums[place * GROUP + k];
    }
    return total;
}
