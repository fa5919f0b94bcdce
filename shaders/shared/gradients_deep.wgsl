// Gradients of the networks of a tile of eight rows, sixteen units at a time.

/// Of the sixteen outputs from the o-th on, whose gradients are given, to the gradients of weights, biases and inputs.
fn outputs_backward(map: FusedMap, o: u32, deltas: Block) {
    keep_biases(map, o, deltas.a);
    keep_biases(map, o + 4u, deltas.b);
    keep_biases(map, o + 8u, deltas.c);
    keep_biases(map, o + 12u, deltas.d);
    // A hidden layer's gradient is made here, that of the state added to.
    let add = o > 0u || map.through == 0u;
    for (var i = 0u; i < map.inputs; i++) {
        let input = rows_of(map.input + i);
        keep_products(map, o, i, deltas.a, input);
        keep_products(map, o + 4u, i, deltas.b, input);
        keep_products(map, o + 8u, i, deltas.c, input);
        keep_products(map, o + 12u, i, deltas.d, input);
        if map.skips == 0u {
            let weights = weights_of(map, o, i);
            var sum = sum_of_columns(deltas.a, weights.a) + sum_of_columns(deltas.b, weights.b)
                + sum_of_columns(deltas.c, weights.c) + sum_of_columns(deltas.d, weights.d);
            if add {
                sum += rows_of(map.input_delta + i);
            }
            store_rows(map.input_delta + i, sum);
        }
    }
}

fn own_block(map: FusedMap, o: u32, block: Block) -> Block {
    return Block(
        own_columns(map, o, block.a),
        own_columns(map, o + 4u, block.b),
        own_columns(map, o + 8u, block.c),
        own_columns(map, o + 12u, block.d),
    );
}

fn block_with_slopes(block: Block, saved: Block) -> Block {
    return Block(
        with_slopes(block.a, saved.a),
        with_slopes(block.b, saved.b),
        with_slopes(block.c, saved.c),
        with_slopes(block.d, saved.d),
    );
}

fn head_backward(map: FusedMap) {
    for (var o = 0u; o < map.outputs; o += BLOCK) {
        outputs_backward(map, o, own_block(map, o, block_of(map.delta + o)));
    }
}

/// A hidden layer, from the gradient of what its activation gave.
fn hidden_backward(map: FusedMap) {
    for (var o = 0u; o < map.outputs; o += BLOCK) {
        let deltas = block_with_slopes(block_of(map.delta + o), block_of(map.saved + o));
        outputs_backward(map, o, own_block(map, o, deltas));
    }
}

/// The last hidden layer and what comes of it.
fn folded_backward(hidden: FusedMap, head: FusedMap) {
    let deltas = own_columns(head, 0u, columns_of(head.delta));
    keep_biases(head, 0u, deltas);
    for (var k = 0u; k < hidden.outputs; k += BLOCK) {
        let saved = block_of(hidden.saved + k);
        var units = saved;
        if SAVES_PRE {
            units = activated_block(saved);
        }
        let of_units = Block(
            units_backward(head, k, deltas, units.a),
            units_backward(head, k + 4u, deltas, units.b),
            units_backward(head, k + 8u, deltas, units.c),
            units_backward(head, k + 12u, deltas, units.d),
        );
        outputs_backward(hidden, k, block_with_slopes(of_units, saved));
    }
}

/// Network number `network` of a layer backwards. The parameters that it gives have given their places to their gradients.
fn condition_backward(layer: FusedLayer, network: u32, lane: u32) {
    let first = layer.first_map + network * DEPTH;
    let head = first + DEPTH - 1u;
    var last = head;
    if FOLDED {
        folded_backward(maps[head - 1u], maps[head]);
        last--;
    } else {
        head_backward(maps[head]);
    }
    for (var m = last; m > first; m--) {
        hidden_backward(maps[m - 1u]);
    }
}
