// A triangular map: upper, with exp(log_diagonal) on the diagonal, or lower, with ones. Rows come in fours.

@group(1) @binding(0) var<uniform> op: Triangular;
@group(1) @binding(1) var<storage, read> parameters: array<f32>;

fn triangular_weight(i: u32, j: u32) -> f32 {
    return parameters[op.matrix + i * op.dims + j];
}

/// The logarithm of the number on the diagonal.
fn log_diagonal(i: u32) -> f32 {
    if op.upper == 0u {
        return 0.0;
    }
    return parameters[op.log_diagonal + i];
}
