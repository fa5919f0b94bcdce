// Columns of a tile that an invocation has to itself, in its variables.

fn columns_of(column: u32) -> Columns {
    return Columns(rows_of(column), rows_of(column + 1u), rows_of(column + 2u), rows_of(column + 3u));
}

fn store_columns(column: u32, columns: Columns) {
    store_rows(column, columns.a);
    store_rows(column + 1u, columns.b);
    store_rows(column + 2u, columns.c);
    store_rows(column + 3u, columns.d);
}

fn same_columns(numbers: vec4<f32>) -> Columns {
    return Columns(same_rows(numbers.x), same_rows(numbers.y), same_rows(numbers.z), same_rows(numbers.w));
}

fn activated_columns(pre: Columns) -> Columns {
    return Columns(activated_rows(pre.a), activated_rows(pre.b), activated_rows(pre.c), activated_rows(pre.d));
}

/// Numbers of four outputs of a map from the o-th on, `by` apart; beyond the last output its own is repeated.
fn four_of(map: FusedMap, first: u32, o: u32, by: u32) -> vec4<f32> {
    let outputs = min(vec4(o, o + 1u, o + 2u, o + 3u), vec4(map.outputs - 1u));
    let places = first + outputs * by;
    return vec4(trained(places.x), trained(places.y), trained(places.z), trained(places.w));
}

/// Four columns of a map's biases, from the o-th on.
fn biases_of(map: FusedMap, o: u32) -> Columns {
    var biases = Columns();
    if map.biased != 0u {
        biases = same_columns(four_of(map, map.bias, o, 1u));
    }
    return biases;
}

/// The weights of four outputs from the o-th on by the i-th input; 0 beyond the last of either.
fn weights_or_zero(map: FusedMap, o: u32, i: u32) -> vec4<f32> {
    let weights = four_of(map, map.weight + min(i, map.inputs - 1u) * map.by_input, o, map.by_output);
    return select(vec4<f32>(), weights, (vec4(o, o + 1u, o + 2u, o + 3u) < vec4(map.outputs)) & vec4(i < map.inputs));
}

/// The weights of a map's first four outputs by four of its inputs from the k-th on, one vector an input.
fn folded_weights(head: FusedMap, k: u32) -> mat4x4<f32> {
    return mat4x4(
        weights_or_zero(head, 0u, k),
        weights_or_zero(head, 0u, k + 1u),
        weights_or_zero(head, 0u, k + 2u),
        weights_or_zero(head, 0u, k + 3u),
    );
}

fn with_units(sums: Columns, units: Columns, weights: mat4x4<f32>) -> Columns {
    let first = with_outer(with_outer(sums, units.a, weights[0]), units.b, weights[1]);
    return with_outer(with_outer(first, units.c, weights[2]), units.d, weights[3]);
}
