// input_gradient[d] += sum over the terms m with a factor in d of output_gradient[m] * d output[m] / d input[d]. One
// invocation takes one dimension of four rows. Twin: `backward` in src/cpu/basis.rs.

@group(1) @binding(3) var<storage, read> output_gradient: array<vec4<f32>>;
@group(1) @binding(4) var<storage, read_write> input_gradient: array<vec4<f32>>;

@compute @workgroup_size(GROUP)
fn basis_backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let quad = group.x * GROUP + lane;
    if 4u * quad >= step.rows {
        return;
    }
    let d = group.y;
    var sum = vec4<f32>();
    for (var entry = terms[op.dimensions + d]; entry < terms[op.dimensions + d + 1u]; entry++) {
        let m = terms[entry];
        let first = m * op.pitch;
        let factors = terms[first];
        var product = output_gradient[m * (step.stride / 4u) + quad];
        for (var k = 1u; k <= factors; k++) {
            let factor = terms[first + k];
            let u = input_at(factor >> 16u, quad);
            let p = polynomial(factor & 0xFFFFu, u.value);
            product *= select(p.value, p.slope * u.slope, factor >> 16u == d);
        }
        sum += product;
    }
    input_gradient[(op.input_first + d) * (step.stride / 4u) + quad] += sum;
}
