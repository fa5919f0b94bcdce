/// The bounded log-scale and its slope with respect to s. Twin: `bounded` in src/cpu/coupling.rs.
fn bounded(s: f32, bound: f32) -> vec2<f32> {
    if bound == 0.0 {
        return vec2(s, 1.0);
    }
    let t = tanh_(s / bound);
    return vec2(bound * t, 1.0 - t * t);
}

fn is_active(d: u32) -> bool {
    return d >= op.active_first && d < op.active_first + op.active_count;
}
