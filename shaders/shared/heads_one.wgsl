#import quad_index
// A transform's parameters are columns of one network's output.
@group(1) @binding(2) var<storage, read> head: array<vec4<f32>>;

/// Four rows of parameter `i` of the k-th active column.
fn transform_parameter(i: u32, k: u32, quad: u32) -> vec4<f32> {
    return head[quad_index(i * op.by_parameter + k * op.by_column, quad)];
}
