// Active columns are transformed (`shared/transform_*.wgsl`), the others copied; the log-determinant gains the sum of the
// log-slopes. One invocation takes four rows. Twin: `forward` in src/cpu/coupling.rs.

@group(1) @binding(0) var<uniform> op: Coupling;
@group(1) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(1) @binding(4) var<storage, read_write> z: array<vec4<f32>>;
@group(1) @binding(5) var<storage, read_write> log_det: array<vec4<f32>>;

@compute @workgroup_size(GROUP)
fn coupling_forward(@builtin(global_invocation_id) id: vec3<u32>) {
    let quad = id.x;
    if 4u * quad >= step.rows {
        return;
    }
    for (var k = 0u; k < op.dims - op.active_count; k++) {
        z[at(frozen(k), quad)] = x[at(frozen(k), quad)];
    }
    var gain = vec4<f32>();
    for (var k = 0u; k < op.active_count; k++) {
        let index = at(op.active_first + k, quad);
        let moved = transform_forward(x[index], k, quad);
        z[index] = moved.value;
        gain += moved.log_slope;
    }
    log_det[quad] += gain;
}
