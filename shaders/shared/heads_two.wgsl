#import quad_index
// A transform's two parameters come from networks of their own.
@group(1) @binding(2) var<storage, read> first_head: array<vec4<f32>>;
@group(1) @binding(3) var<storage, read> second_head: array<vec4<f32>>;

/// Four rows of parameter `i` of the k-th active column.
fn transform_parameter(i: u32, k: u32, quad: u32) -> vec4<f32> {
    if i == 0u {
        return first_head[quad_index(k, quad)];
    }
    return second_head[quad_index(k, quad)];
}
