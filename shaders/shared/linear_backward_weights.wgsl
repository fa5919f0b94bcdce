// What both forms of linear_backward_weights share. Rows come in fours: `quad` counts four rows. Where the last four
// are not all there, the others repeat the last row and their gradients are zero, so that sums need no mask.

@group(1) @binding(0) var<uniform> op: Linear;
@group(1) @binding(1) var<storage, read> input: array<vec4<f32>>;
@group(1) @binding(2) var<storage, read> output_gradient: array<vec4<f32>>;
@group(1) @binding(3) var<storage, read_write> partials: array<f32>;

/// Four rows of input `i`; zero beyond the last input.
fn input_rows(i: u32, quad: u32) -> vec4<f32> {
    if i >= op.inputs {
        return vec4<f32>();
    }
    return input[(op.input_first + i) * (step.stride / 4u) + quad];
}

/// Four rows of the gradient of output `o`; zero beyond the last output.
fn gradient_rows(o: u32, quad: u32) -> vec4<f32> {
    if o >= op.outputs {
        return vec4<f32>();
    }
    return output_gradient[(op.output_first + o) * (step.stride / 4u) + quad];
}

fn store_weight(split: u32, o: u32, i: u32, sum: f32) {
    if o < op.outputs && i < op.inputs {
        partials[split * step.parameters + op.weight + o * op.by_output + i * op.by_input] = sum;
    }
}

fn store_bias(split: u32, o: u32, sum: f32) {
    if o < op.outputs && op.biased != 0u {
        partials[split * step.parameters + op.bias + o] = sum;
    }
}
