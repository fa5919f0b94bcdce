// The gradient of the loss with respect to z, and the split's share of that of the base's parameters. A group takes one
// dimension of one split. Twin: `backward` in src/cpu/base.rs.

@group(1) @binding(0) var<uniform> op: BaseDensity;
@group(1) @binding(1) var<storage, read> parameters: array<f32>;
@group(1) @binding(2) var<storage, read> z: array<f32>;
@group(1) @binding(3) var<storage, read_write> z_gradient: array<f32>;

@compute @workgroup_size(GROUP)
fn base_backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let d = group.x;
    let begin = group.z * step.rows_per_split;
    let end = min(begin + step.rows_per_split, step.rows);
    let mean = base_mean(d);
    let inverse_variance = 1.0 / base_variance(d);
    var by_mean = 0.0;
    var by_variance = 0.0;
    // The rows that fill up the last four count for nothing.
    let filled = (end + 3u) / 4u * 4u;
    for (var row = begin + lane; row < filled; row += GROUP) {
        if row >= end {
            z_gradient[d * step.stride + row] = 0.0;
            continue;
        }
        let scaled = (z[d * step.stride + row] - mean) * inverse_variance;
        z_gradient[d * step.stride + row] = scaled * step.share;
        by_mean -= scaled;
        by_variance -= 0.5 * (scaled * scaled - inverse_variance);
    }
    let mean_sum = group_sum(lane, by_mean) * step.share;
    let variance_sum = group_sum(lane, by_variance) * step.share;
    if lane == 0u {
        store_base_partials(d, group.z * step.parameters, mean_sum, variance_sum);
    }
}
