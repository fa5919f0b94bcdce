#import numbers
// In its tanh form: x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3).

const BY_X = 1.5957691216057307;
const BY_X3 = 0.07135481627260025;

fn activate(pre: vec4<f32>) -> vec4<f32> {
    return pre * sigmoid(pre * (BY_X + BY_X3 * pre * pre));
}

fn derivative(saved: vec4<f32>) -> vec4<f32> {
    let s = sigmoid(saved * (BY_X + BY_X3 * saved * saved));
    // Further out s (1 - s) is 0, and a square might overflow.
    let near = clamp(saved, vec4(-30.0), vec4(30.0));
    return s + near * s * (1.0 - s) * (BY_X + 3.0 * BY_X3 * near * near);
}
