// Workgroup memory is fast: nothing is copied.

fn hold(column: u32, count: u32, quad: u32) {}

/// Four rows of the i-th of the columns held.
fn held_column(column: u32, i: u32, quad: u32) -> vec4<f32> {
    return tile[cell(column + i, quad)];
}
