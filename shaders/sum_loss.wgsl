// losses[slot] (+)= -(sum of the splits' log_prob) / N. One group.

@group(1) @binding(1) var<storage, read> partials: array<f32>;
@group(1) @binding(2) var<storage, read_write> losses: array<f32>;

@compute @workgroup_size(GROUP)
fn sum_loss(@builtin(local_invocation_index) lane: u32) {
    let splits = (step.rows + step.rows_per_split - 1u) / step.rows_per_split;
    var sum = 0.0;
    for (var split = lane; split < splits; split += GROUP) {
        sum += partials[split];
    }
    let loss = -group_sum(lane, sum) * step.share;
    if lane == 0u {
        if step.add != 0u {
            losses[step.slot] += loss;
        } else {
            losses[step.slot] = loss;
        }
    }
}
