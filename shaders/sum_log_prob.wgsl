#import sum, <row_weights>
// partials[split] = the weighted sum of log_prob over the split's rows. A group takes one split.

@group(1) @binding(1) var<storage, read> log_prob: array<f32>;
@group(1) @binding(2) var<storage, read_write> partials: array<f32>;

@compute @workgroup_size(GROUP)
fn sum_log_prob(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let begin = group.z * step.rows_per_split;
    let end = min(begin + step.rows_per_split, step.rows);
    var sum = 0.0;
    for (var row = begin + lane; row < end; row += GROUP) {
        sum += row_weight(row) * log_prob[row];
    }
    let total = group_sum(lane, sum);
    if lane == 0u {
        partials[group.z] = total;
    }
}
