#import quad_index, triangular
// The gradient of x, written, from that of y: the transposed product. One invocation makes four rows of a column. CPU version:
// `backward_input` in src/cpu/triangular.rs.

@group(1) @binding(2) var<storage, read> y_gradient: array<vec4<f32>>;
@group(1) @binding(3) var<storage, read_write> x_gradient: array<vec4<f32>>;

@compute @workgroup_size(GROUP)
fn triangular_backward_input(@builtin(global_invocation_id) id: vec3<u32>) {
    let quad = id.x;
    let j = id.y;
    if 4u * quad >= step.rows {
        return;
    }
    var sum = exp(log_diagonal(j)) * y_gradient[quad_index(j, quad)];
    let first = select(j + 1u, 0u, op.upper != 0u);
    let end = select(op.dims, j, op.upper != 0u);
    for (var i = first; i < end; i++) {
        sum += triangular_weight(i, j) * y_gradient[quad_index(i, quad)];
    }
    x_gradient[quad_index(j, quad)] = sum;
}
