fn activate(pre: f32) -> f32 {
    return pre * sigmoid(pre);
}

fn slope(saved: f32) -> f32 {
    let s = sigmoid(saved);
    return s * (1.0 + saved * (1.0 - s));
}
