#import quad_index, sum, triangular, <row_weights>
// The split's part of the parameters' gradients; what lies outside the triangle has none. A group takes one index of the
// matrix. CPU version: `backward_weights` in src/cpu/triangular.rs.

@group(1) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(1) @binding(3) var<storage, read> y_gradient: array<vec4<f32>>;
@group(1) @binding(4) var<storage, read_write> partials: array<f32>;

/// Whether the matrix has a number of its own in row i, column j.
fn is_inside(i: u32, j: u32) -> bool {
    if op.upper != 0u {
        return j > i;
    }
    return j < i;
}

@compute @workgroup_size(GROUP)
fn triangular_backward_weights(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let j = group.x;
    let i = group.y;
    let begin = group.z * step.rows_per_split;
    let end = min(begin + step.rows_per_split, step.rows);
    var own = 0.0;
    // Where the last four rows are not all there, the gradients of the others are zero.
    for (var row = begin + 4u * lane; row < end; row += 4u * GROUP) {
        own += dot(y_gradient[quad_index(i, row / 4u)], x[quad_index(j, row / 4u)]);
    }
    let sum = group_sum(lane, own);
    let weight = sum_of_row_weights(lane, begin, end);
    if lane != 0u {
        return;
    }
    let partial = group.z * step.parameters;
    partials[partial + op.matrix + i * op.dims + j] = select(0.0, sum, is_inside(i, j));
    if i == j && op.upper != 0u {
        // The log-determinant of a row of weight w has the gradient -w/N.
        let of_log_det = -weight * step.inv_batch_size;
        partials[partial + op.log_diagonal + i] = sum * exp(log_diagonal(i)) + of_log_det;
    }
}
