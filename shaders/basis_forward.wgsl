#import basis, quad_index
// output[m] = term m of the basis. One invocation takes one term of four rows. CPU version: `forward` in src/cpu/basis.rs.

@group(1) @binding(3) var<storage, read_write> output: array<vec4<f32>>;

@compute @workgroup_size(GROUP)
fn basis_forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let quad = group.x * GROUP + lane;
    if 4u * quad >= step.rows {
        return;
    }
    output[quad_index(group.y, quad)] = term(group.y, quad);
}
