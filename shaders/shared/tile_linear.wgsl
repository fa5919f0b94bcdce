#import outer, tile, tile_shared, <activation>
// Networks of a tile that is shared: an invocation makes four columns of four rows at a time. Their way back: tile_linear_backward.wgsl.

/// Four rows of four neighboring columns, from a index on.
fn columns(index: u32) -> mat4x4<f32> {
    return mat4x4(tile[index], tile[index + QUADS], tile[index + 2u * QUADS], tile[index + 3u * QUADS]);
}

fn store_columns(index: u32, columns: mat4x4<f32>) {
    tile[index] = columns[0];
    tile[index + QUADS] = columns[1];
    tile[index + 2u * QUADS] = columns[2];
    tile[index + 3u * QUADS] = columns[3];
}

/// The sum over `count` columns of their products with four weights each, `pitch` apart; those of the next column lie `by`
/// further.
fn four_sums(column: u32, count: u32, quad: u32, first: u32, by: u32, pitch: u32) -> mat4x4<f32> {
    var sums = mat4x4<f32>();
    for (var k = 0u; k < count; k++) {
        sums += outer(tile[tile_index(column + k, quad)], four_parameters(first + k * by, pitch));
    }
    return sums;
}

/// Four outputs of four rows. Beyond the last output lie other parameters, whose sums go to columns that nobody reads.
fn finish_outputs(map: FusedMap, o: u32, quad: u32, sums: mat4x4<f32>) {
    let biases = select(vec4<f32>(), four_parameters(map.bias + o, 1u), map.biased != 0u);
    let pre = mat4x4(
        sums[0] + biases.x,
        sums[1] + biases.y,
        sums[2] + biases.z,
        sums[3] + biases.w,
    );
    let output = tile_index(map.output + o, quad);
    if map.activated == 0u {
        store_columns(output, pre);
        return;
    }
    if SAVES_PRE {
        store_columns(tile_index(map.saved + o, quad), pre);
    }
    store_columns(output, mat4x4(activate(pre[0]), activate(pre[1]), activate(pre[2]), activate(pre[3])));
}

/// One linear map of a network: an invocation makes four outputs of four rows.
fn tile_linear_forward(map: FusedMap, lane: u32) {
    let quad = lane % QUADS;
    for (var item = lane; item < (map.outputs + 3u) / 4u * QUADS; item += THREADS) {
        let o = item / QUADS * 4u;
        let first = map.weight + o * map.by_output;
        finish_outputs(map, o, quad, four_sums(map.input, map.inputs, quad, first, map.by_input, map.by_output));
    }
}

/// The first `count` maps of network number `network` of a layer. The layer comes as a value: a barrier must be seen to be
/// reached by all invocations tile_barrier, and each has an `op` of its own.
fn first_maps(layer: FusedLayer, network: u32, count: u32, lane: u32) {
    let first = layer.first_map + network * layer.depth;
    for (var m = first; m < first + count; m++) {
        tile_linear_forward(maps[m], lane);
        tile_barrier();
    }
}

/// Network number `network` of a layer.
fn condition(layer: FusedLayer, network: u32, lane: u32) {
    first_maps(layer, network, layer.depth, lane);
}
