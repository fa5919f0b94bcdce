// A tile of rows: columns of QUADS times four rows. The flow's state, its gradient and what a network makes of it all have their
// columns there; see src/gpu/fused, which hands them out. What there is to do for each four rows of each column is numbered, the
// rows counting fastest, and the THREADS invocations of the group take turns, which `together` ends. The tile lies in
// workgroup memory (tile_shared.wgsl).

@group(1) @binding(0) var<uniform> layers: array<FusedLayer, LAYERS>;
@group(1) @binding(2) var<uniform> maps: array<FusedMap, MAPS>;

/// The layer at hand, as the pieces that are shared with other kernels know it.
var<private> op: FusedLayer;

const ROWS = 4u * QUADS;

fn state(d: u32, quad: u32) -> u32 {
    return cell(STATE + d, quad);
}

fn gradient(d: u32, quad: u32) -> u32 {
    return cell(GRADIENT + d, quad);
}

/// Four rows of parameter `i` of the k-th active column.
fn parameter(i: u32, k: u32, quad: u32) -> vec4<f32> {
    return tile[cell(op.head + i * op.by_parameter + k * op.by_column, quad)];
}

/// In the parameter's own place: who stores a gradient has read the number.
fn store_gradient(i: u32, k: u32, quad: u32, value: vec4<f32>) {
    tile[cell(op.head + i * op.by_parameter + k * op.by_column, quad)] = value;
}

/// Four parameters, `pitch` apart.
fn four_trained(first: u32, pitch: u32) -> vec4<f32> {
    return vec4(trained(first), trained(first + pitch), trained(first + 2u * pitch), trained(first + 3u * pitch));
}

/// The matrix of a triangular map.
fn matrix(first: u32, i: u32, j: u32) -> f32 {
    return trained(first + i * DIMS + j);
}
