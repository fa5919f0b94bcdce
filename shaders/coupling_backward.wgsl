#import coupling, quad_index, <row_weights>, <transform>
// From the gradient of z, and of the log-determinant (-w/N in a row of weight w), the gradients of x and of the heads; the latter
// are stored by `shared/head_gradients_*.wgsl`. One invocation takes four rows. CPU version: `backward` in src/cpu/coupling.rs.

@group(1) @binding(0) var<uniform> op: Coupling;
@group(1) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(1) @binding(4) var<storage, read> z_gradient: array<vec4<f32>>;
@group(1) @binding(5) var<storage, read_write> x_gradient: array<vec4<f32>>;

@compute @workgroup_size(GROUP)
fn coupling_backward(@builtin(global_invocation_id) id: vec3<u32>) {
    let quad = id.x;
    if 4u * quad >= step.rows {
        return;
    }
    for (var k = 0u; k < op.dims - op.active_count; k++) {
        x_gradient[quad_index(frozen(k), quad)] = z_gradient[quad_index(frozen(k), quad)];
    }
    // The rows that fill up the last four count for nothing.
    let rows = vec4(4u * quad) + vec4(0u, 1u, 2u, 3u);
    let weight = select(vec4<f32>(), step.inv_batch_size * four_row_weights(quad), rows < vec4(step.rows));
    for (var k = 0u; k < op.active_count; k++) {
        let index = quad_index(op.active_first + k, quad);
        x_gradient[index] = transform_backward(x[index], z_gradient[index], -weight, k, quad);
    }
}
