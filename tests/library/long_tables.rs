//! Tables of more rows than statistics are made of: what is prepared from a sample, and from all rows.

use std::collections::HashSet;

use couplet::data::SAMPLE_ROWS;
use couplet::fit::Prepared;
use couplet::random::{Purpose, normal_at};
use couplet::{Fit, Matrix, Table};

const ROWS: usize = SAMPLE_ROWS + 70_000;

fn normal(row: usize, j: usize) -> f64 {
    f64::from(normal_at(11, Purpose::TargetRows, row as u64, j))
}

/// Two correlated columns, a count, and a weight, which is 0 in every tenth row.
fn table() -> Table {
    let values = Matrix::from_fn(ROWS, 4, |row, j| match j {
        0 => 1e3 + normal(row, 0),
        1 => normal(row, 0) + 0.1 * normal(row, 1),
        2 => (3.0 * normal(row, 2).abs()).floor(),
        _ => f64::from(!row.is_multiple_of(10)) * (1.0 + (row % 3) as f64),
    });
    Table::new(["x", "y", "count", "w"], values).unwrap()
}

fn row_numbers(prepared: &Prepared) -> Vec<u32> {
    let split = &prepared.split;
    let all = split.training.iter().chain(&split.held_out);
    let mut all: Vec<u32> = all.copied().collect();
    all.sort_unstable();
    all
}

/// The same row of the table, up to rounding, behind each row that the flow sees.
fn assert_rows_are_those(prepared: &Prepared, table: &Table, columns: &[usize]) {
    let seen = prepared.rows.map(f64::from);
    let rows = prepared.in_table(&seen);
    for (row, &number) in prepared.split.training.iter().enumerate().step_by(97) {
        for (k, &j) in columns.iter().enumerate() {
            let (found, expected) = (rows.get(row, k), table.values.get(number as usize, j));
            let close = (found - expected).abs() < 1e-4 * expected.abs().max(1.0);
            assert!(close, "row {number}, column {j}: {found} {expected}");
        }
    }
}

#[test]
fn every_row_of_a_long_table_is_trained_on_or_held_out() {
    let table = table();
    let prepared = Fit::new(&table).weights("w").seed(3).prepare().unwrap();
    let expected: Vec<u32> = (0..ROWS as u32).filter(|row| row % 10 != 0).collect();
    assert_eq!(row_numbers(&prepared), expected);
    let held_out = prepared.split.held_out.len();
    assert!((11_000..12_500).contains(&held_out), "{held_out}");
    assert_rows_are_those(&prepared, &table, &[0, 1, 2]);
    let kinds = &prepared.model.preprocessing.kinds;
    assert_eq!(kinds[2].kind.to_string(), "integer(0,)");
    let mean = prepared.training_weights().iter().sum::<f64>() / prepared.rows.rows() as f64;
    assert!((mean - 1.0).abs() < 1e-5, "{mean}");
    for (row, &number) in prepared.split.training.iter().enumerate().step_by(1001) {
        let ratio = f64::from(prepared.weights[row]) / table.values.get(number as usize, 3);
        let first = f64::from(prepared.weights[0]) / table.values.get(1, 3);
        assert!((ratio / first - 1.0).abs() < 1e-6);
    }
    let again = Fit::new(&table).weights("w").seed(3).prepare().unwrap();
    assert_eq!(again.rows, prepared.rows);
    assert_ne!(
        Fit::new(&table)
            .weights("w")
            .seed(4)
            .prepare()
            .unwrap()
            .split,
        prepared.split
    );
}

/// What is added to the NLL, by the sums over chunks, is that of the rows one by one.
#[test]
fn offsets_are_those_of_all_rows() {
    let table = table();
    let prepared = Fit::new(&table).given(["w"]).prepare().unwrap();
    assert_rows_are_those(&prepared, &table, &[0, 1, 2, 3]);
    let steps = prepared
        .rows
        .rows()
        .div_ceil(prepared.config.train.batch_size);
    let size = prepared.config.train.batch_size as f64;
    let of_steps: f64 = (0..steps).map(|step| prepared.offset_of_step(step)).sum();
    let last = prepared.rows.rows() as f64 / size - (steps - 1) as f64;
    let short = prepared.offset_of_step(steps - 1) * (1.0 - last);
    let mean = (of_steps - short) / (prepared.rows.rows() as f64 / size);
    assert!((mean - prepared.offsets.all).abs() < 1e-6, "{mean}");
    assert!((prepared.offsets.all - prepared.offsets.validation).abs() < 0.05);
}

#[test]
fn copies_in_a_long_table_are_on_one_side_and_count_once() {
    let values = Matrix::from_fn(ROWS, 2, |row, j| normal(row / 3, j));
    let table = Table::new(["x", "y"], values).unwrap();
    let prepared = Fit::new(&table).prepare().unwrap();
    let groups = |rows: &[u32]| -> HashSet<u32> { rows.iter().map(|row| row / 3).collect() };
    let [training, held_out] =
        [&prepared.split.training, &prepared.split.held_out].map(|rows| groups(rows));
    assert!(training.is_disjoint(&held_out) && !held_out.is_empty());
    let worth = prepared.effective_rows as f64 / (ROWS as f64 / 3.0);
    assert!((worth - 1.0).abs() < 0.01, "{worth}");
    let warnings = prepared.warnings.iter();
    let warnings: Vec<String> = warnings.map(|it| it.message.to_string()).collect();
    assert!(
        warnings
            .iter()
            .any(|it| it.contains(&format!("of {ROWS} rows equal an earlier row"))),
        "{warnings:?}"
    );
}

/// Whatever the sample, a number that is none of its column's is found, and named by its row.
#[test]
fn what_a_sample_does_not_have_is_found() {
    let number = 231_000;
    let with = |kind: &str, j: usize, x: f64| {
        let mut table = table();
        table.values.column_mut(j)[number - 1] = x;
        let mut settings = couplet::config::Overrides::default();
        settings.data.columns = Some(vec![kind.parse().unwrap()]);
        let error = Fit::new(&table).settings(settings).prepare();
        error.map(|_| ()).unwrap_err().to_string()
    };
    for (kind, j, x) in [
        ("x=positive", 0, -1.0),
        ("count=integer(0,)", 2, 0.5),
        ("w=bounded(0,3)", 3, 4.0),
    ] {
        let text = with(kind, j, x);
        assert!(text.contains(&format!("row {number}")), "{text}");
    }
    let mut table = table();
    table.values.column_mut(3)[number - 1] = -1.0;
    let error = Fit::new(&table).weights("w").prepare();
    let text = error.map(|_| ()).unwrap_err().to_string();
    assert!(
        text.contains(&format!("row {number}: the weight is -1")),
        "{text}"
    );
    // A far value is warned of, and one number that is not whole makes a column real.
    let mut table = super::long_tables::table();
    table.values.column_mut(0)[number - 1] = 1e6;
    table.values.column_mut(2)[number - 1] = 0.5;
    let prepared = Fit::new(&table).prepare().unwrap();
    let far = prepared.warnings.iter().map(|it| it.message.to_string());
    let far: Vec<String> = far
        .filter(|it| it.contains("deviations from the mean"))
        .collect();
    assert!(
        far.iter().any(|it| it.contains(&format!("row {number}"))),
        "{far:?}"
    );
    let kinds = &prepared.model.preprocessing.kinds;
    assert!(kinds.get(2).is_none_or(|it| it.kind.to_string() == "real"));
}
