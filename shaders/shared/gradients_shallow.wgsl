// Gradients of the networks of one hidden layer between few columns.

/// To the gradient of an input.
fn add_input(hidden: FusedMap, i: u32, sum: Rows) {
    if i < hidden.inputs {
        store_rows(hidden.input_delta + i, rows_of(hidden.input_delta + i) + sum);
    }
}

/// Network number `network` of a layer backwards. The parameters that it gives have given their places to their gradients.
fn condition_backward(layer: FusedLayer, network: u32, lane: u32) {
    let hidden = maps[layer.first_map + network * DEPTH];
    let head = maps[layer.first_map + network * DEPTH + 1u];
    let inputs = inputs_of(hidden);
    let deltas = own_columns(head, 0u, columns_of(head.delta));
    keep_biases(head, 0u, deltas);
    var of_inputs = Columns();
    for (var k = 0u; k < hidden.outputs; k += 4u) {
        let pre = units_of(hidden, inputs, k);
        let units = activated_columns(pre);
        var of_units = units_backward(head, k, deltas, units);
        if SAVES_PRE {
            of_units = with_slopes(of_units, pre);
        } else {
            of_units = with_slopes(of_units, units);
        }
        keep_biases(hidden, k, of_units);
        keep_products(hidden, k, 0u, of_units, inputs.a);
        of_inputs.a += sum_of_columns(of_units, weights_or_zero(hidden, k, 0u));
        if INPUTS > 1u {
            keep_products(hidden, k, 1u, of_units, inputs.b);
            of_inputs.b += sum_of_columns(of_units, weights_or_zero(hidden, k, 1u));
        }
        if INPUTS > 2u {
            keep_products(hidden, k, 2u, of_units, inputs.c);
            of_inputs.c += sum_of_columns(of_units, weights_or_zero(hidden, k, 2u));
        }
        if INPUTS > 3u {
            keep_products(hidden, k, 3u, of_units, inputs.d);
            of_inputs.d += sum_of_columns(of_units, weights_or_zero(hidden, k, 3u));
        }
    }
    if hidden.skips == 0u {
        add_input(hidden, 0u, of_inputs.a);
        if INPUTS > 1u {
            add_input(hidden, 1u, of_inputs.b);
        }
        if INPUTS > 2u {
            add_input(hidden, 2u, of_inputs.c);
        }
        if INPUTS > 3u {
            add_input(hidden, 3u, of_inputs.d);
        }
    }
}
