// Functions that WGSL has too coarse, or not at all.

/// `result`, but NaN where `value` is: minima and maxima turn a NaN into a number, and a fault must show. By the bits,
/// since NaN may be assumed absent from floats.
fn keep_nan(value: vec4<f32>, result: vec4<f32>) -> vec4<f32> {
    let is_nan = (bitcast<vec4<u32>>(value) & vec4(0x7fffffffu)) > vec4(0x7f800000u);
    return select(result, value, is_nan);
}

/// The hyperbolic tangent as a rational function, degrees 13 and 6, off by at most 4e-7; WGSL's own may be off by
/// 1e-5. Twin: `Real::tanh_` for f32 in src/cpu/real.rs.
fn tanh_(value: vec4<f32>) -> vec4<f32> {
    let x = clamp(value, vec4(-7.905311), vec4(7.905311));
    let x2 = x * x;
    var p = vec4(-2.7607685e-16);
    p = p * x2 + 2.000188e-13;
    p = p * x2 + -8.604672e-11;
    p = p * x2 + 5.122297e-8;
    p = p * x2 + 1.4857224e-5;
    p = p * x2 + 6.372619e-4;
    p = p * x2 + 4.8935246e-3;
    var q = vec4(1.1982584e-6);
    q = q * x2 + 1.1853471e-4;
    q = q * x2 + 2.2684346e-3;
    q = q * x2 + 4.893525e-3;
    return keep_nan(value, x * p / q);
}

/// 1 / (1 + exp(-x)).
fn sigmoid(x: vec4<f32>) -> vec4<f32> {
    // The exponent stays below what overflows: 88.
    return keep_nan(x, 1.0 / (1.0 + exp(min(-x, vec4(80.0)))));
}

/// log(1 + exp(x)). The logarithm near 1 is 2 artanh(y / (2 + y)) as a series, because WGSL's `log` may be off by
/// 5e-7 there, which is all of a small variance.
fn softplus(x: f32) -> f32 {
    let y = exp(-abs(x));
    let s = y / (2.0 + y);
    let s2 = s * s;
    var series = 1.0 / 15.0;
    series = series * s2 + 1.0 / 13.0;
    series = series * s2 + 1.0 / 11.0;
    series = series * s2 + 1.0 / 9.0;
    series = series * s2 + 1.0 / 7.0;
    series = series * s2 + 1.0 / 5.0;
    series = series * s2 + 1.0 / 3.0;
    series = series * s2 + 1.0;
    return max(x, 0.0) + 2.0 * s * series;
}
