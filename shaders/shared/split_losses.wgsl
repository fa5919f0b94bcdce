#import splits, sum
/// The loss of all splits, -(sum of their log_prob) / N, by a whole group.
fn loss_of_splits(lane: u32) -> f32 {
    var sum = 0.0;
    for (var split = lane; split < split_count(); split += GROUP) {
        sum += loss_partials[split];
    }
    return -group_sum(lane, sum) * step.inv_batch_size;
}
