/// What a transform makes of four rows of a column, and the logarithm of its derivative there.
struct TransformResult {
    value: vec4<f32>,
    log_derivative: vec4<f32>,
}
