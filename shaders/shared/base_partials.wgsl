@group(1) @binding(4) var<storage, read_write> partials: array<f32>;

fn store_base_partials(d: u32, partial: u32, by_mean: f32, by_variance: f32) {
    partials[partial + op.mean + d] = by_mean;
    // d softplus(r) / dr = sigmoid(r)
    partials[partial + op.raw_variance + d] = by_variance * sigmoid(vec4(parameters[op.raw_variance + d])).x;
}
