#import numbers, <parameters>
@group(1) @binding(4) var<storage, read_write> partials: array<f32>;

fn store_base_partials(d: u32, partial: u32, by_location: f32, by_spread: f32) {
    partials[partial + op.location + d] = by_location;
    // d softplus(r) / dr = sigmoid(r)
    partials[partial + op.raw_spread + d] = by_spread * sigmoid(vec4(parameter(op.raw_spread + d))).x;
}
