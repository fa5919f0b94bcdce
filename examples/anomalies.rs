//! Rows of a stream that a flow finds unlikely, as they come: lines of numbers on standard input, `LINE<TAB>SCORE` out for those
//! below all but one in a hundred of the rows trained on.
//! `cargo run --release --example anomalies TABLE.csv < stream.csv`; without a table it makes both up.

use std::io::{BufRead, Cursor, stdin};

use couplet::data::{Target, TargetName};
use couplet::{Error, Fit, Matrix, Table};

fn main() -> couplet::Result<()> {
    let (table, stream): (Table, Box<dyn BufRead>) = match std::env::args().nth(1) {
        Some(path) => (Table::read(path)?, Box::new(stdin().lock())),
        None => {
            let rings = Target::new(TargetName::Rings, None, None, 1)?;
            let table = Table::new(["x", "y"], rings.training_rows(2000).map(f64::from))?;
            let [x, y] = [0, 1].map(|j| table.values.get(7, j));
            let stream = format!("{x},{y}\n9.0,-9.0\n");
            (table, Box::new(Cursor::new(stream)))
        }
    };
    let flow = Fit::new(&table).steps(600).run()?.flow;
    let mut scores = flow.log_prob(&table.values)?;
    scores.sort_by(f64::total_cmp);
    let threshold = scores[scores.len() / 100];
    for line in stream.lines() {
        let line = line.map_err(|error| Error::Data(error.to_string().into()))?;
        let numbers: Result<Vec<f64>, _> =
            line.split(',').map(|field| field.trim().parse()).collect();
        let Ok(numbers) = numbers else {
            println!("{line}\tnot numbers");
            continue;
        };
        let row = Matrix::from_values(1, numbers.len(), numbers);
        let score = flow.log_prob(&row)?[0];
        if score < threshold {
            println!("{line}\t{score:.3}");
        }
    }
    Ok(())
}
