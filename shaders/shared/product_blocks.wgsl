// sums[n][row] = sum_k weight_or_zero(n, k) * rows_or_zero(k)[row], sixteen n by sixteen rows an invocation, straight from the
// buffers: for software adapters, which read workgroup memory no faster, and what is in variables at no cost. The kernel that
// composes this file has both functions; they give zero beyond the edge, so that the sums need no mask.

/// The invocations of a group have neighbouring rows: an invocation's fours of them are ACROSS apart.
const ACROSS = BLOCK_ROWS / 16u;
const DOWN = 1u;

alias Rows = mat4x4<f32>;

fn product(count: u32, group: vec3<u32>, local: vec3<u32>) -> Block {
    let quad = 4u * ACROSS * group.x + local.x;
    let n = BLOCK * group.y;
    var sums = Block();
    for (var k = 0u; k < count; k++) {
        let rows = Rows(
            rows_or_zero(k, quad),
            rows_or_zero(k, quad + ACROSS),
            rows_or_zero(k, quad + 2u * ACROSS),
            rows_or_zero(k, quad + 3u * ACROSS),
        );
        sums = block_with_outer(sums, rows, Sixteen(
            four_weights(n, k),
            four_weights(n + 4u, k),
            four_weights(n + 8u, k),
            four_weights(n + 12u, k),
        ));
    }
    return sums;
}

fn finish_rows(rows: Rows, n: u32, quad: u32) {
    finish(rows[0], n, quad);
    finish(rows[1], n, quad + ACROSS);
    finish(rows[2], n, quad + 2u * ACROSS);
    finish(rows[3], n, quad + 3u * ACROSS);
}

fn finish_tile(sums: Block, group: vec3<u32>, local: vec3<u32>) {
    let quad = 4u * ACROSS * group.x + local.x;
    // Four n at a time, so that what finishes them is compiled once.
    for (var k = 0u; k < 4u; k++) {
        var four = sums.a;
        if k == 1u {
            four = sums.b;
        }
        if k == 2u {
            four = sums.c;
        }
        if k == 3u {
            four = sums.d;
        }
        let n = BLOCK * group.y + 4u * k;
        finish_rows(four.a, n, quad);
        finish_rows(four.b, n + 1u, quad);
        finish_rows(four.c, n + 2u, quad);
        finish_rows(four.d, n + 3u, quad);
    }
}
