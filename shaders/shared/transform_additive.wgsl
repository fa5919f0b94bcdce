#import transform_result, <head_gradients>, <heads>
// z = x + t; parameter 0 is t. CPU version: src/cpu/transform/additive.rs.

fn transform_forward(x: vec4<f32>, k: u32, quad: u32) -> TransformResult {
    return TransformResult(x + transform_parameter(0u, k, quad), vec4<f32>());
}

fn transform_inverse(z: vec4<f32>, k: u32, quad: u32) -> vec4<f32> {
    return z - transform_parameter(0u, k, quad);
}

/// From the gradients of z and of the log-derivative that of x, and that of the parameter, which is stored.
fn transform_backward(x: vec4<f32>, z_gradient: vec4<f32>, log_derivative_gradient: vec4<f32>, k: u32, quad: u32) -> vec4<f32> {
    store_parameter_gradient(0u, k, quad, z_gradient);
    return z_gradient;
}
