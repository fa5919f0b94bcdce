// What both forms of linear_forward share. Rows come in fours: `quad` counts four rows, and so do indices into buffers.

@group(1) @binding(0) var<uniform> op: Linear;
@group(1) @binding(2) var<storage, read> input: array<vec4<f32>>;
@group(1) @binding(4) var<storage, read_write> output: array<vec4<f32>>;

fn weight(o: u32, i: u32) -> f32 {
    return trained(op.weight + o * op.by_output + i * op.by_input);
}

/// Bias and activation.
fn finish(sum: vec4<f32>, o: u32, quad: u32) {
    if o < op.outputs && 4u * quad < step.rows {
        var pre = sum;
        if op.biased != 0u {
            pre += trained(op.bias + o);
        }
        let index = at(op.output_first + o, quad);
        save(pre, index);
        output[index] = activate(pre);
    }
}
