use rand::Rng;
use rand::distr::Distribution;

/// A standard normal number from one random word, by inversion: Wichura's algorithm AS 241, routine PPND7 (1988,
/// relative accuracy about 1e-7), whose polynomials suit f32. The word's top bit is the sign, the other 31 bits the
/// tail probability, so that both tails are equally fine; |z| reaches 6.3.
///
/// On a GPU: `standard_normal` in `shaders/shared/normal.wgsl`, with the same polynomials.
pub fn standard_normal(word: u32) -> f32 {
    // p in (0, 1/2]: the probability of the tail beyond the number. Rounded once, to f32's 24 bits.
    let p = ((word & 0x7FFF_FFFF) as f32 + 0.5) * 2.328_306_4e-10;
    let q = 0.5 - p;
    let magnitude = if q <= 0.425 {
        let r = 0.180_625 - q * q;
        q * (((59.109_374 * r + 159.291_13) * r + 50.434_27) * r + 3.387_132_7)
            / (((67.187_56 * r + 78.757_76) * r + 17.895_17) * r + 1.0)
    } else {
        let r = (-p.ln()).sqrt();
        if r <= 5.0 {
            let r = r - 1.6;
            (((0.170_238_2 * r + 1.306_728_5) * r + 2.756_815_4) * r + 1.423_437_2)
                / ((0.120_211_33 * r + 0.737_001_6) * r + 1.0)
        } else {
            let r = r - 5.0;
            (((0.017_337_2 * r + 0.428_682_94) * r + 3.081_226_3) * r + 6.657_905)
                / ((0.012_258_202 * r + 0.241_978_94) * r + 1.0)
        }
    };
    if word >> 31 == 1 {
        -magnitude
    } else {
        magnitude
    }
}

/// A standard logistic number from one random word, by inversion: log((1 - p) / p), with sign and tail probability p as in
/// [`standard_normal`]; it reaches 22.9. On a GPU: `standard_logistic` in `shaders/shared/normal.wgsl`.
pub fn standard_logistic(word: u32) -> f32 {
    let p = ((word & 0x7FFF_FFFF) as f32 + 0.5) * 2.328_306_4e-10;
    let magnitude = ((1.0 - p) / p).ln();
    if word >> 31 == 1 {
        -magnitude
    } else {
        magnitude
    }
}

/// N(0, 1), one word a number: [`standard_normal`].
#[derive(Clone, Copy, Debug)]
pub struct StandardNormal;

impl Distribution<f32> for StandardNormal {
    fn sample<R: Rng + ?Sized>(&self, random: &mut R) -> f32 {
        standard_normal(random.next_u32())
    }
}

/// The standard logistic distribution, one word a number: [`standard_logistic`].
#[derive(Clone, Copy, Debug)]
pub struct StandardLogistic;

impl Distribution<f32> for StandardLogistic {
    fn sample<R: Rng + ?Sized>(&self, random: &mut R) -> f32 {
        standard_logistic(random.next_u32())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quantiles of the standard normal to 9 digits (tables; equally R's qnorm).
    #[test]
    fn known_quantiles() {
        for (p, z) in [
            (0.25, 0.674_489_750_f64),
            (0.1, 1.281_551_566),
            (0.025, 1.959_963_985),
            (1e-3, 3.090_232_306),
            (1e-6, 4.753_424_309),
            (1e-9, 5.997_807_015),
        ] {
            let word = (p * 4_294_967_296.0 - 0.5_f64).round() as u32;
            let nearest = (f64::from(word) + 0.5) / 4_294_967_296.0;
            // The word's grid is 2^-32 wide: move the expectation by dz = dp / density.
            let density = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
            let expected = z + (p - nearest) / density;
            // PPND7 promises 1e-7; f32 arithmetic adds a few units in the last place. The grid's second-order
            // term matters at 1e-9 alone.
            let tolerance = if p < 1e-8 { 2e-2 } else { 1e-6 * expected };
            let got = f64::from(standard_normal(word));
            assert!(
                (got - expected).abs() < tolerance,
                "p {p}: {got}, expected {expected}"
            );
            assert_eq!(
                standard_normal(word | 1 << 31),
                -standard_normal(word),
                "the tails mirror each other"
            );
        }
    }

    #[test]
    fn logistic_quantiles() {
        for p in [0.25f64, 0.1, 1e-3, 1e-6] {
            let word = (p * 4_294_967_296.0) as u32;
            let p = (f64::from(word) + 0.5) / 4_294_967_296.0;
            let expected = ((1.0 - p) / p).ln();
            let got = f64::from(standard_logistic(word));
            assert!((got - expected).abs() < 1e-5, "{p}: {got}, {expected}");
            assert_eq!(standard_logistic(word | 1 << 31), -standard_logistic(word));
        }
    }

    #[test]
    fn moments_of_a_stream() {
        let n = 200_000u64;
        let draws = (0..n).map(|i| {
            f64::from(super::super::normal_at(
                1,
                super::super::Purpose::Noise,
                i,
                0,
            ))
        });
        let (mut m1, mut m2, mut m4) = (0.0, 0.0, 0.0);
        for z in draws {
            m1 += z / n as f64;
            m2 += z * z / n as f64;
            m4 += z.powi(4) / n as f64;
        }
        // Five standard errors: 1/sqrt(n), sqrt(2/n), sqrt(96/n).
        assert!(
            m1.abs() < 0.0112 && (m2 - 1.0).abs() < 0.0158 && (m4 - 3.0).abs() < 0.11,
            "{m1} {m2} {m4}"
        );
    }
}
