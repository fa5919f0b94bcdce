/// The products of four rows and four weights, a column a weight.
fn outer(rows: vec4<f32>, weights: vec4<f32>) -> mat4x4<f32> {
    return mat4x4(rows * weights.x, rows * weights.y, rows * weights.z, rows * weights.w);
}
