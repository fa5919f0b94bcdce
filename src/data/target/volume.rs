//! Targets made by bending a Gaussian.

use std::f64::consts::{E, TAU};

use super::{Distribution, Draws};

/// The entropy of N(0, 1), in nats.
fn normal_entropy() -> f64 {
    0.5 * (TAU * E).ln()
}

fn normal_log_prob(x: f64, deviation: f64) -> f64 {
    -0.5 * (x / deviation).powi(2) - deviation.ln() - 0.5 * TAU.ln()
}

/// N(0, diag(4, 1)), its second coordinate raised by (x_0² - 4) / 2 (after Haario et al. 1999, section 5).
pub struct Banana;

impl Banana {
    const WIDTH: f64 = 2.0;

    fn rise(x: f64) -> f64 {
        0.5 * (x * x - Self::WIDTH * Self::WIDTH)
    }
}

impl Distribution for Banana {
    fn dims(&self) -> usize {
        2
    }

    fn draw(&self, random: &mut Draws) -> Vec<f64> {
        let x = Self::WIDTH * random.normal();
        vec![x, random.normal() + Self::rise(x)]
    }

    fn log_prob(&self, row: &[f64]) -> f64 {
        normal_log_prob(row[0], Self::WIDTH) + normal_log_prob(row[1] - Self::rise(row[0]), 1.0)
    }

    fn entropy(&self) -> f64 {
        // Bending keeps volumes.
        2.0 * normal_entropy() + Self::WIDTH.ln()
    }
}

/// v ~ N(0, 9), and all others ~ N(0, exp(v)) given v (Neal 2003, "Slice sampling", section 8).
pub struct Funnel {
    pub dims: usize,
}

impl Funnel {
    const WIDTH: f64 = 3.0;
}

impl Distribution for Funnel {
    fn dims(&self) -> usize {
        self.dims
    }

    fn draw(&self, random: &mut Draws) -> Vec<f64> {
        let v = Self::WIDTH * random.normal();
        let mut row = vec![v];
        row.extend((1..self.dims).map(|_| (0.5 * v).exp() * random.normal()));
        row
    }

    fn log_prob(&self, row: &[f64]) -> f64 {
        let deviation = (0.5 * row[0]).exp();
        let others = row[1..].iter().map(|&x| normal_log_prob(x, deviation));
        normal_log_prob(row[0], Self::WIDTH) + others.sum::<f64>()
    }

    fn entropy(&self) -> f64 {
        // The mean of v, and so of every other log-deviation, is 0.
        self.dims as f64 * normal_entropy() + Self::WIDTH.ln()
    }
}
