// The layers forward, from a tile's state to its state; see tile.wgsl. `put_aside` keeps what the way back needs, if there is one.

/// Where parameter `i` of the k-th active column is put aside.
fn parameter_aside(i: u32, k: u32) -> u32 {
    return op.aside + op.active_count * (1u + i) + k;
}

/// y = L U x, by way of the columns OTHER.
fn mix_forward(lane: u32) {
    for (var item = lane; item < DIMS * QUADS; item += THREADS) {
        let i = item / QUADS;
        let quad = item % QUADS;
        let x = tile[state(i, quad)];
        put_aside(op.mix_aside + i, quad, x);
        var sum = exp(trained(op.log_diagonal + i)) * x;
        for (var j = i + 1u; j < DIMS; j++) {
            sum += matrix(op.upper, i, j) * tile[state(j, quad)];
        }
        tile[cell(OTHER + i, quad)] = sum;
        put_aside(op.mix_aside + DIMS + i, quad, sum);
        if i == 0u {
            var gain = 0.0;
            for (var j = 0u; j < DIMS; j++) {
                gain += trained(op.log_diagonal + j);
            }
            tile[cell(LOG_DET, quad)] += gain;
        }
    }
    together();
    for (var item = lane; item < DIMS * QUADS; item += THREADS) {
        let i = item / QUADS;
        let quad = item % QUADS;
        var sum = tile[cell(OTHER + i, quad)];
        for (var j = 0u; j < i; j++) {
            sum += matrix(op.lower, i, j) * tile[cell(OTHER + j, quad)];
        }
        tile[state(i, quad)] = sum;
    }
    together();
}

fn coupling_forward(lane: u32) {
    for (var item = lane; item < op.active_count * QUADS; item += THREADS) {
        let k = item / QUADS;
        let quad = item % QUADS;
        let place = state(op.active_first + k, quad);
        let x = tile[place];
        put_aside(op.aside + k, quad, x);
        for (var i = 0u; i < op.each; i++) {
            put_aside(parameter_aside(i, k), quad, parameter(i, k, quad));
        }
        let moved = transform_forward(x, k, quad);
        tile[place] = moved.value;
        tile[cell(LOG_DET + k, quad)] += moved.log_slope;
    }
    together();
}
