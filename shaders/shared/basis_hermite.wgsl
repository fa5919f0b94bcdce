#import basis
/// Value and derivative of He_n(x) / sqrt(n!). CPU version: `polynomial` in src/cpu/basis.rs.
fn polynomial(n: u32, x: vec4<f32>) -> Polynomial {
    var before = vec4<f32>();
    var p = Polynomial(vec4(1.0), vec4<f32>());
    for (var k = 0u; k < n; k++) {
        // sqrt(k + 1) h_{k+1} = x h_k - sqrt(k) h_{k-1};  h'_{k+1} = sqrt(k + 1) h_k
        let root = sqrt(f32(k + 1u));
        let next = (x * p.value - sqrt(f32(k)) * before) / root;
        before = p.value;
        p = Polynomial(next, root * before);
    }
    return p;
}
