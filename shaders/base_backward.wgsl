#import sum, <parameters>, <base>, <base_partials>, <density>, <row_weights>
// The gradient of the loss with respect to z, and the split's part of that of the base's parameters. A group takes one
// dimension of one split. CPU version: `backward` in src/cpu/base.rs.

@group(1) @binding(0) var<uniform> op: BaseDensity;
@group(1) @binding(2) var<storage, read> z: array<f32>;
@group(1) @binding(3) var<storage, read_write> z_gradient: array<f32>;

@compute @workgroup_size(GROUP)
fn base_backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let d = group.x;
    let begin = group.z * step.rows_per_split;
    let end = min(begin + step.rows_per_split, step.rows);
    let location = base_location(d);
    let spread = base_spread(d);
    var by_location = 0.0;
    var by_spread = 0.0;
    // The rows that fill up the last four count for nothing.
    let filled = (end + 3u) / 4u * 4u;
    for (var row = begin + lane; row < filled; row += GROUP) {
        if row >= end {
            z_gradient[d * step.stride + row] = 0.0;
            continue;
        }
        // The loss is minus the weighted mean of log_prob.
        let score = row_weight(row) * scores(z[d * step.stride + row], location, spread);
        z_gradient[d * step.stride + row] = -score.x * step.inv_batch_size;
        by_location += score.x;
        by_spread -= score.y;
    }
    let location_sum = group_sum(lane, by_location) * step.inv_batch_size;
    let spread_sum = group_sum(lane, by_spread) * step.inv_batch_size;
    if lane == 0u {
        store_base_partials(d, group.z * step.parameters, location_sum, spread_sum);
    }
}
