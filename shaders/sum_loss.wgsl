#import split_losses
// losses[slot] (+)= -(sum of the splits' log_prob) / N. One group.

@group(1) @binding(1) var<storage, read> loss_partials: array<f32>;
@group(1) @binding(2) var<storage, read_write> losses: array<f32>;

@compute @workgroup_size(GROUP)
fn sum_loss(@builtin(local_invocation_index) lane: u32) {
    let loss = loss_of_splits(lane);
    if lane == 0u {
        if step.add != 0u {
            losses[step.slot] += loss;
        } else {
            losses[step.slot] = loss;
        }
    }
}
