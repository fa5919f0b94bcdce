// z = x + t; parameter 0 is t. Twin: src/cpu/transform/additive.rs.

fn transform_forward(x: vec4<f32>, k: u32, quad: u32) -> Moved {
    return Moved(x + parameter(0u, k, quad), vec4<f32>());
}

fn transform_inverse(z: vec4<f32>, k: u32, quad: u32) -> vec4<f32> {
    return z - parameter(0u, k, quad);
}

/// From the gradients of z and of the log-slope that of x, and that of the parameter, which is stored.
fn transform_backward(
    x: vec4<f32>,
    of_z: vec4<f32>,
    of_log_slope: vec4<f32>,
    k: u32,
    quad: u32,
) -> vec4<f32> {
    store_gradient(0u, k, quad, of_z);
    return of_z;
}
