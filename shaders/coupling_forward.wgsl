// z_A = x_A * exp(s) + t, z_B = x_B; the log-determinant gains the sum of s. One invocation takes four rows.
// Twin: `forward` in src/cpu/coupling.rs.

@group(1) @binding(0) var<uniform> op: Coupling;
@group(1) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(1) @binding(2) var<storage, read> log_scale: array<vec4<f32>>;
@group(1) @binding(3) var<storage, read> shift: array<vec4<f32>>;
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
        var value = x[index];
        if op.scaled != 0u {
            let s = bounded(log_scale[at(op.scale_first + k, quad)], op.scale_bound).value;
            value *= exp(s);
            gain += s;
        }
        z[index] = value + shift[at(op.shift_first + k, quad)];
    }
    log_det[quad] += gain;
}
