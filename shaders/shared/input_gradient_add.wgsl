#import linear_backward_input
// The input has earlier users in the backward pass: gradients add up.
fn combine_gradient(sum: vec4<f32>, index: u32) -> vec4<f32> {
    return input_gradient[index] + sum;
}
