//! Columns of Arrow and Parquet files keep their types (`tests/fixtures/tables/make.py` writes the files).

use std::fs;
use std::path::{Path, PathBuf};

use arrow_array::{Array, RecordBatch, RecordBatchReader};
use arrow_ipc::reader::FileReader;
use couplet::model::Model;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::command::{stderr, stdout, well};

const SMALL: &str = "--device cpu --steps 3 --layers 2 --hidden 8 --out m.safetensors";

fn fixture(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tables");
    folder.join(name).to_str().unwrap().to_owned()
}

/// All of a Parquet or Arrow file.
fn batches(path: &Path) -> Vec<RecordBatch> {
    let file = fs::File::open(path).unwrap();
    let all: Box<dyn RecordBatchReader> = match path.extension().unwrap().to_str().unwrap() {
        "parquet" => Box::new(
            ParquetRecordBatchReaderBuilder::try_new(file)
                .unwrap()
                .build()
                .unwrap(),
        ),
        _ => Box::new(FileReader::try_new(file, None).unwrap()),
    };
    all.map(Result::unwrap).collect()
}

/// The values of a column, as text.
fn values(batches: &[RecordBatch], name: &str) -> Vec<String> {
    let shown = |batch: &RecordBatch| {
        let column = batch.column_by_name(name).unwrap();
        let options = Default::default();
        let formatter = arrow_cast::display::ArrayFormatter::try_new(column, &options).unwrap();
        (0..column.len())
            .map(|row| formatter.value(row).to_string())
            .collect::<Vec<_>>()
    };
    batches.iter().flat_map(shown).collect()
}

/// Integers beyond 2^53, categories, times, booleans, decimals, lists, text: each as it was, beside the scores.
#[test]
fn columns_that_are_not_scored_keep_type_and_value() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for name in ["kinds.parquet", "kinds.arrow"] {
        let file = fixture(name);
        well(folder, &format!("train {file} --columns a,b {SMALL}"));
        let before = batches(Path::new(&file));
        for out in ["s.parquet", "s.arrow"] {
            well(
                folder,
                &format!("score m.safetensors {file} --append --device cpu --out {out}"),
            );
            let after = batches(&folder.join(out));
            let schema = before[0].schema();
            for field in schema.fields() {
                let kept = after[0].schema();
                let kept = kept.field_with_name(field.name()).unwrap();
                assert_eq!(
                    kept.data_type(),
                    field.data_type(),
                    "{name} {out} {}",
                    field.name()
                );
                let [was, is] = [&before, &after].map(|batches| values(batches, field.name()));
                assert_eq!(was, is, "{name} {out} {}", field.name());
            }
            let scores = values(&after, "log_prob");
            let alone = stdout(&well(
                folder,
                &format!("score m.safetensors {file} --device cpu"),
            ));
            let alone: Vec<&str> = alone.lines().skip(1).collect();
            assert_eq!(scores.len(), alone.len());
            assert_eq!(
                scores[7].parse::<f64>().unwrap(),
                alone[7].parse::<f64>().unwrap()
            );
            // And read back, by the names of the model's columns.
            let again = stdout(&well(
                folder,
                &format!("score m.safetensors {out} --device cpu"),
            ));
            assert_eq!(again.lines().skip(1).collect::<Vec<_>>(), alone);
        }
        let text = stdout(&well(
            folder,
            &format!("score m.safetensors {file} --append --device cpu"),
        ));
        let first = text.lines().nth(1).unwrap();
        assert!(first.starts_with("1234567890123456789,"), "{first}");
        assert!(
            first.contains("2024-01-01T00:00:00") && first.contains("\"[0, 1]\""),
            "{first}"
        );
        let json = stdout(&well(
            folder,
            &format!("score m.safetensors {file} --append --device cpu --json"),
        ));
        let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
        assert_eq!(first["id"], 1234567890123456789u64);
        assert_eq!(first["pair"], serde_json::json!([0, 1]));
        assert!(
            first["ok"].is_boolean() && first["kind"].is_string(),
            "{first}"
        );
    }
}

/// Each group of rows of a Parquet file has a dictionary of its own; an Arrow file has one.
#[test]
fn dictionaries_that_differ_become_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let file = fixture("groups.parquet");
    well(folder, &format!("train {file} --columns a,b {SMALL}"));
    well(
        folder,
        &format!("score m.safetensors {file} --append --device cpu --out s.arrow"),
    );
    let before = values(&batches(Path::new(&file)), "kind");
    assert_eq!(values(&batches(&folder.join("s.arrow")), "kind"), before);
}

/// Decimals of every width, and numbers in a dictionary, are numbers: the model is that of the plain ones.
#[test]
fn decimals_and_dictionaries_of_numbers_are_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let model = |name: &str| {
        well(
            folder,
            &format!("train {} --columns a,price {SMALL}", fixture(name)),
        );
        Model::load(&folder.join("m.safetensors")).unwrap()
    };
    let expected = model("price_float64.parquet");
    for kind in [
        "decimal32",
        "decimal64",
        "decimal128",
        "decimal256",
        "dictionary",
    ] {
        assert_eq!(model(&format!("price_{kind}.parquet")), expected, "{kind}");
    }
}

/// pandas says in a Parquet file which columns label the rows, whatever their names.
#[test]
fn row_labels_that_pandas_names_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (name, label) in [
        ("index.parquet", "__index_level_0__"),
        ("index_named.parquet", "city"),
    ] {
        let file = fixture(name);
        let said = stderr(&well(folder, &format!("train {file} {SMALL}")));
        assert!(
            said.contains(&format!("(\"{label}\") holds row labels")),
            "{said}"
        );
        let model = Model::load(&folder.join("m.safetensors")).unwrap();
        assert_eq!(model.columns, ["a", "b"]);
        // They stay beside the scores, and pandas finds them again.
        well(
            folder,
            &format!("score m.safetensors {file} --append --device cpu --out s.parquet"),
        );
        let scored = fs::File::open(folder.join("s.parquet")).unwrap();
        let scored = ParquetRecordBatchReaderBuilder::try_new(scored).unwrap();
        let schema = scored.schema();
        assert!(schema.field_with_name(label).is_ok());
        assert!(schema.metadata()["pandas"].contains(label));
    }
}
