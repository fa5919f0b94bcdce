//! A flow as the proposal of an importance sampler: the normalizing constant of a density that is known up to it, a banana
//! whose constant is 2 pi. The flow is fitted to draws of a Markov chain, and what the chain got wrong the weights put right.

use couplet::random::{Philox, Purpose};
use couplet::{Fit, Matrix, Table};
use rand::RngExt;

/// ln of exp(-x^2 / 2 - (y - x^2)^2 / 2).
fn log_density(x: f64, y: f64) -> f64 {
    -0.5 * x * x - 0.5 * (y - x * x).powi(2)
}

fn main() -> couplet::Result<()> {
    // Metropolis' chain, every twentieth of its states.
    let mut random = Philox::row(1, Purpose::Generator, 0);
    let mut at = [0.0f64, 0.0];
    let mut draws = Vec::new();
    for step in 0..200_000 {
        let to = at.map(|number| number + 1.5 * (random.random::<f64>() * 2.0 - 1.0));
        let gain = log_density(to[0], to[1]) - log_density(at[0], at[1]);
        if random.random::<f64>().ln() < gain {
            at = to;
        }
        if step % 20 == 0 {
            draws.push(at);
        }
    }
    let values = Matrix::from_fn(draws.len(), 2, |row, column| draws[row][column]);
    let fitted = Fit::new(&Table::new(["x", "y"], values)?)
        .steps(800)
        .run()?;

    const ROWS: u64 = 20_000;
    let sample = fitted.flow.sample(0..ROWS, 2)?;
    let proposed = fitted.flow.log_prob(&sample)?;
    let weights: Vec<f64> = proposed
        .iter()
        .enumerate()
        .map(|(row, q)| (log_density(sample.get(row, 0), sample.get(row, 1)) - q).exp())
        .collect();
    let sum: f64 = weights.iter().sum();
    let squares: f64 = weights.iter().map(|weight| weight * weight).sum();
    let constant = sum / ROWS as f64;
    let effective = sum * sum / squares;
    let error = constant * (1.0 / effective - 1.0 / ROWS as f64).sqrt();
    println!(
        "constant {constant:.4} +- {error:.4}, exactly {:.4}",
        std::f64::consts::TAU
    );
    println!("{effective:.0} of {ROWS} draws are worth one of the density itself");
    Ok(())
}
