// Networks of a tile of eight rows that an invocation has to itself. Memory is slow there and arithmetic is not, so sixteen units
// are made at a time: a block, in variables of the invocation, for which a column of the tile is read once. Their way back:
// gradients_deep.wgsl.

fn block_of(column: u32) -> Block {
    return Block(columns_of(column), columns_of(column + 4u), columns_of(column + 8u), columns_of(column + 12u));
}

fn store_block(column: u32, block: Block) {
    store_columns(column, block.a);
    store_columns(column + 4u, block.b);
    store_columns(column + 8u, block.c);
    store_columns(column + 12u, block.d);
}

fn same_block(numbers: Sixteen) -> Block {
    return Block(
        same_columns(numbers.a),
        same_columns(numbers.b),
        same_columns(numbers.c),
        same_columns(numbers.d),
    );
}

fn activated_block(pre: Block) -> Block {
    return Block(
        activated_columns(pre.a),
        activated_columns(pre.b),
        activated_columns(pre.c),
        activated_columns(pre.d),
    );
}

fn sixteen_of(map: FusedMap, first: u32, o: u32, by: u32) -> Sixteen {
    return Sixteen(
        four_of(map, first, o, by),
        four_of(map, first, o + 4u, by),
        four_of(map, first, o + 8u, by),
        four_of(map, first, o + 12u, by),
    );
}

/// The weights of sixteen outputs, from the o-th on, by one input.
fn weights_of(map: FusedMap, o: u32, i: u32) -> Sixteen {
    return sixteen_of(map, map.weight + i * map.by_input, o, map.by_output);
}

/// Sixteen outputs of a map before its activation.
fn outputs_of(map: FusedMap, o: u32) -> Block {
    var sums = Block();
    if map.biased != 0u {
        sums = same_block(sixteen_of(map, map.bias, o, 1u));
    }
    for (var i = 0u; i < map.inputs; i++) {
        sums = block_with_outer(sums, rows_of(map.input + i), weights_of(map, o, i));
    }
    return sums;
}

/// A hidden layer.
fn hidden_forward(map: FusedMap) {
    for (var o = 0u; o < map.outputs; o += BLOCK) {
        let pre = outputs_of(map, o);
        if KEEPS && SAVES_PRE {
            store_block(map.saved + o, pre);
        }
        store_block(map.output + o, activated_block(pre));
    }
}

/// What comes of a network's last hidden layer.
fn head_forward(map: FusedMap) {
    for (var o = 0u; o < map.outputs; o += BLOCK) {
        store_block(map.output + o, outputs_of(map, o));
    }
}

/// A network's last hidden layer and what comes of it, up to four columns: of the hidden units is kept what the way back needs.
fn folded_forward(hidden: FusedMap, head: FusedMap) {
    var sums = biases_of(head, 0u);
    for (var k = 0u; k < hidden.outputs; k += BLOCK) {
        let pre = outputs_of(hidden, k);
        let units = activated_block(pre);
        if KEEPS && SAVES_PRE {
            store_block(hidden.saved + k, pre);
        } else if KEEPS {
            store_block(hidden.saved + k, units);
        }
        sums = with_units(sums, units.a, folded_weights(head, k));
        sums = with_units(sums, units.b, folded_weights(head, k + 4u));
        sums = with_units(sums, units.c, folded_weights(head, k + 8u));
        sums = with_units(sums, units.d, folded_weights(head, k + 12u));
    }
    store_columns(head.output, sums);
}

/// Maps of a network that make hidden layers.
fn hidden_layers(first: u32, count: u32) {
    for (var m = first; m < first + count; m++) {
        hidden_forward(maps[m]);
    }
}

/// Network number `network` of a layer.
fn condition(layer: FusedLayer, network: u32, lane: u32) {
    let first = layer.first_map + network * DEPTH;
    let head = first + DEPTH - 1u;
    if FOLDED {
        hidden_layers(first, DEPTH - 2u);
        folded_forward(maps[head - 1u], maps[head]);
    } else {
        hidden_layers(first, DEPTH - 1u);
        head_forward(maps[head]);
    }
}
