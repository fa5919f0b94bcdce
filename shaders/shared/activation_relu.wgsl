fn activate(pre: f32) -> f32 {
    return max(pre, 0.0);
}

fn slope(saved: f32) -> f32 {
    return select(0.0, 1.0, saved > 0.0);
}
