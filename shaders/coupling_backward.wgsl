// From the gradient of z, and of the log-determinant (-1/N in each row), the gradients of x, s and t; those of s and t
// are stored by `shared/heads_*.wgsl`. One invocation a row. Twin: `backward` in src/cpu/coupling.rs.

@group(1) @binding(0) var<uniform> op: Coupling;
@group(1) @binding(1) var<storage, read> x: array<f32>;
@group(1) @binding(2) var<storage, read> log_scale: array<f32>;
@group(1) @binding(3) var<storage, read> z_gradient: array<f32>;
@group(1) @binding(4) var<storage, read_write> x_gradient: array<f32>;

@compute @workgroup_size(GROUP)
fn coupling_backward(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = id.x;
    if row >= step.rows {
        return;
    }
    for (var d = 0u; d < op.dims; d++) {
        let index = d * step.stride + row;
        var gradient = z_gradient[index];
        if is_active(d) {
            let k = d - op.active_first;
            store_shift_gradient((op.shift_first + k) * step.stride + row, gradient);
            if op.scaled != 0u {
                let at = (op.scale_first + k) * step.stride + row;
                let s = bounded(log_scale[at], op.scale_bound);
                gradient *= exp(s.x);
                store_scale_gradient(at, (gradient * x[index] - step.share) * s.y);
            }
        }
        x_gradient[index] = gradient;
    }
}
