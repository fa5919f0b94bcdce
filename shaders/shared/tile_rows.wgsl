#import tile, tile_linear, tile_shared, <conditioner>
// Tiles of rows that lie in buffers, column after column.

@group(1) @binding(3) var<storage, read> rows_in: array<vec4<f32>>;
@group(1) @binding(4) var<storage, read_write> rows_out: array<vec4<f32>>;

/// The rows of a tile into its state. Beyond the buffer's end its last four are repeated.
fn load_state(number: u32, lane: u32) {
    let pitch = step.stride / 4u;
    for (var item = lane; item < DIMS * QUADS; item += THREADS) {
        let index = min(number * QUADS + item % QUADS, pitch - 1u);
        tile[state(item / QUADS, item % QUADS)] = rows_in[item / QUADS * pitch + index];
    }
}

/// The state of a tile to its rows.
fn store_state(number: u32, lane: u32) {
    let pitch = step.stride / 4u;
    for (var item = lane; item < DIMS * QUADS; item += THREADS) {
        let index = number * QUADS + item % QUADS;
        if index < pitch {
            rows_out[item / QUADS * pitch + index] = tile[state(item / QUADS, item % QUADS)];
        }
    }
}

/// The parameters of a layer's transform.
fn compute_parameters(layer: FusedLayer, lane: u32) {
    concat(lane);
    expand_basis(false, lane);
    for (var network = 0u; network < layer.networks; network++) {
        condition(layer, network, lane);
    }
}
