// output[m] = product over the factors (d, n) of term m of p_n(u_d), with u the bounded input. One invocation takes one
// term of four rows. Twin: `forward` in src/cpu/basis.rs.

@group(1) @binding(3) var<storage, read_write> output: array<vec4<f32>>;

@compute @workgroup_size(GROUP)
fn basis_forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let quad = group.x * GROUP + lane;
    if 4u * quad >= step.rows {
        return;
    }
    let first = group.y * op.pitch;
    let factors = terms[first];
    var product = vec4(1.0);
    for (var k = 1u; k <= factors; k++) {
        let factor = terms[first + k];
        product *= polynomial(factor & 0xFFFFu, input_at(factor >> 16u, quad).value).value;
    }
    output[group.y * (step.stride / 4u) + quad] = product;
}
