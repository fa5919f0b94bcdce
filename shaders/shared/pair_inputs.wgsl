#import linear_backward_weights
// At most two inputs, and many outputs.
fn short_rows(i: u32, quad: u32) -> vec4<f32> {
    return input_rows(i, quad);
}

fn long_rows(o: u32, quad: u32) -> vec4<f32> {
    return gradient_rows(o, quad);
}

fn store_product(split: u32, o: u32, i: u32, sum: f32) {
    store_weight(split, o, i, sum);
}

fn store_long(split: u32, o: u32, sum: f32) {
    store_bias(split, o, sum);
}

fn store_short(split: u32, i: u32, sum: f32) {}
