#import quad_index
@group(1) @binding(6) var<storage, read_write> head_gradient: array<vec4<f32>>;

fn store_parameter_gradient(i: u32, k: u32, quad: u32, value: vec4<f32>) {
    head_gradient[quad_index(i * op.by_parameter + k * op.by_column, quad)] = value;
}
