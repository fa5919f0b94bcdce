struct Bounded {
    s: vec4<f32>,
    slope: vec4<f32>,
}

/// The bounded log-scale and its slope with respect to s. Twin: `bounded` in src/cpu/coupling.rs.
fn bounded(s: vec4<f32>, bound: f32) -> Bounded {
    if bound == 0.0 {
        return Bounded(s, vec4(1.0));
    }
    let t = tanh_(s / bound);
    return Bounded(bound * t, 1.0 - t * t);
}

/// The place of four rows of a column of a buffer.
fn at(column: u32, quad: u32) -> u32 {
    return column * (step.stride / 4u) + quad;
}

fn is_active(d: u32) -> bool {
    return d >= op.active_first && d < op.active_first + op.active_count;
}
