// s and t come from networks of their own.
@group(1) @binding(5) var<storage, read_write> shift_gradient: array<vec4<f32>>;
@group(1) @binding(6) var<storage, read_write> scale_gradient: array<vec4<f32>>;

fn store_shift_gradient(index: u32, value: vec4<f32>) {
    shift_gradient[index] = value;
}

fn store_scale_gradient(index: u32, value: vec4<f32>) {
    scale_gradient[index] = value;
}
