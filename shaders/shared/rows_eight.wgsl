/// Eight rows of a column.
alias Rows = mat2x4<f32>;

fn rows_of(column: u32) -> Rows {
    return Rows(tile[cell(column, 0u)], tile[cell(column, 1u)]);
}

fn store_rows(column: u32, rows: Rows) {
    tile[cell(column, 0u)] = rows[0];
    tile[cell(column, 1u)] = rows[1];
}

fn same_rows(number: f32) -> Rows {
    return Rows(vec4(number), vec4(number));
}

fn times(a: Rows, b: Rows) -> Rows {
    return Rows(a[0] * b[0], a[1] * b[1]);
}

fn sum_of_rows(rows: Rows) -> f32 {
    let sums = rows[0] + rows[1];
    return sums.x + sums.y + sums.z + sums.w;
}

fn activated_rows(pre: Rows) -> Rows {
    return Rows(activate(pre[0]), activate(pre[1]));
}

fn slopes_of(saved: Rows) -> Rows {
    return Rows(slope(saved[0]), slope(saved[1]));
}
