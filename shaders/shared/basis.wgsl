// What both passes through a polynomial basis share. Rows come in fours: `quad` counts four rows.

struct Polynomial {
    value: vec4<f32>,
    slope: vec4<f32>,
}

@group(1) @binding(0) var<uniform> op: Basis;
// Term m: the number of its factors at m * op.pitch, then each factor's dimension * 65536 + degree. Behind the terms, from
// op.dimensions on: for each input dimension, where its list of terms begins; then one more; then the lists.
@group(1) @binding(1) var<storage, read> terms: array<u32>;
@group(1) @binding(2) var<storage, read> input: array<vec4<f32>>;

/// The bounded input and its slope.
fn input_at(d: u32, quad: u32) -> Bounded {
    return bounded(input[(op.input_first + d) * (step.stride / 4u) + quad], op.input_bound);
}
