// s and t are columns of one network's output (or there is t alone).
@group(1) @binding(5) var<storage, read_write> head_gradient: array<vec4<f32>>;

fn store_shift_gradient(index: u32, value: vec4<f32>) {
    head_gradient[index] = value;
}

fn store_scale_gradient(index: u32, value: vec4<f32>) {
    head_gradient[index] = value;
}
