// z_A = x_A * exp(s) + t, z_B = x_B; the log-determinant gains the sum of s. One invocation takes four rows. Twin: `forward` in
// src/cpu/coupling.rs.

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
    var gain = vec4<f32>();
    for (var d = 0u; d < op.dims; d++) {
        var value = x[at(d, quad)];
        if is_active(d) {
            let k = d - op.active_first;
            if op.scaled != 0u {
                let s = bounded(log_scale[at(op.scale_first + k, quad)], op.scale_bound).value;
                value *= exp(s);
                gain += s;
            }
            value += shift[at(op.shift_first + k, quad)];
        }
        z[at(d, quad)] = value;
    }
    log_det[quad] += gain;
}
