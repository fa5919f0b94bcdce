#import quad_index, triangular
// A triangular solve, from the last column (upper) or from the first (lower). One invocation takes four rows. CPU version:
// `inverse` in src/cpu/triangular.rs.

@group(1) @binding(2) var<storage, read> y: array<vec4<f32>>;
@group(1) @binding(3) var<storage, read_write> x: array<vec4<f32>>;

@compute @workgroup_size(GROUP)
fn triangular_inverse(@builtin(global_invocation_id) id: vec3<u32>) {
    let quad = id.x;
    if 4u * quad >= step.rows {
        return;
    }
    for (var k = 0u; k < op.dims; k++) {
        let i = select(k, op.dims - 1u - k, op.upper != 0u);
        var sum = y[quad_index(i, quad)];
        let first = select(0u, i + 1u, op.upper != 0u);
        let end = select(i, op.dims, op.upper != 0u);
        for (var j = first; j < end; j++) {
            sum -= triangular_weight(i, j) * x[quad_index(j, quad)];
        }
        x[quad_index(i, quad)] = sum * exp(-log_diagonal(i));
    }
}
