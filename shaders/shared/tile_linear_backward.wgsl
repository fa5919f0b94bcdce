#import tile, tile_linear, tile_shared, <activation>
// Gradients of the networks of a tile that is shared: an invocation makes four by four numbers at a time.

/// The gradients of four weights of an output.
fn accumulate_weight_gradients(map: FusedMap, o: u32, i: u32, sums: vec4<f32>) {
    if o >= map.outputs {
        return;
    }
    let first = map.weight + o * map.by_output;
    for (var k = 0u; k < min(4u, map.inputs - i); k++) {
        accumulate_gradient(first + (i + k) * map.by_input, sums[k]);
    }
}

/// The gradients of a map's weights and biases: an invocation takes four inputs by four outputs, and the biases of the first.
fn tile_linear_backward_weights(map: FusedMap, lane: u32) {
    // A map without inputs has biases.
    let across = max((map.inputs + 3u) / 4u, 1u);
    let items = (map.outputs + 3u) / 4u * across;
    for (var item = lane; item < items; item += THREADS) {
        let i = 4u * (item % across);
        let o = 4u * (item / across);
        var sum0 = vec4<f32>();
        var sum1 = vec4<f32>();
        var sum2 = vec4<f32>();
        var sum3 = vec4<f32>();
        var biases = vec4<f32>();
        for (var quad = 0u; quad < QUADS; quad++) {
            // Columns beyond the last are other ones, whose products are dropped.
            let x = columns(tile_index(map.input + i, quad));
            let delta = columns(tile_index(map.delta + o, quad));
            sum0 += delta[0] * x;
            sum1 += delta[1] * x;
            sum2 += delta[2] * x;
            sum3 += delta[3] * x;
            biases += vec4(1.0) * delta;
        }
        accumulate_weight_gradients(map, o, i, sum0);
        accumulate_weight_gradients(map, o + 1u, i, sum1);
        accumulate_weight_gradients(map, o + 2u, i, sum2);
        accumulate_weight_gradients(map, o + 3u, i, sum3);
        if i == 0u && map.biased != 0u {
            for (var k = 0u; k < min(4u, map.outputs - o); k++) {
                accumulate_gradient(map.bias + o + k, biases[k]);
            }
        }
    }
}

/// The gradients of four inputs of four rows.
fn finish_inputs(map: FusedMap, i: u32, quad: u32, sums: mat4x4<f32>) {
    let index = tile_index(map.input_delta + i, quad);
    if map.through != 0u {
        let saved = tile_index(map.input_saved + i, quad);
        store_columns(index, mat4x4(
            sums[0] * derivative(tile[saved]),
            sums[1] * derivative(tile[saved + QUADS]),
            sums[2] * derivative(tile[saved + 2u * QUADS]),
            sums[3] * derivative(tile[saved + 3u * QUADS]),
        ));
        return;
    }
    // Beyond the last input lie other columns of the state's gradient.
    let is_input = vec4(i, i + 1u, i + 2u, i + 3u) < vec4(map.inputs_with_gradient);
    tile[index] += sums[0];
    tile[index + QUADS] += select(vec4<f32>(), sums[1], is_input.y);
    tile[index + 2u * QUADS] += select(vec4<f32>(), sums[2], is_input.z);
    tile[index + 3u * QUADS] += select(vec4<f32>(), sums[3], is_input.w);
}

/// The gradient of a map's input: an invocation makes four inputs of four rows.
fn tile_linear_backward_input(map: FusedMap, lane: u32) {
    let quad = lane % QUADS;
    for (var item = lane; item < (map.inputs_with_gradient + 3u) / 4u * QUADS; item += THREADS) {
        let i = item / QUADS * 4u;
        let first = map.weight + i * map.by_input;
        finish_inputs(map, i, quad, four_sums(map.delta, map.outputs, quad, first, map.by_output, map.by_input));
    }
}

/// Network number `network` of a layer backwards, from what is left of it forward: the parameters that it gives, which are there
/// already, have given their places to their gradients.
fn condition_backward(layer: FusedLayer, network: u32, lane: u32) {
    first_maps(layer, network, layer.depth - 1u, lane);
    let first = layer.first_map + network * layer.depth;
    for (var m = first + layer.depth; m > first; m--) {
        let map = maps[m - 1u];
        tile_linear_backward_weights(map, lane);
        if map.inputs_with_gradient != 0u {
            tile_linear_backward_input(map, lane);
        }
        tile_barrier();
    }
}
