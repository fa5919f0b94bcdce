#import linear, quad_index, <activation>, <parameters>, <save>
// What both forms of linear_forward share. Rows come in fours: `quad` counts four rows, and so do indices into buffers.

@group(1) @binding(2) var<storage, read> input: array<vec4<f32>>;
@group(1) @binding(4) var<storage, read_write> output: array<vec4<f32>>;

/// Bias and activation.
fn finish_sum(sum: vec4<f32>, o: u32, quad: u32) {
    if o < op.outputs && 4u * quad < step.rows {
        var pre = sum;
        if op.biased != 0u {
            pre += parameter(op.bias + o);
        }
        let index = quad_index(op.output_first + o, quad);
        save_preactivation(pre, index);
        output[index] = activate(pre);
    }
}
