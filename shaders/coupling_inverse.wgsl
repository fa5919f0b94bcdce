// x_A = (z_A - t) * exp(-s), x_B = z_B. One invocation a row. Twin: `inverse` in src/cpu/coupling.rs.

@group(1) @binding(0) var<uniform> op: Coupling;
@group(1) @binding(1) var<storage, read> z: array<f32>;
@group(1) @binding(2) var<storage, read> log_scale: array<f32>;
@group(1) @binding(3) var<storage, read> shift: array<f32>;
@group(1) @binding(4) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(GROUP)
fn coupling_inverse(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = id.x;
    if row >= step.rows {
        return;
    }
    for (var d = 0u; d < op.dims; d++) {
        var value = z[d * step.stride + row];
        if is_active(d) {
            let k = d - op.active_first;
            value -= shift[(op.shift_first + k) * step.stride + row];
            if op.scaled != 0u {
                value *= exp(-bounded(log_scale[(op.scale_first + k) * step.stride + row], op.scale_bound).x);
            }
        }
        x[d * step.stride + row] = value;
    }
}
