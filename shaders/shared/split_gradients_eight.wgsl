/// The splits' parts of the gradient, eight splits after another, whose parts lie side by side.
@group(1) @binding(1) var<storage, read> partials: array<vec4<f32>>;

/// `start` and the splits' parts of the gradient of parameter `p`, in their order.
fn add_splits(start: f32, p: u32) -> f32 {
    var sum = start;
    for (var split = 0u; split < split_count(); split += 8u) {
        let place = 2u * (split / 8u * step.parameters + p);
        let left = split_count() - split;
        sum = add_four(add_four(sum, partials[place], left), partials[place + 1u], max(left, 4u) - 4u);
    }
    return sum;
}

/// The first `count` of four numbers, added.
fn add_four(start: f32, numbers: vec4<f32>, count: u32) -> f32 {
    let four = select(vec4<f32>(), numbers, vec4(0u, 1u, 2u, 3u) < vec4(count));
    return start + four.x + four.y + four.z + four.w;
}
