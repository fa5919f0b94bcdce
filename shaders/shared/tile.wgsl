// A tile of rows in workgroup memory: columns of QUADS times four rows. The flow's state, its gradient and what one layer's
// conditioner makes of it all have their columns there; see src/gpu/fused.rs, which hands them out.

@group(1) @binding(0) var<uniform> layers: array<FusedLayer, LAYERS>;
@group(1) @binding(2) var<uniform> maps: array<FusedMap, MAPS>;

var<workgroup> tile: array<vec4<f32>, TILE_COLUMNS * QUADS>;

/// The layer at hand, as the pieces that are shared with other kernels know it.
var<private> op: FusedLayer;

/// An invocation has four rows of the tile, and every SLICES-th of what there is to do for them.
const SLICES = THREADS / QUADS;

fn own_quad(lane: u32) -> u32 {
    return lane % QUADS;
}

fn own_slice(lane: u32) -> u32 {
    // Said where it is known: what all invocations read from one place is then read once.
    if SLICES == 1u {
        return 0u;
    }
    return lane / QUADS;
}

/// The place of four rows of a column.
fn cell(column: u32, quad: u32) -> u32 {
    return column * QUADS + quad;
}

fn state(d: u32, quad: u32) -> u32 {
    return cell(STATE + d, quad);
}

/// Four rows of parameter `i` of the k-th active column.
fn parameter(i: u32, k: u32, quad: u32) -> vec4<f32> {
    return tile[cell(op.head + i * op.by_parameter + k * op.by_column, quad)];
}

/// In the parameter's own place: who stores a gradient has read the number.
fn store_gradient(i: u32, k: u32, quad: u32, value: vec4<f32>) {
    tile[cell(op.head + i * op.by_parameter + k * op.by_column, quad)] = value;
}

fn weight(map: FusedMap, o: u32, i: u32) -> f32 {
    return trained(map.weight + o * map.by_output + i * map.by_input);
}

fn bias(map: FusedMap, o: u32) -> f32 {
    if map.biased == 0u {
        return 0.0;
    }
    return trained(map.bias + o);
}

fn finish(map: FusedMap, o: u32, quad: u32, sum: vec4<f32>) {
    // Beyond the last output lie other parameters, whose sums are dropped.
    if o >= map.outputs {
        return;
    }
    let pre = sum + bias(map, o);
    if map.activated == 0u {
        tile[cell(map.output + o, quad)] = pre;
    } else {
        if SAVES_PRE {
            tile[cell(map.saved + o, quad)] = pre;
        }
        tile[cell(map.output + o, quad)] = activate(pre);
    }
}

/// One linear map of a conditioner: an invocation makes four outputs of four rows.
fn linear_forward(map: FusedMap, lane: u32) {
    let quad = own_quad(lane);
    for (var o = 4u * own_slice(lane); o < map.outputs; o += 4u * SLICES) {
        var sum0 = vec4<f32>();
        var sum1 = vec4<f32>();
        var sum2 = vec4<f32>();
        var sum3 = vec4<f32>();
        for (var i = 0u; i < map.inputs; i++) {
            let x = tile[cell(map.input + i, quad)];
            sum0 += weight(map, o, i) * x;
            sum1 += weight(map, o + 1u, i) * x;
            sum2 += weight(map, o + 2u, i) * x;
            sum3 += weight(map, o + 3u, i) * x;
        }
        finish(map, o, quad, sum0);
        finish(map, o + 1u, quad, sum1);
        finish(map, o + 2u, quad, sum2);
        finish(map, o + 3u, quad, sum3);
    }
}

/// The networks of layer `layer`, from the frozen columns to the transform's parameters.
fn condition(layer: u32, lane: u32) {
    for (var m = layers[layer].first_map; m < layers[layer].end_map; m++) {
        linear_forward(maps[m], lane);
        workgroupBarrier();
    }
}
