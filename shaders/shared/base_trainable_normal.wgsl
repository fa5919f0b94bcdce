// N(mean, diag(softplus(raw_variance))). Twin: `Base::TrainableNormal` in src/cpu/base.rs.
fn base_mean(d: u32) -> f32 {
    return parameters[op.mean + d];
}

fn base_variance(d: u32) -> f32 {
    return softplus(parameters[op.raw_variance + d]);
}
