// A tile of rows in workgroup memory: columns of QUADS times four rows. The flow's state, its gradient and what a network makes of
// it all have their columns there; see src/gpu/fused.rs, which hands them out. What there is to do for each four rows of each
// column is numbered, the rows counting fastest, and the group's invocations take turns; an invocation's rows are always the
// same four.

@group(1) @binding(0) var<uniform> layers: array<FusedLayer, LAYERS>;
@group(1) @binding(2) var<uniform> maps: array<FusedMap, MAPS>;

/// The layer at hand, as the pieces that are shared with other kernels know it.
var<private> op: FusedLayer;

const ROWS = 4u * QUADS;

var<workgroup> tile: array<vec4<f32>, TILE_COLUMNS * QUADS>;

/// The place of four rows of a column.
fn cell(column: u32, quad: u32) -> u32 {
    return column * QUADS + quad;
}

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

/// Four rows of four neighbouring columns, from a place on.
fn columns(place: u32) -> mat4x4<f32> {
    return mat4x4(tile[place], tile[place + QUADS], tile[place + 2u * QUADS], tile[place + 3u * QUADS]);
}

fn store_columns(place: u32, columns: mat4x4<f32>) {
    tile[place] = columns[0];
    tile[place + QUADS] = columns[1];
    tile[place + 2u * QUADS] = columns[2];
    tile[place + 3u * QUADS] = columns[3];
}

/// The sum over `count` columns held of their products with four weights each, `pitch` apart; those of the next column lie `by`
/// further.
fn four_sums(column: u32, count: u32, quad: u32, first: u32, by: u32, pitch: u32) -> mat4x4<f32> {
    var sums = mat4x4<f32>();
    for (var k = 0u; k < count; k++) {
        sums += outer(held_column(column, k, quad), four_trained(first + k * by, pitch));
    }
    return sums;
}

/// Four outputs of four rows. Beyond the last output lie other parameters, whose sums go to columns that nobody reads.
fn finish_outputs(map: FusedMap, o: u32, quad: u32, sums: mat4x4<f32>) {
    let biases = select(vec4<f32>(), four_trained(map.bias + o, 1u), map.biased != 0u);
    let pre = mat4x4(
        sums[0] + biases.x,
        sums[1] + biases.y,
        sums[2] + biases.z,
        sums[3] + biases.w,
    );
    let output = cell(map.output + o, quad);
    if map.activated == 0u {
        store_columns(output, pre);
        return;
    }
    if SAVES_PRE {
        store_columns(cell(map.saved + o, quad), pre);
    }
    store_columns(output, mat4x4(activate(pre[0]), activate(pre[1]), activate(pre[2]), activate(pre[3])));
}

/// One linear map of a network: an invocation makes four outputs of four rows.
fn linear_forward(map: FusedMap, lane: u32) {
    let quad = lane % QUADS;
    hold(map.input, map.inputs, quad);
    for (var item = lane; item < (map.outputs + 3u) / 4u * QUADS; item += THREADS) {
        let o = item / QUADS * 4u;
        let first = map.weight + o * map.by_output;
        finish_outputs(map, o, quad, four_sums(map.input, map.inputs, quad, first, map.by_input, map.by_output));
    }
}

/// The first `count` maps of network number `network` of a layer. The layer comes as a value: a barrier must be seen to be
/// reached by all invocations together, and each has an `op` of its own.
fn condition(layer: FusedLayer, network: u32, count: u32, lane: u32) {
    let first = layer.first_map + network * layer.depth;
    for (var m = first; m < first + count; m++) {
        linear_forward(maps[m], lane);
        workgroupBarrier();
    }
}
