/// The weights of four n.
fn four_weights(n: u32, k: u32) -> vec4<f32> {
    return vec4(
        weight_or_zero(n, k),
        weight_or_zero(n + 1u, k),
        weight_or_zero(n + 2u, k),
        weight_or_zero(n + 3u, k),
    );
}
