#import numbers
struct Bounded {
    value: vec4<f32>,
    derivative: vec4<f32>,
}

/// bound * tanh(x / bound) and its derivative; a bound of 0 leaves x. CPU version: `bounded` in src/cpu/bounded.rs.
fn bounded(x: vec4<f32>, bound: f32) -> Bounded {
    if bound == 0.0 {
        return Bounded(x, vec4(1.0));
    }
    let t = tanh_(x / bound);
    return Bounded(bound * t, 1.0 - t * t);
}
