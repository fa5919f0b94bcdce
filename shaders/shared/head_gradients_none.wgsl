// For kernels that go forward, or back to the data.
fn store_parameter_gradient(i: u32, k: u32, quad: u32, value: vec4<f32>) {}
