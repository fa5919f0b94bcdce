#import bounded, <basis_family>, <basis_input>
// The terms of a polynomial basis, from a table of theirs; `basis_input` gives four rows of an input dimension.
//
// Term m: the number of its factors at op.first + m * op.pitch, then each factor's dimension * 65536 + degree. From
// op.dimensions on: for each input dimension, where its list of terms begins; then one more; then the lists.

struct Polynomial {
    value: vec4<f32>,
    derivative: vec4<f32>,
}

/// The bounded input and its derivative.
fn input_at(d: u32, quad: u32) -> Bounded {
    return bounded(basis_input(d, quad), op.input_bound);
}

/// The product over the factors (d, n) of term m of p_n(u_d), with u the bounded input.
fn term(m: u32, quad: u32) -> vec4<f32> {
    let first = op.first + m * op.pitch;
    let factors = terms[first];
    var product = vec4(1.0);
    for (var k = 1u; k <= factors; k++) {
        let factor = terms[first + k];
        product *= polynomial(factor & 0xFFFFu, input_at(factor >> 16u, quad).value).value;
    }
    return product;
}
