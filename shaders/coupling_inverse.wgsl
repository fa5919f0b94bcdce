#import coupling, quad_index, <transform>
// The way back through a coupling (`shared/transform_*.wgsl`). One invocation takes four rows. CPU version: `inverse` in
// src/cpu/coupling.rs.

@group(1) @binding(0) var<uniform> op: Coupling;
@group(1) @binding(1) var<storage, read> z: array<vec4<f32>>;
@group(1) @binding(4) var<storage, read_write> x: array<vec4<f32>>;

@compute @workgroup_size(GROUP)
fn coupling_inverse(@builtin(global_invocation_id) id: vec3<u32>) {
    let quad = id.x;
    if 4u * quad >= step.rows {
        return;
    }
    for (var k = 0u; k < op.dims - op.active_count; k++) {
        x[quad_index(frozen(k), quad)] = z[quad_index(frozen(k), quad)];
    }
    for (var k = 0u; k < op.active_count; k++) {
        let index = quad_index(op.active_first + k, quad);
        x[index] = transform_inverse(z[index], k, quad);
    }
}
