/// `start` and the splits' parts of the gradient of parameter `p`, in their order.
fn add_splits(start: f32, p: u32) -> f32 {
    var sum = start;
    for (var split = 0u; split < split_count(); split++) {
        sum += partials[split * step.parameters + p];
    }
    return sum;
}
