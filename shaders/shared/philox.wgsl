// Philox4x32-10 (Salmon et al. 2011). CPU version: `philox4x32` in src/random/philox.rs; the integers are the same.

/// The high and the low word of a 32 x 32 bit product.
fn multiply_wide(a: u32, b: u32) -> vec2<u32> {
    let a_low = a & 0xFFFFu;
    let a_high = a >> 16u;
    let b_low = b & 0xFFFFu;
    let b_high = b >> 16u;
    let low = a_low * b_low;
    // At most (2^16 - 1)^2 + 2^16 - 1: no overflow.
    let middle = a_high * b_low + (low >> 16u);
    let middle_low = (middle & 0xFFFFu) + a_low * b_high;
    let high = a_high * b_high + (middle >> 16u) + (middle_low >> 16u);
    return vec2(high, a * b);
}

fn philox4x32(counter_: vec4<u32>, key_: vec2<u32>) -> vec4<u32> {
    var counter = counter_;
    var key = key_;
    for (var round = 0u; round < 10u; round++) {
        if round > 0u {
            key += vec2(0x9E3779B9u, 0xBB67AE85u);
        }
        let product0 = multiply_wide(counter.x, 0xD2511F53u);
        let product1 = multiply_wide(counter.z, 0xCD9E8D57u);
        counter = vec4(
            product1.x ^ counter.y ^ key.x,
            product1.y,
            product0.x ^ counter.w ^ key.y,
            product0.y,
        );
    }
    return counter;
}
