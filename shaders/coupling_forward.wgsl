// z_A = x_A * exp(s) + t, z_B = x_B; the log-determinant gains the sum of s. One invocation a row. Twin: `forward` in
// src/cpu/coupling.rs.

@group(1) @binding(0) var<uniform> op: Coupling;
@group(1) @binding(1) var<storage, read> x: array<f32>;
@group(1) @binding(2) var<storage, read> log_scale: array<f32>;
@group(1) @binding(3) var<storage, read> shift: array<f32>;
@group(1) @binding(4) var<storage, read_write> z: array<f32>;
@group(1) @binding(5) var<storage, read_write> log_det: array<f32>;

@compute @workgroup_size(GROUP)
fn coupling_forward(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = id.x;
    if row >= step.rows {
        return;
    }
    var gain = 0.0;
    for (var d = 0u; d < op.dims; d++) {
        var value = x[d * step.stride + row];
        if is_active(d) {
            let k = d - op.active_first;
            if op.scaled != 0u {
                let s = bounded(log_scale[(op.scale_first + k) * step.stride + row], op.scale_bound).x;
                value *= exp(s);
                gain += s;
            }
            value += shift[(op.shift_first + k) * step.stride + row];
        }
        z[d * step.stride + row] = value;
    }
    log_det[row] += gain;
}
