#import squares, sum
// partials[group] = the sum of squares of NORM_SPAN * GROUP numbers of the gradient. CPU version: `gradient_norm` in
// src/cpu/adamw.rs.

@group(1) @binding(1) var<storage, read> gradient: array<u32>;
@group(1) @binding(2) var<storage, read_write> partials: array<Squares>;

@compute @workgroup_size(GROUP)
fn gradient_norm(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let begin = group.x * NORM_SPAN * GROUP + lane;
    let end = min(begin + NORM_SPAN * GROUP, step.parameters);
    var largest = LEAST_SCALE;
    var bad = 0.0;
    for (var p = begin; p < end; p += GROUP) {
        let bits = gradient[p];
        if not_finite(bits) {
            bad = 1.0;
        } else {
            largest = max(largest, abs(bitcast<f32>(bits)));
        }
    }
    let any_bad = group_max(lane, bad) > 0.0;
    let scale = group_max(lane, largest);
    var sum = 0.0;
    for (var p = begin; p < end; p += GROUP) {
        let ratio = bitcast<f32>(gradient[p]) / scale;
        sum += ratio * ratio;
    }
    let total = group_sum(lane, sum);
    if lane == 0u {
        partials[group.x] = Squares(scale, select(total, -1.0, any_bad));
    }
}
