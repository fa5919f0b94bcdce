#import linear_backward_input, <activation>
// The input is a hidden layer: on through its activation.
fn combine_gradient(sum: vec4<f32>, index: u32) -> vec4<f32> {
    return sum * derivative(saved[index]);
}
