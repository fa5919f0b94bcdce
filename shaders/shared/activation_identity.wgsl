fn activate(pre: f32) -> f32 {
    return pre;
}
