#import <parameters>
// A linear map of the forward pass.

@group(1) @binding(0) var<uniform> op: Linear;

fn weight(o: u32, i: u32) -> f32 {
    return parameter(op.weight + o * op.by_output + i * op.by_input);
}
