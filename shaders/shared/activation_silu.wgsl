#import numbers
fn activate(pre: vec4<f32>) -> vec4<f32> {
    return pre * sigmoid(pre);
}

fn derivative(saved: vec4<f32>) -> vec4<f32> {
    let s = sigmoid(saved);
    return s * (1.0 + saved * (1.0 - s));
}
