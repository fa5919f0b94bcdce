//! Columns of categories, modelled with the numbers beside them.

use couplet::random::{Purpose, normal_at, uniform, words};
use couplet::{Fit, Flow, Matrix, Table};

use crate::kinds::fit;

const A: [&str; 2] = ["u", "v"];
const B: [&str; 3] = ["p", "q", "r"];
/// The probabilities of the joint levels, and the normal distribution of x given each.
const P: [[f64; 3]; 2] = [[0.30, 0.10, 0.05], [0.05, 0.20, 0.30]];
const MEAN: [[f64; 3]; 2] = [[0.0, 3.0, -2.0], [1.0, -1.0, 4.0]];
const DEVIATION: [f64; 2] = [0.5, 1.5];

fn levels_of(row: usize) -> (usize, usize) {
    let u = uniform(words(21, Purpose::TargetRows, row as u64, 0)[0]);
    let mut sum = 0.0;
    for (a, of_a) in P.iter().enumerate() {
        for (b, p) in of_a.iter().enumerate() {
            sum += p;
            if u < sum {
                return (a, b);
            }
        }
    }
    (1, 2)
}

fn normal(row: usize, column: usize) -> f64 {
    f64::from(normal_at(22, Purpose::TargetRows, row as u64, column))
}

/// Two columns of categories and two of numbers, in the order a, x, b, y.
fn table(first: usize, rows: usize) -> Table {
    let all: Vec<(usize, usize)> = (first..first + rows).map(levels_of).collect();
    let x = |k: usize| {
        let (a, b) = all[k];
        MEAN[a][b] + DEVIATION[a] * normal(first + k, 0)
    };
    let y = |k: usize| 0.5 * x(k) * (all[k].1 as f64 - 1.0) + normal(first + k, 1);
    let a: Vec<&str> = all.iter().map(|(a, _)| A[*a]).collect();
    let b: Vec<&str> = all.iter().map(|(_, b)| B[*b]).collect();
    let numbers = Matrix::from_fn(rows, 2, |k, j| if j == 0 { x(k) } else { y(k) });
    let table = Table::new(["x", "y"], numbers).unwrap();
    let table = table.with_categories("a", &a).unwrap();
    let table = table.with_categories("b", &b).unwrap();
    let order = [2, 0, 3, 1];
    Table {
        columns: order.map(|j| table.columns[j].clone()).to_vec(),
        levels: order.map(|j| table.levels_of(j).to_vec()).to_vec(),
        values: Matrix::from_fn(rows, 4, |row, j| table.values.get(row, order[j])),
        ..table
    }
}

/// Rows as the flow takes them: numbers first.
fn rows_of(table: &Table) -> Matrix<f64> {
    Matrix::from_fn(table.values.rows(), 4, |row, j| {
        table.values.get(row, [1, 3, 0, 2][j])
    })
}

fn truth(row: &[f64]) -> f64 {
    let (x, y, a, b) = (row[0], row[1], row[2] as usize, row[3] as usize);
    let normal = |off: f64, width: f64| {
        let z = off / width;
        -0.5 * z * z - width.ln() - 0.5 * std::f64::consts::TAU.ln()
    };
    P[a][b].ln() + normal(x - MEAN[a][b], DEVIATION[a]) + normal(y - 0.5 * x * (row[3] - 1.0), 1.0)
}

#[test]
fn levels_and_numbers_are_one_density() {
    let table = table(0, 3000);
    let flow = fit(&table, Some(600), &[]).unwrap();
    assert_eq!(flow.columns(), ["x", "y", "a", "b"]);
    assert_eq!(flow.model().table_order(), [2, 0, 3, 1]);
    let others = rows_of(&self::table(10_000, 5000));
    let scores = flow.log_prob(&others).unwrap();
    let nats = scores.iter().enumerate().map(|(row, score)| {
        let values: Vec<f64> = others.row(row).collect();
        truth(&values) - score
    });
    let nats = nats.sum::<f64>() / 5000.0;
    assert!(nats < 0.07, "{nats}");

    // Samples have the levels' frequencies and, given these, the numbers' means.
    let count = 60_000;
    let sample = flow.sample(0..count as u64, 3).unwrap();
    for (a, b) in [(0, 0), (1, 1), (1, 2)] {
        let is_it =
            |row: &usize| sample.get(*row, 2) == a as f64 && sample.get(*row, 3) == b as f64;
        let rows: Vec<usize> = (0..count).filter(is_it).collect();
        let part = rows.len() as f64 / count as f64;
        assert!((part - P[a][b]).abs() < 0.03, "{a} {b}: {part}");
        let mean: f64 = rows.iter().map(|row| sample.get(*row, 0)).sum();
        let mean = mean / rows.len() as f64;
        assert!((mean - MEAN[a][b]).abs() < 0.15, "{a} {b}: {mean}");
    }
    let one = flow.sample(777..778, 3).unwrap();
    assert!(one.row(0).eq(sample.row(777)));

    // Latents lead back, with the levels behind them.
    let few = Matrix::from_fn(50, 4, |row, j| others.get(row, j));
    let single = fit(&table, Some(50), &[]).unwrap();
    let (z, _) = single.forward(&few).unwrap();
    let back = single.inverse(&z).unwrap();
    for (a, b) in back.values().iter().zip(few.values()) {
        assert!((a - b).abs() < 1e-3, "{a} {b}");
    }

    // The file has it all.
    let bytes = flow.model().to_bytes().unwrap();
    let model = couplet::model::Model::from_bytes(bytes.clone()).unwrap();
    assert_eq!(&model, flow.model());
    assert_eq!(Flow::new(model).unwrap().log_prob(&others).unwrap(), scores);
    let again = fit(&table, Some(600), &[]).unwrap();
    assert!(again.model().to_bytes().unwrap() == bytes);
}

/// Of a level that the rows do not have beside others, the smoothed frequencies know.
#[test]
fn numbers_can_stand_for_categories() {
    let rows = Matrix::from_fn(400, 2, |row, j| match j {
        0 => normal(row, 2),
        _ => [10.0, 20.0, 35.0][row % 3],
    });
    let table = Table::new(["x", "code"], rows).unwrap();
    let flow = fit(&table, Some(50), &["code=categorical"]).unwrap();
    let levels = flow.model().row_levels();
    assert_eq!(
        levels,
        [vec![], vec!["10".to_string(), "20".into(), "35".into()]]
    );
    let at = |x: f64, level: f64| Matrix::from_values(1, 2, vec![x, level]);
    assert!(flow.log_prob(&at(0.0, 2.0)).unwrap()[0].is_finite());
    let wrong = flow.log_prob(&at(0.0, 3.0)).unwrap_err();
    assert!(wrong.to_string().contains("index"), "{wrong}");
    let whole = fit(&table, Some(50), &[]).unwrap();
    let kinds = &whole.model().preprocessing.kinds;
    assert_eq!(kinds[1].kind.to_string(), "integer(10,35)");
}

#[test]
fn what_has_no_density_is_refused() {
    let rows = Table::new(["x"], Matrix::from_fn(40, 1, |row, _| normal(row, 3))).unwrap();
    let texts: Vec<&str> = (0..40).map(|row| A[row % 2]).collect();
    let table = rows.with_categories("a", &texts).unwrap();
    let only = Table {
        columns: vec!["a".into()],
        levels: vec![table.levels_of(1).to_vec()],
        values: table.values.select_columns(1..2),
        ..table.clone()
    };
    let refused = fit(&only, None, &[]).err().unwrap().to_string();
    assert!(refused.contains("holds categories"), "{refused}");
    let refused = Fit::new(&table).given(["x"]).run().err().unwrap();
    assert!(
        refused.to_string().contains("holds categories"),
        "{refused}"
    );
    let refused = fit(&table, None, &["a=positive"]).err().unwrap();
    assert!(refused.to_string().contains("holds text"), "{refused}");
}
