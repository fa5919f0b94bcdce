fn activate(pre: vec4<f32>) -> vec4<f32> {
    return pre;
}

fn derivative(saved: vec4<f32>) -> vec4<f32> {
    return vec4(1.0);
}
