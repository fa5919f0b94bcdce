var<workgroup> sum_lanes: array<f32, GROUP>;

/// The sum of `value` over the group's GROUP invocations, in a tree of fixed shape; every invocation gets it.
fn group_sum(lane: u32, value: f32) -> f32 {
    workgroupBarrier();
    sum_lanes[lane] = value;
    workgroupBarrier();
    for (var half = GROUP / 2u; half > 0u; half /= 2u) {
        if lane < half {
            sum_lanes[lane] += sum_lanes[lane + half];
        }
        workgroupBarrier();
    }
    return sum_lanes[0];
}
