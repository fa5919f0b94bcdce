// Each row of a batch counts as much as any other.
fn row_weight(row: u32) -> f32 {
    return 1.0;
}

fn four_row_weights(quad: u32) -> vec4<f32> {
    return vec4(1.0);
}

fn sum_of_row_weights(lane: u32, begin: u32, end: u32) -> f32 {
    return f32(end - begin);
}
