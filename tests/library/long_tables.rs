//! Tables of more rows than statistics are made of: what is prepared from a sample, and from all rows.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use crate::command::{refused, stderr, stdout, table as write_table, well};
use crate::common::{flow, training, training_rows};
use couplet::cpu::CpuExecutor;
use couplet::data::{SAMPLE_ROWS, Streaming, TableOptions, TableReader};
use couplet::executor::{Blocks, Executor, RowBlocks, Streamed};
use couplet::fit::{Device, DeviceChoice, DeviceName, Prepared};
use couplet::flow::{Plan, initial_parameters};
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
    let of_steps: f64 = (0..steps)
        .map(|step| prepared.offset_of_step(step).unwrap())
        .sum();
    let last = prepared.rows.rows() as f64 / size - (steps - 1) as f64;
    let short = prepared.offset_of_step(steps - 1).unwrap() * (1.0 - last);
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

/// Blocks in memory.
struct InMemory(Vec<Arc<Matrix<f32>>>);

impl RowBlocks for InMemory {
    fn load(&mut self, block: usize) -> couplet::Result<(Arc<Matrix<f32>>, Arc<Vec<f32>>)> {
        Ok((self.0[block].clone(), Arc::default()))
    }
}

/// However its steps are asked for, and from whatever state, an executor takes those of the blocks' batches.
#[test]
fn streamed_steps_are_those_of_each_block_in_turn() {
    let spec = flow("two columns");
    let plan = Plan::new(&spec).unwrap();
    let parameters = initial_parameters(&plan.layout, 1);
    let rows: Vec<_> = [300, 411, 120]
        .iter()
        .map(|&count| Arc::new(training_rows(count, spec.width(), count as u64)))
        .collect();
    let counts = rows.iter().map(|rows| rows.rows() as u32).collect();
    let training = training(64);
    let blocks = Blocks::new(counts, 64, training.seed);
    let mut executor = CpuExecutor::<f64>::new(plan.clone(), &parameters);
    executor.start(&rows[1], &training).unwrap();
    let blocks_of = || blocks.clone();
    let mut streamed = Streamed::new(
        Box::new(executor),
        blocks_of(),
        Box::new(InMemory(rows.clone())),
    );
    let mut losses = Vec::new();
    let mut kept = None;
    for some in [7, 1, 30, 2] {
        if losses.len() == 8 {
            kept = Some(streamed.state().unwrap());
        }
        losses.extend(streamed.train(some).unwrap().losses);
    }
    let end = streamed.state().unwrap();
    assert_eq!(end.step, 40);

    let mut by_hand = CpuExecutor::<f64>::new(plan, &parameters);
    by_hand.start(&rows[1], &training).unwrap();
    for (step, expected) in losses.iter().enumerate() {
        let visit = blocks.visit(step as u64);
        let block = rows[visit.block].clone();
        by_hand
            .replace_rows(block, Arc::default(), &visit.batches)
            .unwrap();
        let (loss, gradient) = by_hand.loss_and_gradient().unwrap();
        assert_eq!(loss, *expected, "{step}");
        by_hand.apply(&gradient).unwrap();
    }
    assert_eq!(by_hand.state().unwrap(), end);

    streamed.set_state(&kept.unwrap()).unwrap();
    assert_eq!(streamed.train(32).unwrap().losses, losses[8..]);
    assert_eq!(streamed.state().unwrap(), end);

    // Not more rows than there was room for.
    let more = Arc::new(training_rows(412, spec.width(), 2));
    let batches = couplet::executor::Batches::new(412, 64, 1);
    let error = by_hand.replace_rows(more, Arc::default(), &batches);
    assert!(error.unwrap_err().to_string().contains("412 rows"));
}

fn streamed(path: &Path) -> Prepared {
    let streaming = Streaming {
        folder: path.parent().unwrap().into(),
        memory: Some(1 << 20),
        always: true,
        shares: false,
    };
    let reader = TableReader::open(&[path], &TableOptions::default()).unwrap();
    let table = reader.read_chunked(Some(streaming)).unwrap();
    Fit::chunked(table).weights("w").seed(3).prepare().unwrap()
}

/// Of a long table that a program holds, numbers may be said to be categories: their levels are those of all rows.
#[test]
fn numbers_of_a_long_table_may_be_categories() {
    let mut table = table();
    for (row, class) in table.values.column_mut(3).iter_mut().enumerate() {
        *class = if row == 231_000 {
            9.0
        } else {
            (row % 2) as f64
        };
    }
    let mut settings = couplet::config::Overrides::default();
    settings.data.columns = Some(vec!["w=categorical".parse().unwrap()]);
    let prepared = Fit::new(&table).settings(settings).prepare().unwrap();
    assert_eq!(prepared.model.categories()[0].levels, ["0", "1", "9"]);
    let held_out = prepared.split.held_out.len();
    assert_eq!(prepared.rows.rows() + held_out, ROWS);
}

/// How much memory is free has no say in which tables are long; a limit that is said may have.
#[test]
fn free_memory_does_not_decide_what_is_sampled() {
    let folder = tempfile::tempdir().unwrap();
    write_table(folder.path(), "t.csv", 12_000, |_, _| {});
    let is_whole = |memory: Option<u64>| {
        let streaming = Streaming {
            folder: folder.path().into(),
            memory,
            always: false,
            shares: false,
        };
        let path = folder.path().join("t.csv");
        let reader = TableReader::open(&[path], &TableOptions::default()).unwrap();
        reader.read_chunked(Some(streaming)).unwrap().is_whole()
    };
    assert!(is_whole(None) && is_whole(Some(1 << 30)));
    assert!(!is_whole(Some(1 << 20)));
}

/// All rows that are trained on are in the scratch file, with their weights.
#[test]
fn rows_that_are_streamed_are_those_of_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.csv");
    let rows = 60_000;
    let table = table();
    let mut text = "x,y,count,w\n".to_string();
    for row in 0..rows {
        let fields: Vec<String> = table.values.row(row).map(|x| x.to_string()).collect();
        text += &(fields.join(",") + "\n");
    }
    std::fs::write(&path, text).unwrap();
    let prepared = streamed(&path);
    let held_out = prepared.split.held_out.len();
    assert_eq!(prepared.row_count() + held_out, rows - rows / 10);
    // Each step's offset is that of its rows: all steps of an epoch make that of all rows.
    let steps = (0..).take_while(|&step| step < prepared.row_count().div_ceil(512) + 4);
    let offsets: Vec<f64> = steps
        .map(|step| prepared.offset_of_step(step).unwrap())
        .collect();
    let mean = offsets.iter().sum::<f64>() / offsets.len() as f64;
    assert!((mean - prepared.offsets.all).abs() < 0.05, "{mean}");
    let device = Device::choose(&DeviceChoice {
        device: DeviceName::Cpu,
        ..DeviceChoice::default()
    });
    assert!(
        device
            .unwrap()
            .memory(&prepared.request().unwrap())
            .unwrap()
            < 64 << 20
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// As good as in memory, and the same bytes again.
#[test]
fn a_streamed_fit_is_as_good_as_one_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_table(folder, "t.csv", 30_000, |row, fields| {
        fields[0] = (normal(row, 0) + 0.3 * normal(row, 1).powi(2)).to_string();
        fields[1] = (normal(row, 1) * (1.0 + 0.2 * normal(row, 0)).exp()).to_string();
    });
    let nll = |args: &str| {
        let run = "train t.csv --device cpu --layers 4 --hidden 16 --mixing none --steps 600 --extension 0 --json";
        let output = well(folder, &format!("{run} {args}"));
        let json = stdout(&output);
        let (_, rest) = json.split_once("\"validation_nll\":").unwrap();
        let number = rest.split([',', '}']).next().unwrap();
        (number.parse::<f64>().unwrap(), stderr(&output))
    };
    let (in_memory, _) = nll("--out m.safetensors");
    let (streamed, text) = nll("--out s.safetensors --stream --max-memory 64MiB");
    assert!(text.contains("scratch file"), "{text}");
    // Other rows are held out, 3,000 of them.
    assert!((streamed - in_memory).abs() < 0.1, "{streamed} {in_memory}");
    nll("--out again.safetensors --stream --max-memory 64MiB");
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    assert_eq!(read("s.safetensors"), read("again.safetensors"));
    refused(
        folder,
        "train t.csv --device cpu --stream --ensemble 3",
        2,
        &["--ensemble 3", "--ensemble 1"],
    );
}
