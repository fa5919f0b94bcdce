/// Sixteen rows of a column.
alias Rows = mat4x4<f32>;

fn rows_of(column: u32) -> Rows {
    return Rows(tile[cell(column, 0u)], tile[cell(column, 1u)], tile[cell(column, 2u)], tile[cell(column, 3u)]);
}

fn store_rows(column: u32, rows: Rows) {
    tile[cell(column, 0u)] = rows[0];
    tile[cell(column, 1u)] = rows[1];
    tile[cell(column, 2u)] = rows[2];
    tile[cell(column, 3u)] = rows[3];
}

fn same_rows(number: f32) -> Rows {
    return Rows(vec4(number), vec4(number), vec4(number), vec4(number));
}

fn times(a: Rows, b: Rows) -> Rows {
    return Rows(a[0] * b[0], a[1] * b[1], a[2] * b[2], a[3] * b[3]);
}

fn sum_of_rows(rows: Rows) -> f32 {
    let sums = rows[0] + rows[1] + rows[2] + rows[3];
    return sums.x + sums.y + sums.z + sums.w;
}

fn activated_rows(pre: Rows) -> Rows {
    return Rows(activate(pre[0]), activate(pre[1]), activate(pre[2]), activate(pre[3]));
}

fn slopes_of(saved: Rows) -> Rows {
    return Rows(slope(saved[0]), slope(saved[1]), slope(saved[2]), slope(saved[3]));
}
