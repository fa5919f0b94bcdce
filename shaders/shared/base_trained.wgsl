// A base with trained location and spread. Twin: `place` in src/cpu/base.rs.
fn base_location(d: u32) -> f32 {
    return trained(op.location + d);
}

fn base_spread(d: u32) -> f32 {
    return softplus(trained(op.raw_spread + d));
}
