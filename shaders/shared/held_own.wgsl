// A software adapter runs invocations as the lanes of a vector: it reaches their own memory a vector at a time, workgroup memory
// lane by lane. So an invocation copies what its products take again and again.

var<private> held: array<vec4<f32>, MOST_HELD>;

fn hold(column: u32, count: u32, quad: u32) {
    for (var i = 0u; i < count; i++) {
        held[i] = tile[cell(column + i, quad)];
    }
}

/// Four rows of the i-th of the columns held.
fn held_column(column: u32, i: u32, quad: u32) -> vec4<f32> {
    return held[i];
}
