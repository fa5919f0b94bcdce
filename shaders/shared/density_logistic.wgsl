#import normal, numbers
// The logistic distribution; the spread is its scale. CPU version: `Density::Logistic` in src/cpu/base.rs.

fn log_density(z: vec4<f32>, location: f32, spread: f32) -> vec4<f32> {
    // exp(-u) / (1 + exp(-u))^2 is even in u; from its lighter side nothing overflows.
    let u = abs((z - location) / spread);
    return -u - 2.0 * log(1.0 + exp(-u)) - log(spread);
}

/// The derivatives of the log-density by z and by the spread.
fn scores(z: f32, location: f32, spread: f32) -> vec2<f32> {
    let inverse = 1.0 / spread;
    let u = (z - location) * inverse;
    let t = tanh_(vec4(0.5 * u)).x;
    return vec2(-t * inverse, (u * t - 1.0) * inverse);
}

fn draw(word: u32, location: f32, spread: f32) -> f32 {
    return location + spread * standard_logistic(word);
}
