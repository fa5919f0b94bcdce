@group(1) @binding(4) var<storage, read_write> row_weights: array<f32>;

/// The weight of a row, whose index is that in the data's last column.
fn gather_weight(row: u32, index: u32) {
    row_weights[row] = data[op.dims * op.rows + index];
}
