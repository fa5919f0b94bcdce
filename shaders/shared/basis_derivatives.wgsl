#import basis, <basis_family>, <basis_input>
/// The sum over the terms m with a factor in d of their gradients (`term_gradient`) times d term[m] / d input[d].
fn gradient_along(d: u32, quad: u32) -> vec4<f32> {
    var sum = vec4<f32>();
    for (var entry = terms[op.dimensions + d]; entry < terms[op.dimensions + d + 1u]; entry++) {
        let m = terms[entry];
        let first = op.first + m * op.pitch;
        let factors = terms[first];
        var product = term_gradient(m, quad);
        for (var k = 1u; k <= factors; k++) {
            let factor = terms[first + k];
            let u = input_at(factor >> 16u, quad);
            let p = polynomial(factor & 0xFFFFu, u.value);
            product *= select(p.value, p.derivative * u.derivative, factor >> 16u == d);
        }
        sum += product;
    }
    return sum;
}
