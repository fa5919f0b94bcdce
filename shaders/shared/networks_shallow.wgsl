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

/// The weights of four hidden units by one input; 0 beyond the last input.
fn input_weights(hidden: FusedMap, k: u32, i: u32) -> vec4<f32> {
    let first = hidden.weight + min(i, hidden.inputs - 1u) * hidden.by_input;
    return select(vec4<f32>(), four_of(hidden, first, k, hidden.by_output), i < hidden.inputs);
}

/// Four hidden units before their activation.
fn units_of(hidden: FusedMap, inputs: Columns, k: u32) -> Columns {
    var sums = Columns();
    if hidden.biased != 0u {
        sums = same_columns(four_of(hidden, hidden.bias, k, 1u));
    }
    sums = with_outer(sums, inputs.a, input_weights(hidden, k, 0u));
    if INPUTS > 1u {
        sums = with_outer(sums, inputs.b, input_weights(hidden, k, 1u));
    }
    if INPUTS > 2u {
        sums = with_outer(sums, inputs.c, input_weights(hidden, k, 2u));
    }
    if INPUTS > 3u {
        sums = with_outer(sums, inputs.d, input_weights(hidden, k, 3u));
    }
    return sums;
}

/// Network number `network` of a layer.
fn condition(layer: FusedLayer, network: u32, lane: u32) {
    let hidden = maps[layer.first_map + network * DEPTH];
    let head = maps[layer.first_map + network * DEPTH + 1u];
    let inputs = inputs_of(hidden);
    var sums = Columns();
    if head.biased != 0u {
        sums = same_columns(four_of(head, head.bias, 0u, 1u));
    }
    for (var k = 0u; k < hidden.outputs; k += 4u) {
        let units = activated_columns(units_of(hidden, inputs, k));
        sums = with_units(sums, units, folded_weights(head, k));
    }
    store_columns(head.output, sums);
}
