// z = x * exp(s) + t, the log-scale s bounded; parameter 0 is s, parameter 1 t. Twin: src/cpu/transform/affine.rs.

fn transform_forward(x: vec4<f32>, k: u32, quad: u32) -> Moved {
    let s = bounded(parameter(0u, k, quad), op.bound).value;
    return Moved(x * exp(s) + parameter(1u, k, quad), s);
}

fn transform_inverse(z: vec4<f32>, k: u32, quad: u32) -> vec4<f32> {
    let s = bounded(parameter(0u, k, quad), op.bound).value;
    return (z - parameter(1u, k, quad)) * exp(-s);
}

/// From the gradients of z and of the log-slope that of x, and those of the parameters, which are stored.
fn transform_backward(
    x: vec4<f32>,
    of_z: vec4<f32>,
    of_log_slope: vec4<f32>,
    k: u32,
    quad: u32,
) -> vec4<f32> {
    let s = bounded(parameter(0u, k, quad), op.bound);
    let scaled = of_z * exp(s.value);
    store_gradient(0u, k, quad, (scaled * x + of_log_slope) * s.slope);
    store_gradient(1u, k, quad, of_z);
    return scaled;
}
