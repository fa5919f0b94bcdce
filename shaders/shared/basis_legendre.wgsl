#import basis
/// Value and derivative of sqrt(2n + 1) P_n(x). CPU version: `polynomial` in src/cpu/basis.rs.
fn polynomial(n: u32, x: vec4<f32>) -> Polynomial {
    var before = Polynomial(vec4<f32>(), vec4<f32>());
    var p = Polynomial(vec4(1.0), vec4<f32>());
    for (var k = 0u; k < n; k++) {
        // (k + 1) P_{k+1} = (2k + 1) x P_k - k P_{k-1};  P'_{k+1} = P'_{k-1} + (2k + 1) P_k
        let odd = f32(2u * k + 1u);
        let next = Polynomial(
            (odd * x * p.value - f32(k) * before.value) / f32(k + 1u),
            before.derivative + odd * p.value,
        );
        before = p;
        p = next;
    }
    let norm = sqrt(f32(2u * n + 1u));
    return Polynomial(norm * p.value, norm * p.derivative);
}
