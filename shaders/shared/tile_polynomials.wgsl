#import basis, basis_derivatives, tile, tile_shared
// Conditioners that are linear in a polynomial basis, whose terms have columns of the tile, and their gradients.

@group(1) @binding(7) var<storage, read> terms: array<u32>;

fn basis_input(d: u32, quad: u32) -> vec4<f32> {
    return tile[tile_index(op.input_first + d, quad)];
}

fn term_gradient(m: u32, quad: u32) -> vec4<f32> {
    return tile[tile_index(op.term_gradients + m, quad)];
}

/// The terms of the layer's basis. On the way back (`back`) their gradients begin at 0.
fn expand_basis(back: bool, lane: u32) {
    for (var item = lane; item < op.term_count * QUADS; item += THREADS) {
        let m = item / QUADS;
        let quad = item % QUADS;
        tile[tile_index(op.term_values + m, quad)] = term(m, quad);
        if back {
            tile[tile_index(op.term_gradients + m, quad)] = vec4<f32>();
        }
    }
    tile_barrier();
}

/// From the terms' gradients those of the basis's inputs, unless they are the data.
fn expand_basis_backward(lane: u32) {
    for (var item = lane; item < op.inputs_with_gradient * QUADS; item += THREADS) {
        let d = item / QUADS;
        let quad = item % QUADS;
        tile[gradient(op.frozen_first + d, quad)] += gradient_along(d, quad);
    }
    tile_barrier();
}
