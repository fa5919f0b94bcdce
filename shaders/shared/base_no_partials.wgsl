// A fixed base has no parameters.
fn store_base_partials(d: u32, partial: u32, by_location: f32, by_spread: f32) {}
