#import tile, tile_shared, <heads>, <parameters>, <transform>
// The layers forward, from a tile's state to its state; see tile.wgsl. `save_activation` keeps what the way back needs, if there is one.

/// Where parameter `i` of the k-th active column is saved.
fn saved_parameter(i: u32, k: u32) -> u32 {
    return op.saved + op.active_count * (1u + i) + k;
}

/// y = L U x, by way of the columns OTHER.
fn mix_forward(lane: u32) {
    for (var item = lane; item < DIMS * QUADS; item += THREADS) {
        let i = item / QUADS;
        let quad = item % QUADS;
        let x = tile[state(i, quad)];
        save_activation(op.saved_mixing + i, quad, x);
        var sum = exp(parameter(op.log_diagonal + i)) * x;
        for (var j = i + 1u; j < DIMS; j++) {
            sum += mixing_weight(op.upper, i, j) * tile[state(j, quad)];
        }
        tile[tile_index(OTHER + i, quad)] = sum;
        save_activation(op.saved_mixing + DIMS + i, quad, sum);
        if i == 0u {
            var gain = 0.0;
            for (var j = 0u; j < DIMS; j++) {
                gain += parameter(op.log_diagonal + j);
            }
            tile[tile_index(LOG_DET, quad)] += gain;
        }
    }
    tile_barrier();
    for (var item = lane; item < DIMS * QUADS; item += THREADS) {
        let i = item / QUADS;
        let quad = item % QUADS;
        var sum = tile[tile_index(OTHER + i, quad)];
        for (var j = 0u; j < i; j++) {
            sum += mixing_weight(op.lower, i, j) * tile[tile_index(OTHER + j, quad)];
        }
        tile[state(i, quad)] = sum;
    }
    tile_barrier();
}

fn tile_coupling_forward(lane: u32) {
    for (var item = lane; item < op.active_count * QUADS; item += THREADS) {
        let k = item / QUADS;
        let quad = item % QUADS;
        let index = state(op.active_first + k, quad);
        let x = tile[index];
        save_activation(op.saved + k, quad, x);
        for (var i = 0u; i < op.each; i++) {
            save_activation(saved_parameter(i, k), quad, transform_parameter(i, k, quad));
        }
        let result = transform_forward(x, k, quad);
        tile[index] = result.value;
        tile[tile_index(LOG_DET + k, quad)] += result.log_derivative;
    }
    tile_barrier();
}
