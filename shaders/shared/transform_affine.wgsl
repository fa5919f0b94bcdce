#import bounded, transform_result, <head_gradients>, <heads>
// z = x * exp(s) + t, the log-scale s bounded; parameter 0 is s, parameter 1 t. CPU version: src/cpu/transform/affine.rs.

fn transform_forward(x: vec4<f32>, k: u32, quad: u32) -> TransformResult {
    let s = bounded(transform_parameter(0u, k, quad), op.bound).value;
    return TransformResult(x * exp(s) + transform_parameter(1u, k, quad), s);
}

fn transform_inverse(z: vec4<f32>, k: u32, quad: u32) -> vec4<f32> {
    let s = bounded(transform_parameter(0u, k, quad), op.bound).value;
    return (z - transform_parameter(1u, k, quad)) * exp(-s);
}

/// From the gradients of z and of the log-derivative that of x, and those of the parameters, which are stored.
fn transform_backward(x: vec4<f32>, z_gradient: vec4<f32>, log_derivative_gradient: vec4<f32>, k: u32, quad: u32) -> vec4<f32> {
    let s = bounded(transform_parameter(0u, k, quad), op.bound);
    let scaled = z_gradient * exp(s.value);
    store_parameter_gradient(0u, k, quad, (scaled * x + log_derivative_gradient) * s.derivative);
    store_parameter_gradient(1u, k, quad, z_gradient);
    return scaled;
}
