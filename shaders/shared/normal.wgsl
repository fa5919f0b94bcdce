/// A standard normal number from one random word (Wichura 1988, AS 241, PPND7). CPU version: `standard_normal` in
/// src/random/normal.rs.
fn standard_normal(word: u32) -> f32 {
    // p in (0, 1/2]: the probability of the tail beyond the number.
    let p = (f32(word & 0x7FFFFFFFu) + 0.5) * 2.3283064e-10;
    let q = 0.5 - p;
    var magnitude: f32;
    if q <= 0.425 {
        let r = 0.180625 - q * q;
        magnitude = q * (((59.109374 * r + 159.29113) * r + 50.43427) * r + 3.3871327)
            / (((67.18756 * r + 78.75776) * r + 17.89517) * r + 1.0);
    } else {
        var r = sqrt(-log(p));
        if r <= 5.0 {
            r -= 1.6;
            magnitude = (((0.1702382 * r + 1.3067285) * r + 2.7568154) * r + 1.4234372)
                / ((0.12021133 * r + 0.7370016) * r + 1.0);
        } else {
            r -= 5.0;
            magnitude = (((0.0173372 * r + 0.42868294) * r + 3.0812263) * r + 6.6579051)
                / ((0.012258202 * r + 0.24197894) * r + 1.0);
        }
    }
    return select(magnitude, -magnitude, word >> 31u == 1u);
}

/// A standard logistic number from one random word. CPU version: `standard_logistic` in src/random/normal.rs.
fn standard_logistic(word: u32) -> f32 {
    let p = (f32(word & 0x7FFFFFFFu) + 0.5) * 2.3283064e-10;
    let magnitude = log((1.0 - p) / p);
    return select(magnitude, -magnitude, word >> 31u == 1u);
}
