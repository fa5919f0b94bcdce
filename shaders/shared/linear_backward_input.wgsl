#import linear, quad_index, <input_gradient>
// What both forms of linear_backward_input share. Rows come in fours: `quad` counts four rows, and so do indices into
// buffers.

@group(1) @binding(2) var<storage, read> output_gradient: array<vec4<f32>>;
@group(1) @binding(3) var<storage, read> saved: array<vec4<f32>>;
@group(1) @binding(4) var<storage, read_write> input_gradient: array<vec4<f32>>;

fn finish_sum(sum: vec4<f32>, i: u32, quad: u32) {
    if i < op.inputs && 4u * quad < step.rows {
        let index = quad_index(op.input_first + i, quad);
        input_gradient[index] = combine_gradient(sum, index);
    }
}
