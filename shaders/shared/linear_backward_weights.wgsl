// What both forms of linear_backward_weights share. Rows come in fours: `quad` counts four rows.

@group(1) @binding(0) var<uniform> op: Linear;
@group(1) @binding(1) var<storage, read> input: array<vec4<f32>>;
@group(1) @binding(2) var<storage, read> output_gradient: array<vec4<f32>>;
@group(1) @binding(3) var<storage, read_write> partials: array<f32>;

/// Drops what lies in the buffers beyond the last row, which need not be finite.
fn only_rows(values: vec4<f32>, quad: u32) -> vec4<f32> {
    let rows = vec4(4u * quad) + vec4(0u, 1u, 2u, 3u);
    return select(vec4<f32>(), values, rows < vec4(step.rows));
}

/// Four rows of input `i`; zero beyond the last input.
fn input_rows(i: u32, quad: u32) -> vec4<f32> {
    if i >= op.inputs {
        return vec4<f32>();
    }
    return only_rows(input[(op.input_first + i) * (step.stride / 4u) + quad], quad);
}

/// Four rows of the gradient of output `o`; zero beyond the last output.
fn gradient_rows(o: u32, quad: u32) -> vec4<f32> {
    if o >= op.outputs {
        return vec4<f32>();
    }
    return only_rows(output_gradient[(op.output_first + o) * (step.stride / 4u) + quad], quad);
}

fn store_weight(split: u32, o: u32, i: u32, sum: f32) {
    if o < op.outputs && i < op.inputs {
        partials[split * step.parameters + op.weight + o * op.inputs + i] = sum;
    }
}

fn store_bias(split: u32, o: u32, sum: f32) {
    if o < op.outputs {
        partials[split * step.parameters + op.bias + o] = sum;
    }
}
