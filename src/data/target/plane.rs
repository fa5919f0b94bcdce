//! Targets with two columns.

use std::f64::consts::{PI, TAU};

use rayon::prelude::*;

use crate::numeric::log_sum_exp;

use super::{Distribution, Draws};

/// Nodes and weights of the eight-point Gauss-Legendre rule on [-1, 1]; the other half mirrors them.
const GAUSS_LEGENDRE: [(f64, f64); 4] = [
    (0.183_434_642_495_649_8, 0.362_683_783_378_362),
    (0.525_532_409_916_329, 0.313_706_645_877_887_3),
    (0.796_666_477_413_626_7, 0.222_381_034_453_374_5),
    (0.960_289_856_497_536_3, 0.101_228_536_290_376_3),
];

/// The entropy of a density on [-reach, reach]², in nats, by the rectangle rule, which converges faster than any power of
/// the step for what is smooth and vanishes at the edge. `step` is at most half of the narrowest deviation.
fn entropy_on_grid(target: &dyn Distribution, reach: f64, step: f64) -> f64 {
    let steps = (2.0 * reach / step).ceil() as i64;
    let at = |k: i64| -reach + step * k as f64;
    let total: f64 = (0..=steps)
        .into_par_iter()
        .map(|i| {
            (0..=steps)
                .map(|j| {
                    let log_prob = target.log_prob(&[at(i), at(j)]);
                    // Far out there is nothing left of p, nor of p log p.
                    let p = log_prob.exp();
                    if p > 0.0 { -p * log_prob } else { 0.0 }
                })
                .sum::<f64>()
        })
        .collect::<Vec<f64>>()
        .into_iter()
        .sum();
    total * step * step
}

/// log N((x, y); 0, deviation² I) for the squared distance from the center.
fn round_log_prob(squared_distance: f64, deviation: f64) -> f64 {
    -0.5 * squared_distance / (deviation * deviation) - (TAU * deviation * deviation).ln()
}

fn rotate([x, y]: [f64; 2], angle: f64) -> [f64; 2] {
    let (sin, cos) = angle.sin_cos();
    [cos * x - sin * y, sin * x + cos * y]
}

/// Two curves with round normal noise around them. The density is an integral along the curves.
pub struct Curves {
    noise: f64,
    /// A point of curve 0 or 1 at t in [0, 1].
    point: fn(usize, f64) -> [f64; 2],
    /// The density of t.
    density: fn(f64) -> f64,
    /// t for a uniform number.
    quantile: fn(f64) -> f64,
    /// Beyond this, in any coordinate, there is nothing.
    reach: f64,
    /// Points of both curves, and the logarithms of their weights.
    nodes: Vec<([f64; 2], f64)>,
}

impl Curves {
    /// Two interlocking half circles of radius 1, noise 0.05 (as scikit-learn's `make_moons`).
    pub fn two_moons() -> Self {
        let point = |curve, t: f64| {
            let (sin, cos) = (PI * t).sin_cos();
            match curve {
                0 => [cos, sin],
                _ => [1.0 - cos, 0.5 - sin],
            }
        };
        Curves {
            noise: 0.05,
            point,
            density: |_| 1.0,
            quantile: |u| u,
            reach: 2.5,
            nodes: Vec::new(),
        }
        .with_nodes(PI)
    }

    /// Two interlocking spirals of one and a half turns out to radius 3, noise 0.1; t is the root of a uniform number, so
    /// that the rows are even along the curve.
    pub fn two_spirals() -> Self {
        let point = |curve, t: f64| {
            let (sin, cos) = (3.0 * PI * t).sin_cos();
            let radius = if curve == 0 { 3.0 * t } else { -3.0 * t };
            [-radius * cos, radius * sin]
        };
        Curves {
            noise: 0.1,
            point,
            density: |t| 2.0 * t,
            quantile: f64::sqrt,
            reach: 4.0,
            nodes: Vec::new(),
        }
        // The speed at the outer end: sqrt(1 + (3 pi)²) times 3.
        .with_nodes(29.0)
    }

    /// Panels no longer than twice the noise, given the curves' top speed: eight nodes in each are good to 1e-9.
    fn with_nodes(mut self, speed: f64) -> Self {
        let panels = (speed / (2.0 * self.noise)).ceil();
        for curve in 0..2 {
            for panel in 0..panels as usize {
                for (node, weight) in GAUSS_LEGENDRE {
                    for node in [-node, node] {
                        let t = (panel as f64 + 0.5 * (1.0 + node)) / panels;
                        // Half of the rows belong to each curve, half of [-1, 1] is 1 long.
                        let weight = 0.5 * weight * 0.5 / panels * (self.density)(t);
                        self.nodes.push(((self.point)(curve, t), weight.ln()));
                    }
                }
            }
        }
        self
    }
}

impl Distribution for Curves {
    fn dims(&self) -> usize {
        2
    }

    fn draw(&self, random: &mut Draws) -> Vec<f64> {
        let curve = random.below(2);
        let [x, y] = (self.point)(curve, (self.quantile)(random.uniform()));
        vec![
            x + self.noise * random.normal(),
            y + self.noise * random.normal(),
        ]
    }

    fn log_prob(&self, row: &[f64]) -> f64 {
        log_sum_exp(self.nodes.iter().map(|&([x, y], log_weight)| {
            let squared = (row[0] - x).powi(2) + (row[1] - y).powi(2);
            log_weight + round_log_prob(squared, self.noise)
        }))
    }

    fn entropy(&self) -> f64 {
        entropy_on_grid(self, self.reach, self.noise / 2.0)
    }
}

/// Rings of radius 1, 2 and 3 with equal weights; the radius has normal noise 0.1.
pub struct Rings;

impl Rings {
    const RADII: [f64; 3] = [1.0, 2.0, 3.0];
    const NOISE: f64 = 0.1;

    /// The density of the radius, at a radius.
    fn radial(radius: f64) -> f64 {
        let normal = |x: f64| (-0.5 * x * x).exp() / (Self::NOISE * TAU.sqrt());
        let fraction = 1.0 / Self::RADII.len() as f64;
        Self::RADII
            .iter()
            .map(|ring| fraction * normal((radius - ring) / Self::NOISE))
            .sum()
    }
}

impl Distribution for Rings {
    fn dims(&self) -> usize {
        2
    }

    fn draw(&self, random: &mut Draws) -> Vec<f64> {
        let radius = Self::RADII[random.below(3)] + Self::NOISE * random.normal();
        let (sin, cos) = (TAU * random.uniform()).sin_cos();
        vec![radius * cos, radius * sin]
    }

    fn log_prob(&self, row: &[f64]) -> f64 {
        let radius = row[0].hypot(row[1]);
        // A radius below 0 is ten deviations away.
        (Self::radial(radius) / (TAU * radius.max(1e-3))).ln()
    }

    fn entropy(&self) -> f64 {
        // H = -integral of radial(r) log(radial(r) / (2 pi r)) dr, by the rectangle rule.
        let step = Self::NOISE / 20.0;
        let total: f64 = (1..(5.0 / step) as usize)
            .map(|k| {
                let radius = step * k as f64;
                let density = Self::radial(radius);
                if density > 0.0 {
                    -density * (density / (TAU * radius)).ln()
                } else {
                    0.0
                }
            })
            .sum();
        total * step
    }
}

/// Five arms: a point (1 + 0.3 n, 0.1 n') is turned to its arm, then further with its distance from the center, and the
/// plane is stretched by 2 (after Johnson et al. 2016, "Composing graphical models with neural networks", figure 1).
pub struct Pinwheel;

impl Pinwheel {
    const ARMS: usize = 5;
    const LENGTH: f64 = 0.3;
    const WIDTH: f64 = 0.1;
    const STRETCH: f64 = 2.0;

    fn angle(arm: usize, radius: f64) -> f64 {
        TAU * arm as f64 / Self::ARMS as f64 + 0.25 * radius.exp()
    }
}

impl Distribution for Pinwheel {
    fn dims(&self) -> usize {
        2
    }

    fn draw(&self, random: &mut Draws) -> Vec<f64> {
        let arm = random.below(Self::ARMS);
        let point = [
            1.0 + Self::LENGTH * random.normal(),
            Self::WIDTH * random.normal(),
        ];
        let turned = rotate(point, Self::angle(arm, point[0].hypot(point[1])));
        turned.map(|x| Self::STRETCH * x).to_vec()
    }

    fn log_prob(&self, row: &[f64]) -> f64 {
        let point = [row[0] / Self::STRETCH, row[1] / Self::STRETCH];
        let radius = point[0].hypot(point[1]);
        // Turning by an angle that depends on the radius keeps areas.
        let constant =
            -(TAU * Self::LENGTH * Self::WIDTH * Self::ARMS as f64).ln() - 2.0 * Self::STRETCH.ln();
        let arms = (0..Self::ARMS).map(|arm| {
            let [along, across] = rotate(point, -Self::angle(arm, radius));
            let squares = ((along - 1.0) / Self::LENGTH).powi(2) + (across / Self::WIDTH).powi(2);
            -0.5 * squares
        });
        constant + log_sum_exp(arms)
    }

    fn entropy(&self) -> f64 {
        entropy_on_grid(self, 6.0, Self::STRETCH * Self::WIDTH / 4.0)
    }
}

/// Uniform on every other square, of side 2, of a board over [-4, 4]².
pub struct Checkerboard;

impl Distribution for Checkerboard {
    fn dims(&self) -> usize {
        2
    }

    fn draw(&self, random: &mut Draws) -> Vec<f64> {
        let column = random.below(4);
        let row = 2 * random.below(2) + column % 2;
        let mut index = |square: usize| -4.0 + 2.0 * (square as f64 + random.uniform());
        vec![index(column), index(row)]
    }

    fn log_prob(&self, row: &[f64]) -> f64 {
        let square = |x: f64| ((x + 4.0) / 2.0).floor();
        let (i, j) = (square(row[0]), square(row[1]));
        let on_board = |k: f64| (0.0..4.0).contains(&k);
        if on_board(i) && on_board(j) && (i + j) % 2.0 == 0.0 {
            -self.entropy()
        } else {
            f64::NEG_INFINITY
        }
    }

    fn entropy(&self) -> f64 {
        32f64.ln()
    }
}

/// Eight round Gaussians of deviation 0.3 on a circle of radius 3.
pub struct Mixture;

impl Mixture {
    const PARTS: usize = 8;
    const RADIUS: f64 = 3.0;
    const DEVIATION: f64 = 0.3;

    fn center(part: usize) -> [f64; 2] {
        rotate([Self::RADIUS, 0.0], TAU * part as f64 / Self::PARTS as f64)
    }
}

impl Distribution for Mixture {
    fn dims(&self) -> usize {
        2
    }

    fn draw(&self, random: &mut Draws) -> Vec<f64> {
        let center = Self::center(random.below(Self::PARTS));
        center
            .map(|x| x + Self::DEVIATION * random.normal())
            .to_vec()
    }

    fn log_prob(&self, row: &[f64]) -> f64 {
        let parts = (0..Self::PARTS).map(|part| {
            let [x, y] = Self::center(part);
            round_log_prob((row[0] - x).powi(2) + (row[1] - y).powi(2), Self::DEVIATION)
        });
        log_sum_exp(parts) - (Self::PARTS as f64).ln()
    }

    fn entropy(&self) -> f64 {
        entropy_on_grid(self, 6.0, Self::DEVIATION / 4.0)
    }
}
