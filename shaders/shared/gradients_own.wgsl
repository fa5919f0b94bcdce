// Gradients of the networks of a tile that an invocation has to itself, four columns at a time.

/// The shares of a group's invocations side by side, since they are written at a time.
fn partial_place(index: u32) -> u32 {
    return (share / WIDTH * step.parameters + index) * WIDTH + share % WIDTH;
}

/// Adds to numbers of the gradient, `by` apart, the first four of at most `count`.
fn keep_four(first: u32, by: u32, count: u32, sums: vec4<f32>) {
    if count > 0u {
        keep(first, sums.x);
    }
    if count > 1u {
        keep(first + by, sums.y);
    }
    if count > 2u {
        keep(first + 2u * by, sums.z);
    }
    if count > 3u {
        keep(first + 3u * by, sums.w);
    }
}

/// The gradients of one input's weights: of four outputs from the o-th on. What lies beyond the last of either is dropped.
fn keep_products(map: FusedMap, o: u32, i: u32, deltas: Columns, input: Rows) {
    let count = select(0u, max(map.outputs, o) - o, i < map.inputs);
    keep_four(map.weight + o * map.by_output + i * map.by_input, map.by_output, count, vec4(
        sum_of_rows(times(deltas.a, input)),
        sum_of_rows(times(deltas.b, input)),
        sum_of_rows(times(deltas.c, input)),
        sum_of_rows(times(deltas.d, input)),
    ));
}

fn keep_biases(map: FusedMap, o: u32, deltas: Columns) {
    if map.biased == 0u {
        return;
    }
    keep_four(map.bias + o, 1u, max(map.outputs, o) - o, vec4(
        sum_of_rows(deltas.a),
        sum_of_rows(deltas.b),
        sum_of_rows(deltas.c),
        sum_of_rows(deltas.d),
    ));
}

fn sum_of_columns(columns: Columns, weights: vec4<f32>) -> Rows {
    return columns.a * weights.x + columns.b * weights.y + columns.c * weights.z + columns.d * weights.w;
}

/// Columns beyond a map's last are not its own.
fn own_columns(map: FusedMap, o: u32, columns: Columns) -> Columns {
    let own = select(vec4<f32>(), vec4(1.0), vec4(o, o + 1u, o + 2u, o + 3u) < vec4(map.outputs));
    return Columns(columns.a * own.x, columns.b * own.y, columns.c * own.z, columns.d * own.w);
}

fn with_slopes(columns: Columns, saved: Columns) -> Columns {
    return Columns(
        times(columns.a, slopes_of(saved.a)),
        times(columns.b, slopes_of(saved.b)),
        times(columns.c, slopes_of(saved.c)),
        times(columns.d, slopes_of(saved.d)),
    );
}

/// The gradients of four units and of their weights, from those of the columns that come of them.
fn units_backward(head: FusedMap, k: u32, deltas: Columns, units: Columns) -> Columns {
    let weights = folded_weights(head, k);
    keep_products(head, 0u, k, deltas, units.a);
    keep_products(head, 0u, k + 1u, deltas, units.b);
    keep_products(head, 0u, k + 2u, deltas, units.c);
    keep_products(head, 0u, k + 3u, deltas, units.d);
    return Columns(
        sum_of_columns(deltas, weights[0]),
        sum_of_columns(deltas, weights[1]),
        sum_of_columns(deltas, weights[2]),
        sum_of_columns(deltas, weights[3]),
    );
}
