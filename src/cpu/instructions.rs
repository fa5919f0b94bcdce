use std::sync::OnceLock;

use pulp::{Arch, WithSimd};

/// Holds the loops to an older instruction set, to see what they do on a machine that has no other: `avx2` or `plain`.
/// What a library multiplies is not held by it.
const LIMIT: &str = "COUPLET_INSTRUCTIONS";

/// Runs `work` with the widest vectors that the processor has.
#[inline]
pub fn dispatch<W: WithSimd>(work: W) -> W::Output {
    // A module whose engine has vectors needs no loops without.
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    if let Some(vectors) = pulp::wasm::Simd128::try_new() {
        return pulp::Simd::vectorize(vectors, work);
    }
    instructions().dispatch(work)
}

fn instructions() -> Arch {
    static FOUND: OnceLock<Arch> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let limit = std::env::var(LIMIT).unwrap_or_default();
        match limit.as_str() {
            "plain" => Arch::Scalar,
            #[cfg(target_arch = "x86_64")]
            "avx2" => pulp::x86::V3::try_new().map_or(Arch::Scalar, Arch::V3),
            _ => Arch::new(),
        }
    })
}

/// The instruction set's name, for people.
pub fn name() -> &'static str {
    match instructions() {
        Arch::Scalar => "no vectors",
        #[cfg(target_arch = "x86_64")]
        Arch::V3(_) => "AVX2",
        #[cfg(target_arch = "x86_64")]
        Arch::V4(_) => "AVX-512",
        #[cfg(target_arch = "aarch64")]
        Arch::Neon(_) => "NEON",
        _ => "vectors",
    }
}
