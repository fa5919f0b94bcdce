#import quad_index
// A basis whose inputs lie in a buffer, column after column.

@group(1) @binding(0) var<uniform> op: Basis;
@group(1) @binding(1) var<storage, read> terms: array<u32>;
@group(1) @binding(2) var<storage, read> input: array<vec4<f32>>;

fn basis_input(d: u32, quad: u32) -> vec4<f32> {
    return input[quad_index(op.input_first + d, quad)];
}
