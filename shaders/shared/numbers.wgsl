// Functions that WGSL has too coarse, or not at all.

/// `result`, but NaN where `value` is: minima and maxima turn a NaN into a number, and a fault must show. By the bits,
/// since NaN may be assumed absent from floats.
fn keep_nan(value: vec4<f32>, result: vec4<f32>) -> vec4<f32> {
    let is_nan = (bitcast<vec4<u32>>(value) & vec4(0x7fffffffu)) > vec4(0x7f800000u);
    return select(result, value, is_nan);
}

/// The hyperbolic tangent as a rational function, degrees 13 and 6, off by at most 4e-7; WGSL's own may be off by
/// 1e-5. CPU version: `Real::tanh_` for f32 in src/cpu/arithmetic/single.rs.
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

/// The natural logarithm of positive numbers: the exponent, and a polynomial for the rest; WGSL's own may be off by 5e-7
/// near 1. NaN for what has no logarithm. CPU version: `ln_` for f32 in src/cpu/arithmetic/single.rs.
fn log_(x: vec4<f32>) -> vec4<f32> {
    let bits = bitcast<vec4<u32>>(x);
    let half = bitcast<vec4<f32>>((bits & vec4(0x007fffffu)) | vec4(0x3f000000u));
    let low = half < vec4(0.70710678);
    let exponent = vec4<f32>(bits >> vec4(23u)) - select(vec4(126.0), vec4(127.0), low);
    let y = select(half, half + half, low) - 1.0;
    let y2 = y * y;
    var p = vec4(7.0376836e-2);
    p = p * y + -1.151461e-1;
    p = p * y + 1.1676999e-1;
    p = p * y + -1.2420141e-1;
    p = p * y + 1.4249323e-1;
    p = p * y + -1.6668058e-1;
    p = p * y + 2.0000715e-1;
    p = p * y + -2.4999994e-1;
    p = p * y + 3.333333e-1;
    let tail = p * y * y2 + exponent * -2.1219444e-4 + y2 * -0.5;
    let result = y + tail + exponent * 0.69335938;
    // Not a positive number: by the bits, since NaN may be assumed absent.
    let is_positive = (bits - vec4(1u)) < vec4(0x7f7fffffu);
    let nan = bitcast<vec4<f32>>(vec4(0x7fc00000u) | (bits & vec4(0u)));
    return select(nan, result, is_positive);
}

/// log(1 + x) for x from 0 to 1: 2 artanh(x / (2 + x)) as a series, because WGSL's `log` may be off by 5e-7 near 1, which is
/// all of a small variance. CPU version: `ln_1p_` for f32 in src/cpu/arithmetic/single.rs.
fn log1p_(x: vec4<f32>) -> vec4<f32> {
    let s = x / (2.0 + x);
    let s2 = s * s;
    var series = vec4(1.0 / 15.0);
    series = series * s2 + 1.0 / 13.0;
    series = series * s2 + 1.0 / 11.0;
    series = series * s2 + 1.0 / 9.0;
    series = series * s2 + 1.0 / 7.0;
    series = series * s2 + 1.0 / 5.0;
    series = series * s2 + 1.0 / 3.0;
    series = series * s2 + 1.0;
    return 2.0 * s * series;
}

/// log(1 + exp(x)).
fn softplus(x: f32) -> f32 {
    return max(x, 0.0) + log1p_(vec4(exp(-abs(x)))).x;
}
