#import tile, tile_rows, <parameters>, <transform>
// From the latent to the data: a tile of rows goes back through all layers. CPU version: the ops of the plan's inverse, one
// after another, in src/cpu; shaders/*_inverse.wgsl.

fn tile_coupling_inverse(lane: u32) {
    for (var item = lane; item < op.active_count * QUADS; item += THREADS) {
        let k = item / QUADS;
        let quad = item % QUADS;
        let index = state(op.active_first + k, quad);
        tile[index] = transform_inverse(tile[index], k, quad);
    }
    tile_barrier();
}

/// x = U^-1 L^-1 y: one invocation solves for four rows.
fn unmix(lane: u32) {
    for (var quad = lane; quad < QUADS; quad += THREADS) {
        for (var i = 0u; i < DIMS; i++) {
            var sum = tile[state(i, quad)];
            for (var j = 0u; j < i; j++) {
                sum -= mixing_weight(op.lower, i, j) * tile[state(j, quad)];
            }
            tile[state(i, quad)] = sum;
        }
        for (var k = DIMS; k > 0u; k--) {
            let i = k - 1u;
            var sum = tile[state(i, quad)];
            for (var j = k; j < DIMS; j++) {
                sum -= mixing_weight(op.upper, i, j) * tile[state(j, quad)];
            }
            tile[state(i, quad)] = sum * exp(-parameter(op.log_diagonal + i));
        }
    }
    tile_barrier();
}

@compute @workgroup_size(THREADS)
fn fused_inverse(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let number = group.x;
    load_state(number, lane);
    // The data's buffer, which the result goes to, has the context.
    let pitch = step.stride / 4u;
    for (var item = lane; item < CONTEXT * QUADS; item += THREADS) {
        let index = min(number * QUADS + item % QUADS, pitch - 1u);
        tile[tile_index(CONTEXT_FIRST + item / QUADS, item % QUADS)] = rows_out[(DIMS + item / QUADS) * pitch + index];
    }
    tile_barrier();
    for (var l = LAYERS; l > 0u; l--) {
        let layer = layers[l - 1u];
        op = layer;
        compute_parameters(layer, lane);
        tile_coupling_inverse(lane);
        if layer.mixed != 0u {
            unmix(lane);
        }
    }
    store_state(number, lane);
}
