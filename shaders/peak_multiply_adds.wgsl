// As many multiply-adds as a GPU can do: chains in registers alone, more of them than an invocation has under way at once.
// `src/gpu/peak.rs` times it. CPU version: `multiply_adds` in src/cpu/peak.rs.

@group(1) @binding(0) var<storage, read_write> sums: array<vec4<f32>>;

@compute @workgroup_size(GROUP)
fn peak_multiply_adds(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let factor = vec4(0.999);
    let addend = vec4(1e-3);
    var sum0 = vec4(f32(invocation.x));
    var sum1 = sum0 + 1.0;
    var sum2 = sum0 + 2.0;
    var sum3 = sum0 + 3.0;
    for (var i = 0u; i < PEAK_ROUNDS; i++) {
        sum0 = fma(sum0, factor, addend);
        sum1 = fma(sum1, factor, addend);
        sum2 = fma(sum2, factor, addend);
        sum3 = fma(sum3, factor, addend);
        sum0 = fma(sum0, factor, addend);
        sum1 = fma(sum1, factor, addend);
        sum2 = fma(sum2, factor, addend);
        sum3 = fma(sum3, factor, addend);
    }
    // Nobody reads them; without, a compiler would leave the loop out.
    sums[invocation.x % arrayLength(&sums)] = sum0 + sum1 + sum2 + sum3;
}
