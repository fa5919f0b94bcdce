#import sum
/// The weight of each row of the batch in the loss.
@group(1) @binding(9) var<storage, read> row_weights: array<f32>;

fn row_weight(row: u32) -> f32 {
    return row_weights[row];
}

fn four_row_weights(quad: u32) -> vec4<f32> {
    let row = 4u * quad;
    return vec4(row_weights[row], row_weights[row + 1u], row_weights[row + 2u], row_weights[row + 3u]);
}

/// By a whole group.
fn sum_of_row_weights(lane: u32, begin: u32, end: u32) -> f32 {
    var sum = 0.0;
    for (var row = begin + lane; row < end; row += GROUP) {
        sum += row_weights[row];
    }
    return group_sum(lane, sum);
}
