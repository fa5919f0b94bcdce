#import tile, tile_layers, tile_rows
// From the data to the latent, and the log-determinant: a tile of rows goes through all layers. CPU version: the ops of the
// plan, one after another, in src/cpu; shaders/*_forward.wgsl.

@group(1) @binding(5) var<storage, read_write> log_det: array<vec4<f32>>;

/// There is no way back.
fn save_activation(column: u32, quad: u32, value: vec4<f32>) {}

@compute @workgroup_size(THREADS)
fn fused_forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let number = group.x;
    load_state(number, lane);
    let pitch = step.stride / 4u;
    for (var item = lane; item < CONTEXT * QUADS; item += THREADS) {
        let index = min(number * QUADS + item % QUADS, pitch - 1u);
        tile[tile_index(CONTEXT_FIRST + item / QUADS, item % QUADS)] = rows_in[(DIMS + item / QUADS) * pitch + index];
    }
    for (var item = lane; item < MOST_ACTIVE * QUADS; item += THREADS) {
        tile[tile_index(LOG_DET + item / QUADS, item % QUADS)] = vec4<f32>();
    }
    tile_barrier();
    for (var l = 0u; l < LAYERS; l++) {
        let layer = layers[l];
        op = layer;
        if layer.mixed != 0u {
            mix_forward(lane);
        }
        compute_parameters(layer, lane);
        tile_coupling_forward(lane);
    }
    store_state(number, lane);
    for (var quad = lane; quad < QUADS; quad += THREADS) {
        let index = number * QUADS + quad;
        if 4u * index < step.rows {
            var sum = vec4<f32>();
            for (var k = 0u; k < MOST_ACTIVE; k++) {
                sum += tile[tile_index(LOG_DET + k, quad)];
            }
            log_det[index] = sum;
        }
    }
}
