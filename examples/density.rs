//! The density of a table's first two columns, drawn in the terminal. `cargo run --release --example density [TABLE.csv]`;
//! without a table, two moons.

use couplet::data::{Target, TargetName};
use couplet::{Fit, Matrix, Table};

const WIDTH: usize = 64;
const HEIGHT: usize = 24;

fn main() -> couplet::Result<()> {
    let table = match std::env::args().nth(1) {
        Some(path) => Table::read(path)?,
        None => {
            let moons = Target::new(TargetName::TwoMoons, None, None, 1)?;
            Table::new(["x", "y"], moons.training_rows(2000).map(f64::from))?
        }
    };
    if table.columns.len() != 2 {
        return Err(couplet::Error::Data(
            "this picture is of tables with two columns".into(),
        ));
    }
    let fitted = Fit::new(&table).steps(600).run()?;
    let range = |j: usize| {
        let column = table.values.column(j).iter();
        column.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], &x| {
            [low.min(x), high.max(x)]
        })
    };
    let ([left, right], [bottom, top]) = (range(0), range(1));
    let at = |low: f64, high: f64, index: f64| low + (high - low) * index;
    let points = Matrix::from_fn(WIDTH * HEIGHT, 2, |cell, j| match j {
        0 => at(left, right, (0.5 + (cell % WIDTH) as f64) / WIDTH as f64),
        _ => at(top, bottom, (0.5 + (cell / WIDTH) as f64) / HEIGHT as f64),
    });
    let log_prob = fitted.flow.log_prob(&points)?;
    let most = log_prob.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for row in log_prob.chunks(WIDTH) {
        // Each shade is a third of the density before it, or a little more.
        let shade = |&p: &f64| match most - p {
            ..1.0 => '@',
            ..2.0 => '#',
            ..3.0 => '+',
            ..5.0 => '.',
            _ => ' ',
        };
        println!("{}", row.iter().map(shade).collect::<String>());
    }
    println!(
        "{:.3} nats on {} rows, {}",
        fitted.report.nll,
        table.values.rows(),
        fitted.report.device
    );
    Ok(())
}
