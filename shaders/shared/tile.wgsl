#import tile_shared, <parameters>
// A tile of rows: columns of QUADS times four rows. The flow's state, its gradient and what a network makes of it all have their
// columns there; see src/gpu/fused, which hands them out. What there is to do for each four rows of each column is numbered, the
// rows counting fastest, and the THREADS invocations of the group take turns, which `tile_barrier` ends. The tile lies in
// workgroup memory (tile_shared.wgsl).

@group(1) @binding(0) var<uniform> layers: array<FusedLayer, LAYERS>;
@group(1) @binding(2) var<uniform> maps: array<FusedMap, MAPS>;

/// The layer at hand, as the pieces that are shared with other kernels know it.
var<private> op: FusedLayer;

const ROWS = 4u * QUADS;

fn state(d: u32, quad: u32) -> u32 {
    return tile_index(STATE + d, quad);
}

fn gradient(d: u32, quad: u32) -> u32 {
    return tile_index(GRADIENT + d, quad);
}

/// Where column `d` of a row of the data lies: in the state or, beyond it, in the context, which stays in the tile, as does the
/// row's weight behind it.
fn data_column(d: u32) -> u32 {
    if d < DIMS {
        return STATE + d;
    }
    return select(CONTEXT_FIRST + d - DIMS, WEIGHT, d >= DIMS + CONTEXT);
}

/// The frozen columns, copied in front of the context: together they are the input of a layer's conditioner.
fn concat(lane: u32) {
    if CONTEXT == 0u {
        return;
    }
    for (var item = lane; item < op.frozen_count * QUADS; item += THREADS) {
        let k = item / QUADS;
        let quad = item % QUADS;
        tile[tile_index(CONTEXT_FIRST - op.frozen_count + k, quad)] = tile[state(op.frozen_first + k, quad)];
    }
    tile_barrier();
}

/// Four rows of parameter `i` of the k-th active column.
fn transform_parameter(i: u32, k: u32, quad: u32) -> vec4<f32> {
    return tile[tile_index(op.head + i * op.by_parameter + k * op.by_column, quad)];
}

/// In the parameter's own index: who stores a gradient has read the number.
fn store_parameter_gradient(i: u32, k: u32, quad: u32, value: vec4<f32>) {
    tile[tile_index(op.head + i * op.by_parameter + k * op.by_column, quad)] = value;
}

/// Four parameters, `pitch` apart.
fn four_parameters(first: u32, pitch: u32) -> vec4<f32> {
    return vec4(parameter(first), parameter(first + pitch), parameter(first + 2u * pitch), parameter(first + 3u * pitch));
}

/// The matrix of a triangular map.
fn mixing_weight(first: u32, i: u32, j: u32) -> f32 {
    return parameter(first + i * DIMS + j);
}
