/// scale² * sum, as a sum of squares that neither overflows nor vanishes; a sum below 0 says that a number was not finite.
struct Squares {
    scale: f32,
    sum: f32,
}

/// No gradient's scale is smaller, so that nothing is divided by 0.
const LEAST_SCALE = 1e-30;

/// Infinity or NaN, by its bits: WGSL may assume that there is none.
fn not_finite(bits: u32) -> bool {
    return (bits & 0x7F800000u) == 0x7F800000u;
}

var<workgroup> scale_lanes: array<f32, GROUP>;

/// The largest `value` of the group; every invocation gets it.
fn group_max(lane: u32, value: f32) -> f32 {
    workgroupBarrier();
    scale_lanes[lane] = value;
    workgroupBarrier();
    for (var half = GROUP / 2u; half > 0u; half /= 2u) {
        if lane < half {
            scale_lanes[lane] = max(scale_lanes[lane], scale_lanes[lane + half]);
        }
        workgroupBarrier();
    }
    return scale_lanes[0];
}
