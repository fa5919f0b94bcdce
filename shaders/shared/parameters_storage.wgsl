@group(1) @binding(1) var<storage, read> parameters: array<f32>;

fn parameter(index: u32) -> f32 {
    return parameters[index];
}
