#import normal
// N(location, spread): the spread is the variance. CPU version: `Density::Normal` in src/cpu/base.rs.
const TAU = 6.2831855;

fn log_density(z: vec4<f32>, location: f32, spread: f32) -> vec4<f32> {
    let offset = z - location;
    return -0.5 * log(TAU * spread) - 0.5 / spread * offset * offset;
}

/// The derivatives of the log-density by z and by the spread.
fn scores(z: f32, location: f32, spread: f32) -> vec2<f32> {
    let inverse = 1.0 / spread;
    let scaled = (z - location) * inverse;
    return vec2(-scaled, 0.5 * (scaled * scaled - inverse));
}

fn draw(word: u32, location: f32, spread: f32) -> f32 {
    return location + sqrt(spread) * standard_normal(word);
}
