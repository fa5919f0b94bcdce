#import quad_index, triangular
// Upper: y_i = exp(d_i) x_i + sum_{j > i} m_ij x_j, and the log-determinant gains the sum of d. Lower:
// y_i = x_i + sum_{j < i} m_ij x_j. One invocation makes four rows of a column. CPU version: `forward` in src/cpu/triangular.rs.

@group(1) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(1) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
@group(1) @binding(4) var<storage, read_write> log_det: array<vec4<f32>>;

@compute @workgroup_size(GROUP)
fn triangular_forward(@builtin(global_invocation_id) id: vec3<u32>) {
    let quad = id.x;
    let i = id.y;
    if 4u * quad >= step.rows {
        return;
    }
    var sum = exp(log_diagonal(i)) * x[quad_index(i, quad)];
    let first = select(0u, i + 1u, op.upper != 0u);
    let end = select(i, op.dims, op.upper != 0u);
    for (var j = first; j < end; j++) {
        sum += triangular_weight(i, j) * x[quad_index(j, quad)];
    }
    y[quad_index(i, quad)] = sum;
    if i == 0u && op.upper != 0u {
        var gain = 0.0;
        for (var j = 0u; j < op.dims; j++) {
            gain += log_diagonal(j);
        }
        log_det[quad] += gain;
    }
}
