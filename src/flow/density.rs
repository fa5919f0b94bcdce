use super::Density;

impl Density {
    /// The spread that a trained raw spread r stands for, as a number that scales z: the deviation of a normal density, whose
    /// variance is softplus(r), and the scale softplus(r) of a logistic one.
    pub fn spread(self, raw: f64) -> f64 {
        let softplus = raw.max(0.0) + (-raw.abs()).exp().ln_1p();
        match self {
            Density::Normal => softplus.sqrt(),
            Density::Logistic => softplus,
        }
    }

    /// The density at `z`, of location 0 and spread 1.
    pub fn pdf(self, z: f64) -> f64 {
        match self {
            Density::Normal => (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt(),
            Density::Logistic => {
                let small = (-z.abs()).exp();
                small / (1.0 + small).powi(2)
            }
        }
    }

    /// The probability of a number of at most `z`, of location 0 and spread 1.
    pub fn cdf(self, z: f64) -> f64 {
        match self {
            Density::Normal => 0.5 * libm::erfc(-z / std::f64::consts::SQRT_2),
            Density::Logistic => 1.0 / (1.0 + (-z).exp()),
        }
    }

    /// The number whose [`Density::cdf`] is `probability`: minus infinity for 0, infinity for 1.
    pub fn quantile(self, probability: f64) -> f64 {
        let tail = probability.min(1.0 - probability);
        if tail <= 0.0 {
            return match probability > 0.5 {
                true => f64::INFINITY,
                false => f64::NEG_INFINITY,
            };
        }
        // Of the lower tail, which keeps its digits.
        let lower = match self {
            Density::Logistic => (tail / (1.0 - tail)).ln(),
            Density::Normal => {
                // log cdf is concave, so Newton's method does not overshoot from below the root, where it begins: the cdf at -t is at
                // most exp(-t^2 / 2) / 2.
                let mut z = -(-2.0 * (2.0 * tail).ln()).max(0.0).sqrt();
                for _ in 0..40 {
                    let cdf = self.cdf(z);
                    let step = (cdf / tail).ln() * cdf / self.pdf(z);
                    z -= step;
                    if step.abs() <= 1e-15 * z.abs() {
                        break;
                    }
                }
                z
            }
        };
        if probability < 0.5 { lower } else { -lower }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{standard_logistic, standard_normal};

    #[test]
    fn quantiles_are_those_of_tables() {
        for (probability, normal) in [
            (0.5, 0.0),
            (0.975, 1.959_963_984_540_054),
            (0.01, -2.326_347_874_040_841),
            (1e-12, -7.034_483_825_301_131),
        ] {
            let found = Density::Normal.quantile(probability);
            assert!((found - normal).abs() < 1e-12, "{probability}: {found}");
        }
        assert!((Density::Logistic.quantile(0.75) - 3f64.ln()).abs() < 1e-14);
        assert_eq!(Density::Normal.quantile(1.0), f64::INFINITY);
        assert_eq!(Density::Logistic.quantile(0.0), f64::NEG_INFINITY);
    }

    #[test]
    fn quantiles_invert_the_cdf_down_to_tiny_tails() {
        for density in [Density::Normal, Density::Logistic] {
            for probability in [1e-300, 1e-30, 1e-9, 1e-3, 0.2, 0.499, 0.5, 0.7, 0.999] {
                let back = density.cdf(density.quantile(probability));
                let error = (back - probability).abs();
                assert!(
                    error < 1e-11 * probability,
                    "{density:?} {probability} {back}"
                );
            }
        }
    }

    #[test]
    fn densities_are_slopes_of_the_cdf() {
        for density in [Density::Normal, Density::Logistic] {
            for k in -40..=40 {
                let z = f64::from(k) * 0.1;
                let slope = (density.cdf(z + 1e-5) - density.cdf(z - 1e-5)) / 2e-5;
                assert!((slope - density.pdf(z)).abs() < 1e-9, "{density:?} {z}");
            }
        }
    }

    /// The samplers of f32 draw from the same densities.
    #[test]
    fn samplers_invert_the_same_cdf() {
        for word in [0u32, 7, 1 << 20, 1 << 30, 0x7FFF_FFFF] {
            let tail = (f64::from(word) + 0.5) / 2f64.powi(32);
            for (density, drawn) in [
                (Density::Normal, standard_normal(word)),
                (Density::Logistic, standard_logistic(word)),
            ] {
                let expected = density.quantile(1.0 - tail);
                let error = (f64::from(drawn) - expected).abs();
                assert!(
                    error < 2e-6 * expected.abs().max(1e-2),
                    "{drawn} {expected}"
                );
            }
        }
    }
}
