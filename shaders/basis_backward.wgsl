#import basis_derivatives, quad_index
// input_gradient[d] += the gradients of the terms, along d. One invocation takes one dimension of four rows. CPU version: `backward` in
// src/cpu/basis.rs.

@group(1) @binding(3) var<storage, read> output_gradient: array<vec4<f32>>;
@group(1) @binding(4) var<storage, read_write> input_gradient: array<vec4<f32>>;

fn term_gradient(m: u32, quad: u32) -> vec4<f32> {
    return output_gradient[quad_index(m, quad)];
}

@compute @workgroup_size(GROUP)
fn basis_backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let quad = group.x * GROUP + lane;
    if 4u * quad >= step.rows {
        return;
    }
    input_gradient[quad_index(op.gradient_first + group.y, quad)] += gradient_along(group.y, quad);
}
