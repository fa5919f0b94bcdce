#import numbers, shuffle, tile, tile_layers, tile_linear, tile_linear_backward, tile_shared, <base>, <conditioner>, <density>, <head_gradients>, <parameters>, <transform>
// Loss and gradient of a batch in one kernel: a tile of rows after another goes from the data through all layers to the latent and
// back, and each group sums a part of the gradient. What a network computed is forgotten on the way forward and computed again on the way back, from the frozen columns, which a coupling leaves, and the
// parameters that it gives are saved, as are the columns that a layer changes. CPU version: the ops of the plan, one after another,
// in src/cpu; shaders/*.wgsl of the same names.

@group(1) @binding(3) var<storage, read> data: array<f32>;
/// The activations saved for the way back, part after part.
@group(1) @binding(4) var<storage, read_write> saved_activations: array<vec4<f32>>;
/// The parts of the gradient.
@group(1) @binding(5) var<storage, read_write> partials: array<f32>;
@group(1) @binding(6) var<storage, read_write> loss_partials: array<f32>;

/// Where this group's part begins in `saved_activations`, and its number.
var<private> saved_begin: u32;
var<private> partial: u32;
/// Whether this part has had a tile before.
var<private> add: bool;

fn accumulate_gradient(index: u32, value: f32) {
    let slot = partial * step.parameters + index;
    var sum = value;
    if ADDS && add {
        sum += partials[slot];
    }
    partials[slot] = sum;
}

fn save_activation(column: u32, quad: u32, value: vec4<f32>) {
    saved_activations[saved_begin + column * QUADS + quad] = value;
}

fn saved_activation(column: u32, quad: u32) -> vec4<f32> {
    return saved_activations[saved_begin + column * QUADS + quad];
}

/// Which of four rows are rows of the batch, as numbers to multiply by.
fn present(first: u32, end: u32, quad: u32) -> vec4<f32> {
    let rows = vec4(first + 4u * quad) + vec4(0u, 1u, 2u, 3u);
    return select(vec4<f32>(), vec4(1.0), rows < vec4(end));
}

/// The weight of each of four rows in the loss: 0 for those beyond the batch's end.
fn row_weights(first: u32, end: u32, quad: u32) -> vec4<f32> {
    let rows = present(first, end, quad);
    if WEIGHTED {
        return rows * tile[tile_index(WEIGHT, quad)];
    }
    return rows;
}

/// The rows of the tile into the state. Beyond the batch's end its last row is repeated.
fn gather(first: u32, end: u32, lane: u32) {
    for (var row = lane; row < ROWS; row += THREADS) {
        let source = step.first + min(first + row, end - 1u);
        if step.shuffled != 0u {
            sources[row] = shuffled_row(source);
        } else {
            sources[row] = source;
        }
    }
    tile_barrier();
    let data_columns = DIMS + CONTEXT + u32(WEIGHTED);
    let data_rows = arrayLength(&data) / data_columns;
    for (var item = lane; item < data_columns * QUADS; item += THREADS) {
        let d = item / QUADS;
        let quad = item % QUADS;
        let column = d * data_rows;
        tile[tile_index(data_column(d), quad)] = vec4(
            data[column + sources[4u * quad]],
            data[column + sources[4u * quad + 1u]],
            data[column + sources[4u * quad + 2u]],
            data[column + sources[4u * quad + 3u]],
        );
    }
    for (var item = lane; item < MOST_ACTIVE * QUADS; item += THREADS) {
        tile[tile_index(LOG_DET + item / QUADS, item % QUADS)] = vec4<f32>();
    }
    tile_barrier();
}

/// The sum of the weights of the tile's rows.
fn tile_weight(first: u32, end: u32) -> f32 {
    if !WEIGHTED {
        return f32(min(ROWS, end - first));
    }
    var sum = 0.0;
    for (var quad = 0u; quad < QUADS; quad++) {
        sum += dot(row_weights(first, end, quad), vec4(1.0));
    }
    return sum;
}

/// The sum over the tile's rows of the products of two columns.
fn column_dot(a: u32, b: u32) -> f32 {
    var sum = 0.0;
    for (var quad = 0u; quad < QUADS; quad++) {
        sum += dot(tile[tile_index(a, quad)], tile[tile_index(b, quad)]);
    }
    return sum;
}

fn mix_backward(first: u32, end: u32, lane: u32) {
    // What went into L.
    for (var item = lane; item < DIMS * QUADS; item += THREADS) {
        let i = item / QUADS;
        let quad = item % QUADS;
        tile[tile_index(OTHER + i, quad)] = saved_activation(op.saved_mixing + DIMS + i, quad);
    }
    tile_barrier();
    for (var item = lane; item < DIMS * QUADS; item += THREADS) {
        let j = item / QUADS;
        let quad = item % QUADS;
        var sum = tile[gradient(j, quad)];
        for (var i = j + 1u; i < DIMS; i++) {
            sum += mixing_weight(op.lower, i, j) * tile[gradient(i, quad)];
        }
        tile[tile_index(OTHER_GRADIENT + j, quad)] = sum;
        // What went into U.
        tile[state(j, quad)] = saved_activation(op.saved_mixing + j, quad);
    }
    for (var item = lane; item < DIMS * DIMS; item += THREADS) {
        let i = item / DIMS;
        let j = item % DIMS;
        // What lies outside the triangle counts for nothing.
        var sum = 0.0;
        if j < i {
            sum = column_dot(GRADIENT + i, OTHER + j);
        }
        accumulate_gradient(op.lower + item, sum);
    }
    tile_barrier();
    for (var item = lane; item < DIMS * QUADS; item += THREADS) {
        let j = item / QUADS;
        let quad = item % QUADS;
        var sum = exp(parameter(op.log_diagonal + j)) * tile[tile_index(OTHER_GRADIENT + j, quad)];
        for (var i = 0u; i < j; i++) {
            sum += mixing_weight(op.upper, i, j) * tile[tile_index(OTHER_GRADIENT + i, quad)];
        }
        tile[gradient(j, quad)] = sum;
    }
    for (var item = lane; item < DIMS * DIMS; item += THREADS) {
        let i = item / DIMS;
        let j = item % DIMS;
        var sum = 0.0;
        if j >= i {
            sum = column_dot(OTHER_GRADIENT + i, STATE + j);
        }
        accumulate_gradient(op.upper + item, select(0.0, sum, j > i));
        if i == j {
            // The log-determinant of a row of weight w has the gradient -w/N.
            let weight = tile_weight(first, end);
            accumulate_gradient(op.log_diagonal + i, sum * exp(parameter(op.log_diagonal + i)) - weight * step.inv_batch_size);
        }
    }
    tile_barrier();
}

fn tile_coupling_backward(first: u32, end: u32, lane: u32) {
    for (var item = lane; item < op.active_count * QUADS; item += THREADS) {
        let k = item / QUADS;
        let quad = item % QUADS;
        let d = op.active_first + k;
        let x = saved_activation(op.saved + k, quad);
        tile[state(d, quad)] = x;
        for (var i = 0u; i < op.each; i++) {
            // In the index where its gradient will lie.
            store_parameter_gradient(i, k, quad, saved_activation(saved_parameter(i, k), quad));
        }
        let log_derivative_gradient = -step.inv_batch_size * row_weights(first, end, quad);
        tile[gradient(d, quad)] = transform_backward(x, tile[gradient(d, quad)], log_derivative_gradient, k, quad);
    }
    tile_barrier();
}

/// From the latent: the gradients of its columns and of the base's parameters, and the weighted sum of the rows' log-densities, of which
/// each invocation has a part.
fn tile_base_backward(first: u32, end: u32, lane: u32) -> f32 {
    var log_prob = 0.0;
    for (var quad = lane; quad < QUADS; quad += THREADS) {
        var sum = vec4<f32>();
        for (var k = 0u; k < MOST_ACTIVE; k++) {
            sum += tile[tile_index(LOG_DET + k, quad)];
        }
        for (var d = 0u; d < DIMS; d++) {
            sum += log_density(tile[state(d, quad)], base_location(d), base_spread(d));
        }
        // A row beyond the end may have any number.
        let weights = row_weights(first, end, quad);
        sum = select(vec4<f32>(), sum, weights > vec4<f32>());
        log_prob += dot(sum, weights);
    }
    for (var d = lane; d < DIMS; d += THREADS) {
        let location = base_location(d);
        let spread = base_spread(d);
        var by_location = 0.0;
        var by_spread = 0.0;
        for (var quad = 0u; quad < QUADS; quad++) {
            let weights = row_weights(first, end, quad);
            let z = tile[state(d, quad)];
            let score0 = scores(z.x, location, spread) * weights.x;
            let score1 = scores(z.y, location, spread) * weights.y;
            let score2 = scores(z.z, location, spread) * weights.z;
            let score3 = scores(z.w, location, spread) * weights.w;
            // The loss is minus the weighted mean of log_prob.
            tile[gradient(d, quad)] = -step.inv_batch_size * vec4(score0.x, score1.x, score2.x, score3.x);
            by_location += score0.x + score1.x + score2.x + score3.x;
            by_spread += score0.y + score1.y + score2.y + score3.y;
        }
        if BASE_TRAINED {
            accumulate_gradient(op.location + d, step.inv_batch_size * by_location);
            // d softplus(r) / dr = sigmoid(r)
            let raw = vec4(parameter(op.raw_spread + d));
            accumulate_gradient(op.raw_spread + d, -step.inv_batch_size * by_spread * sigmoid(raw).x);
        }
    }
    tile_barrier();
    return log_prob;
}

@compute @workgroup_size(THREADS)
fn fused_evaluate(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    // Of all parts of the batch: a dispatch may have some of them.
    let number = step.first_group + group.z;
    saved_begin = number * SAVED_COLUMNS * QUADS;
    partial = number;
    let begin = number * step.rows_per_split;
    let end = min(begin + step.rows_per_split, step.rows);
    var log_prob = 0.0;
    for (var first = begin; first < end; first += ROWS) {
        add = first > begin;
        gather(first, end, lane);
        for (var l = 0u; l < LAYERS; l++) {
            let layer = layers[l];
            op = layer;
            if layer.mixed != 0u {
                mix_forward(lane);
            }
            concat(lane);
            expand_basis(false, lane);
            for (var network = 0u; network < layer.networks; network++) {
                condition(layer, network, lane);
            }
            tile_coupling_forward(lane);
        }
        log_prob += tile_base_backward(first, end, lane);
        for (var l = LAYERS; l > 0u; l--) {
            let layer = layers[l - 1u];
            op = layer;
            tile_coupling_backward(first, end, lane);
            concat(lane);
            expand_basis(true, lane);
            for (var network = 0u; network < layer.networks; network++) {
                condition_backward(layer, network, lane);
            }
            expand_basis_backward(lane);
            if layer.mixed != 0u {
                mix_backward(first, end, lane);
            }
        }
    }
    let sum = total(log_prob, lane);
    if lane == 0u {
        loss_partials[number] = sum;
    }
}
