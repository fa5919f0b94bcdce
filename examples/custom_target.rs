//! A target of one's own: rows drawn from a density that is known, and how far the flow is from it, the KL divergence.

use couplet::random::{Philox, Purpose};
use couplet::{Fit, Matrix, Table};
use rand::RngExt;

/// Radius 1 + 3 u^2, u and the angle uniform: a galaxy that thins out.
fn draw(row: u64) -> [f64; 2] {
    let mut random = Philox::row(7, Purpose::Generator, row);
    let radius = 1.0 + 3.0 * random.random::<f64>().powi(2);
    let (sin, cos) = (std::f64::consts::TAU * random.random::<f64>()).sin_cos();
    [radius * cos, radius * sin]
}

/// u = sqrt((r - 1) / 3) has the density du/dr = 1 / (6 u), and a radius has a circle for its angle.
fn log_prob(x: f64, y: f64) -> f64 {
    let radius = x.hypot(y);
    let u = ((radius - 1.0) / 3.0).sqrt();
    -(6.0 * u).ln() - (std::f64::consts::TAU * radius).ln()
}

fn rows(first: u64, count: usize) -> Matrix<f64> {
    Matrix::from_fn(count, 2, |row, column| draw(first + row as u64)[column])
}

fn main() -> couplet::Result<()> {
    let table = Table::new(["x", "y"], rows(0, 5000))?;
    let fitted = Fit::new(&table).steps(800).run()?;
    let fresh = rows(1 << 32, 5000);
    let ours = fitted.flow.log_prob(&fresh)?;
    let gaps: Vec<f64> = ours
        .iter()
        .enumerate()
        .map(|(row, q)| log_prob(fresh.get(row, 0), fresh.get(row, 1)) - q)
        .collect();
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
    let error = (variance / gaps.len() as f64).sqrt();
    println!("KL divergence {mean:.4} +- {error:.4} nats, on rows that training never saw");
    Ok(())
}
