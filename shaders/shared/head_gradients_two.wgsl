#import quad_index
@group(1) @binding(6) var<storage, read_write> first_gradient: array<vec4<f32>>;
@group(1) @binding(7) var<storage, read_write> second_gradient: array<vec4<f32>>;

fn store_parameter_gradient(i: u32, k: u32, quad: u32, value: vec4<f32>) {
    if i == 0u {
        first_gradient[quad_index(k, quad)] = value;
    } else {
        second_gradient[quad_index(k, quad)] = value;
    }
}
