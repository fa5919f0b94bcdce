// As many parameters as a uniform binding holds. Every invocation reads the same one at a time, which uniform buffers
// are made for: one scalar load where a storage buffer may be read lane by lane.
@group(1) @binding(1) var<uniform> parameters: array<vec4<f32>, UNIFORM_PARAMETERS / 4u>;

fn parameter(index: u32) -> f32 {
    return parameters[index / 4u][index % 4u];
}
