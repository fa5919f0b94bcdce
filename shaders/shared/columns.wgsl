// Columns of rows in an invocation's variables, four or sixteen at a time; `Rows` is a matrix of four rows a column.

/// Four columns.
struct Columns {
    a: Rows,
    b: Rows,
    c: Rows,
    d: Rows,
}

/// Sixteen columns.
struct Block {
    a: Columns,
    b: Columns,
    c: Columns,
    d: Columns,
}

/// The columns, and the products of the rows and four weights.
fn with_outer(columns: Columns, rows: Rows, weights: vec4<f32>) -> Columns {
    return Columns(
        columns.a + rows * weights.x,
        columns.b + rows * weights.y,
        columns.c + rows * weights.z,
        columns.d + rows * weights.w,
    );
}

fn block_with_outer(block: Block, rows: Rows, weights: Sixteen) -> Block {
    return Block(
        with_outer(block.a, rows, weights.a),
        with_outer(block.b, rows, weights.b),
        with_outer(block.c, rows, weights.c),
        with_outer(block.d, rows, weights.d),
    );
}
