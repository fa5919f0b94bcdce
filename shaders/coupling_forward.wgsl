#import coupling, quad_index, <transform>
// Active columns are transformed (`shared/transform_*.wgsl`), the others copied; the log-determinant gains the sum of the
// log-derivatives. One invocation takes four rows. CPU version: `forward` in src/cpu/coupling.rs.

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
        z[quad_index(frozen(k), quad)] = x[quad_index(frozen(k), quad)];
    }
    var gain = vec4<f32>();
    for (var k = 0u; k < op.active_count; k++) {
        let index = quad_index(op.active_first + k, quad);
        let result = transform_forward(x[index], k, quad);
        z[index] = result.value;
        gain += result.log_derivative;
    }
    log_det[quad] += gain;
}
