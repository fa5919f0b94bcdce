//! A regression with honest uncertainty: the density of y given x where y may be the square root of x or its negative, each seen
//! with noise. A mean would lie between the two, where no y ever is; the density has both.

use couplet::random::{Purpose, normal_at};
use couplet::{Fit, Matrix, Table};

fn main() -> couplet::Result<()> {
    let normal =
        |row: usize, column| f64::from(normal_at(1, Purpose::TargetRows, row as u64, column));
    let values = Matrix::from_fn(4000, 2, |row, column| {
        let x = normal(row, 0).powi(2);
        match column {
            0 => x,
            _ => x.sqrt() * normal(row, 1).signum() + 0.2 * normal(row, 2),
        }
    });
    let table = Table::new(["x", "y"], values)?;
    let fitted = Fit::new(&table).given(["x"]).steps(1500).seed(1).run()?;
    let flow = &fitted.flow;

    println!("   x   p(y | x) for y from -3 to 3");
    for x in [0.0, 0.5, 1.0, 2.0, 4.0] {
        let context = Matrix::from_values(1, 1, vec![x]);
        let y = Matrix::from_fn(61, 1, |k, _| -3.0 + 0.1 * k as f64);
        let log_prob = flow.log_prob_given(&y, &context)?;
        let shades = log_prob.iter().map(|p| match p.exp() {
            density if density > 0.6 => '@',
            density if density > 0.3 => 'o',
            density if density > 0.1 => '.',
            _ => ' ',
        });
        println!("{x:4.1} |{}|", shades.collect::<String>());
    }
    let four = Matrix::from_values(1, 1, vec![4.0]);
    let quantiles = flow.quantiles(&four, &[0.25, 0.75])?;
    println!(
        "given x = 4, a quarter of y lies below {:.2} and a quarter above {:.2}",
        quantiles.get(0, 0),
        quantiles.get(0, 1)
    );
    let worth = fitted.report.worth_of_context().unwrap_or(0.0);
    println!("x is worth {worth:.2} nats");
    Ok(())
}
