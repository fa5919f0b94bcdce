/// What a transform makes of four rows of a column, and the logarithm of its slope there.
struct Moved {
    value: vec4<f32>,
    log_slope: vec4<f32>,
}
