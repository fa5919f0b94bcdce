#import numbers, transform_result, <head_gradients>, <heads>
// A rational-quadratic spline with `op.bins` bins on [-op.bound, op.bound], and the identity outside (Durkan et al. 2019,
// "Neural spline flows", eq. 4 to 8 and appendix A.1). The parameters are numbers for the widths, for the heights, and for
// the derivatives at the inner knots. The input is clamped before the maths, and the tail chosen after. CPU version:
// src/cpu/transform/spline/mod.rs.

/// What the softmax of the widths or the heights needs beside the numbers themselves.
struct Sides {
    /// The number of the first parameter.
    first: u32,
    largest: vec4<f32>,
    /// 1 / the sum of the exponentials.
    inverse: vec4<f32>,
}

/// The bin that a number is in.
struct Bin {
    index: vec4<f32>,
    /// Where it begins, in x and in z.
    x: vec4<f32>,
    z: vec4<f32>,
    width: vec4<f32>,
    height: vec4<f32>,
    /// What the derivatives at its ends are made of.
    raw0: vec4<f32>,
    raw1: vec4<f32>,
}

/// The curve in a bin, by the index t in it, from 0 to 1.
struct Curve {
    t: vec4<f32>,
    /// t (1 - t).
    u: vec4<f32>,
    /// Height by width.
    s: vec4<f32>,
    d0: vec4<f32>,
    d1: vec4<f32>,
    /// d0 + d1 - 2 s.
    bend: vec4<f32>,
    /// z = z0 + height * ratio.
    ratio: vec4<f32>,
    denominator: vec4<f32>,
    /// dz/dx = s^2 * rise / denominator^2.
    rise: vec4<f32>,
}

fn sides(first: u32, k: u32, quad: u32) -> Sides {
    var largest = transform_parameter(first, k, quad);
    for (var i = 1u; i < op.bins; i++) {
        largest = max(largest, transform_parameter(first + i, k, quad));
    }
    var sum = vec4<f32>();
    for (var i = 0u; i < op.bins; i++) {
        sum += exp(transform_parameter(first + i, k, quad) - largest);
    }
    return Sides(first, largest, 1.0 / sum);
}

fn fraction_of(sides: Sides, i: u32, k: u32, quad: u32) -> vec4<f32> {
    return exp(transform_parameter(sides.first + i, k, quad) - sides.largest) * sides.inverse;
}

/// How long a fraction of 1 is.
fn span() -> f32 {
    return 2.0 * op.bound * (1.0 - SPLINE_MINIMUM * f32(op.bins));
}

fn length_of(sides: Sides, i: u32, k: u32, quad: u32) -> vec4<f32> {
    return fraction_of(sides, i, k, quad) * span() + 2.0 * op.bound * SPLINE_MINIMUM;
}

/// What the derivative at a knot is made of; that at the bounds, which is 1, of 0.
fn raw_derivative(knot: u32, k: u32, quad: u32) -> vec4<f32> {
    if knot == 0u || knot == op.bins {
        return vec4<f32>();
    }
    return transform_parameter(2u * op.bins + knot - 1u, k, quad);
}

/// The bin of a number between the bounds, x or, where `by_height` says so, z.
fn bin_of(value: vec4<f32>, by_height: bool, widths: Sides, heights: Sides, k: u32, quad: u32) -> Bin {
    var x = vec4(-op.bound);
    var z = vec4(-op.bound);
    var width = length_of(widths, 0u, k, quad);
    var height = length_of(heights, 0u, k, quad);
    var raw = raw_derivative(1u, k, quad);
    var bin = Bin(vec4<f32>(), x, z, width, height, vec4<f32>(), raw);
    for (var i = 1u; i < op.bins; i++) {
        x += width;
        z += height;
        width = length_of(widths, i, k, quad);
        height = length_of(heights, i, k, quad);
        let next = raw_derivative(i + 1u, k, quad);
        let is_here = value > select(x, z, by_height);
        bin.index = select(bin.index, vec4(f32(i)), is_here);
        bin.x = select(bin.x, x, is_here);
        bin.z = select(bin.z, z, is_here);
        bin.width = select(bin.width, width, is_here);
        bin.height = select(bin.height, height, is_here);
        bin.raw0 = select(bin.raw0, raw, is_here);
        bin.raw1 = select(bin.raw1, next, is_here);
        raw = next;
    }
    return bin;
}

/// The derivative that is made of a number.
fn derivative_of(raw: vec4<f32>) -> vec4<f32> {
    let shifted = raw + SPLINE_DERIVATIVE_OFFSET;
    return SPLINE_MINIMUM + max(shifted, vec4<f32>()) + log1p_(exp(-abs(shifted)));
}

fn curve_of(bin: Bin, clamped: vec4<f32>) -> Curve {
    let t = keep_nan(clamped, clamp((clamped - bin.x) / bin.width, vec4<f32>(), vec4(1.0)));
    let d0 = derivative_of(bin.raw0);
    let d1 = derivative_of(bin.raw1);
    let s = bin.height / bin.width;
    let u = t * (1.0 - t);
    let bend = d0 + d1 - 2.0 * s;
    let denominator = s + bend * u;
    let ratio = (s * t * t + d0 * u) / denominator;
    let rise = d1 * t * t + 2.0 * s * u + d0 * (1.0 - t) * (1.0 - t);
    return Curve(t, u, s, d0, d1, bend, ratio, denominator, rise);
}

fn clamped_to_bound(value: vec4<f32>) -> vec4<f32> {
    return keep_nan(value, clamp(value, vec4(-op.bound), vec4(op.bound)));
}

fn is_outside(value: vec4<f32>) -> vec4<bool> {
    return abs(value) > vec4(op.bound);
}

fn transform_forward(x: vec4<f32>, k: u32, quad: u32) -> TransformResult {
    let widths = sides(0u, k, quad);
    let heights = sides(op.bins, k, quad);
    let clamped = clamped_to_bound(x);
    let bin = bin_of(clamped, false, widths, heights, k, quad);
    let curve = curve_of(bin, clamped);
    let z = bin.z + bin.height * curve.ratio;
    let root = curve.s / curve.denominator;
    let log_derivative = log_(root * root * curve.rise);
    let outside = is_outside(x);
    return TransformResult(select(z, x, outside), select(log_derivative, vec4<f32>(), outside));
}

fn transform_inverse(z: vec4<f32>, k: u32, quad: u32) -> vec4<f32> {
    let widths = sides(0u, k, quad);
    let heights = sides(op.bins, k, quad);
    let clamped = clamped_to_bound(z);
    let bin = bin_of(clamped, true, widths, heights, k, quad);
    // The root of a t^2 + b t + c that lies in the bin (appendix A.1, eq. 29).
    let d0 = derivative_of(bin.raw0);
    let d1 = derivative_of(bin.raw1);
    let s = bin.height / bin.width;
    let rise = clamped - bin.z;
    let bent = rise * (d0 + d1 - 2.0 * s);
    let a = bin.height * (s - d0) + bent;
    let b = bin.height * d0 - bent;
    let c = -s * rise;
    let root = sqrt(max(b * b - 4.0 * a * c, vec4<f32>()));
    let t = keep_nan(clamped, clamp(2.0 * c / (-b - root), vec4<f32>(), vec4(1.0)));
    return select(bin.x + bin.width * t, z, is_outside(z));
}

/// `before` where the bin comes after bin `i`, `here` where it is bin `i`, else 0.
fn at_bin(bin: Bin, i: u32, before: vec4<f32>, here: vec4<f32>) -> vec4<f32> {
    let number = vec4(f32(i));
    return select(select(here, vec4<f32>(), number > bin.index), before, bin.index > number);
}

/// The gradients of the widths' or the heights' numbers. The bin's beginning is the sum of all sides before it: those in
/// front have its gradient, the bin its own.
fn store_sides(sides: Sides, bin: Bin, of_beginning: vec4<f32>, of_side: vec4<f32>, k: u32, quad: u32) {
    var mean = vec4<f32>();
    for (var i = 0u; i < op.bins; i++) {
        mean += fraction_of(sides, i, k, quad) * at_bin(bin, i, of_beginning, of_side);
    }
    for (var i = 0u; i < op.bins; i++) {
        let of_length = at_bin(bin, i, of_beginning, of_side);
        let gradient = span() * fraction_of(sides, i, k, quad) * (of_length - mean);
        store_parameter_gradient(sides.first + i, k, quad, gradient);
    }
}

/// From the gradients of z and of the log-derivative that of x, and those of the parameters, which are stored.
fn transform_backward(x: vec4<f32>, z_gradient: vec4<f32>, log_derivative_gradient: vec4<f32>, k: u32, quad: u32) -> vec4<f32> {
    let widths = sides(0u, k, quad);
    let heights = sides(op.bins, k, quad);
    let clamped = clamped_to_bound(x);
    let bin = bin_of(clamped, false, widths, heights, k, quad);
    let curve = curve_of(bin, clamped);
    // In the tails nothing depends on the parameters.
    let outside = is_outside(x);
    let gz = select(z_gradient, vec4<f32>(), outside);
    let gl = select(log_derivative_gradient, vec4<f32>(), outside);

    let t = curve.t;
    let u = curve.u;
    let s = curve.s;
    let rest = 1.0 - t;
    let tilt = rest - t;
    // z by the numerator, and both by the denominator.
    let per = gz * bin.height / curve.denominator;
    let per_denominator = -per * curve.ratio - 2.0 * gl / curve.denominator;
    let per_rise = gl / curve.rise;
    let by_t = per * (2.0 * s * t + curve.d0 * tilt)
        + per_denominator * curve.bend * tilt
        + per_rise * 2.0 * (curve.d1 * t + s * tilt - curve.d0 * rest);
    let by_s = per * t * t
        + per_denominator * (1.0 - 2.0 * u)
        + per_rise * 2.0 * u
        + 2.0 * gl / s;
    let by_d0 = per * u + per_denominator * u + per_rise * rest * rest;
    let by_d1 = per_denominator * u + per_rise * t * t;
    // t = (x - x0) / width, s = height / width.
    let by_x = by_t / bin.width;
    let by_width = -(by_s * s + by_t * t) / bin.width;
    let by_height = gz * curve.ratio + by_s / bin.width;

    store_sides(widths, bin, -by_x, by_width, k, quad);
    store_sides(heights, bin, gz, by_height, k, quad);
    let by_raw0 = by_d0 * sigmoid(bin.raw0 + SPLINE_DERIVATIVE_OFFSET);
    let by_raw1 = by_d1 * sigmoid(bin.raw1 + SPLINE_DERIVATIVE_OFFSET);
    for (var i = 1u; i < op.bins; i++) {
        // The knot between bins i - 1 and i: the end of the one, the beginning of the other.
        let as_beginning = at_bin(bin, i, vec4<f32>(), by_raw0);
        let as_end = at_bin(bin, i - 1u, vec4<f32>(), by_raw1);
        store_parameter_gradient(2u * op.bins + i - 1u, k, quad, as_beginning + as_end);
    }
    return select(by_x, z_gradient, outside);
}
