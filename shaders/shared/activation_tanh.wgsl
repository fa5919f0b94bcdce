fn activate(pre: f32) -> f32 {
    return tanh_(pre);
}

fn slope(saved: f32) -> f32 {
    return 1.0 - saved * saved;
}
