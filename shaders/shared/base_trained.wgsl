#import numbers, <parameters>
// A base with trained location and spread. CPU version: `index` in src/cpu/base.rs.
fn base_location(d: u32) -> f32 {
    return parameter(op.location + d);
}

fn base_spread(d: u32) -> f32 {
    return softplus(parameter(op.raw_spread + d));
}
