// The input is a flow state, which has other users: gradients add up.
fn finished(sum: f32, index: u32) -> f32 {
    return input_gradient[index] + sum;
}
