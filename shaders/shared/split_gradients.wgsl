#import splits
/// The splits' parts of the gradient, one after another.
@group(1) @binding(1) var<storage, read> partials: array<f32>;

/// `start` and the splits' parts of the gradient of parameter `p`, in their order.
fn add_splits(start: f32, p: u32) -> f32 {
    var sum = start;
    for (var split = 0u; split < split_count(); split++) {
        sum += partials[split * step.parameters + p];
    }
    return sum;
}
