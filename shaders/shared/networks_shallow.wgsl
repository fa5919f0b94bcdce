// Networks of a tile of sixteen rows that an invocation has to itself, of one hidden layer between few columns: up to four inputs
// and four outputs, which stay in its variables while it goes over the hidden units. Their way back: gradients_shallow.wgsl.

/// INPUTS columns of a network's inputs.
fn inputs_of(hidden: FusedMap) -> Columns {
    var inputs = Columns();
    inputs.a = rows_of(hidden.input);
    if INPUTS > 1u {
        inputs.b = rows_of(hidden.input + min(1u, hidden.inputs - 1u));
    }
    if INPUTS > 2u {
        inputs.c = rows_of(hidden.input + min(2u, hidden.inputs - 1u));
    }
    if INPUTS > 3u {
        inputs.d = rows_of(hidden.input + min(3u, hidden.inputs - 1u));
    }
    return inputs;
}

/// Four hidden units before their activation.
fn units_of(hidden: FusedMap, inputs: Columns, k: u32) -> Columns {
    var sums = with_outer(biases_of(hidden, k), inputs.a, weights_or_zero(hidden, k, 0u));
    if INPUTS > 1u {
        sums = with_outer(sums, inputs.b, weights_or_zero(hidden, k, 1u));
    }
    if INPUTS > 2u {
        sums = with_outer(sums, inputs.c, weights_or_zero(hidden, k, 2u));
    }
    if INPUTS > 3u {
        sums = with_outer(sums, inputs.d, weights_or_zero(hidden, k, 3u));
    }
    return sums;
}

/// Network number `network` of a layer.
fn condition(layer: FusedLayer, network: u32, lane: u32) {
    let hidden = maps[layer.first_map + network * DEPTH];
    let head = maps[layer.first_map + network * DEPTH + 1u];
    let inputs = inputs_of(hidden);
    var sums = biases_of(head, 0u);
    for (var k = 0u; k < hidden.outputs; k += 4u) {
        let units = activated_columns(units_of(hidden, inputs, k));
        sums = with_units(sums, units, folded_weights(head, k));
    }
    store_columns(head.output, sums);
}
