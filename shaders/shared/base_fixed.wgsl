// A base without parameters.
fn base_location(d: u32) -> f32 {
    return 0.0;
}

fn base_spread(d: u32) -> f32 {
    return 1.0;
}
