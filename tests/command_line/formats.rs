//! The same rows in every format, as other programs write them (`tests/fixtures/tables/make.py`).

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{refused, stderr, stdout, well};

const TRAIN: &str = "--device cpu --steps 3 --layers 2 --hidden 8 --out m.safetensors";

fn fixture(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tables");
    folder.join(name).to_str().unwrap().to_owned()
}

/// The model of a table.
fn model(folder: &Path, name: &str, options: &str) -> Vec<u8> {
    well(
        folder,
        &format!("train {} {options} {TRAIN}", fixture(name)),
    );
    fs::read(folder.join("m.safetensors")).unwrap()
}

#[test]
fn every_format_gives_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let named = model(folder, "pandas.csv", "");
    for (name, options) in [
        ("pandas.tsv", ""),
        ("spreadsheet.csv", ""),
        ("european.csv", "--decimal-comma"),
        ("pandas.csv.gz", ""),
        ("pandas.csv.zst", ""),
        ("polars.csv", ""),
        ("r.csv", ""),
        ("r_names.csv", "--exclude 1"),
        ("pandas.parquet", ""),
        ("gzip.parquet", ""),
        ("polars.parquet", ""),
        ("lz4.parquet", ""),
        ("types.parquet", ""),
        ("text.parquet", "--exclude name"),
        ("nested.parquet", "--columns 1..3"),
        ("pyarrow.arrow", ""),
        ("pyarrow.arrows", ""),
        ("polars.arrow", ""),
        ("pandas.feather", ""),
        ("missing.csv", "--missing drop"),
        ("missing.parquet", "--missing drop"),
    ] {
        assert!(model(folder, name, options) == named, "{name}");
    }
    let without_names = model(folder, "little_f8.npy", "");
    for name in [
        "big_f8.npy",
        "little_f4.npy",
        "big_f4.npy",
        "little_f2.npy",
        "little_i8.npy",
        "big_i4.npy",
        "little_i2.npy",
        "one_i1.npy",
        "little_u8.npy",
        "big_u4.npy",
        "little_u2.npy",
        "one_u1.npy",
        "fortran.npy",
        "stored.npz",
        "deflated.npz",
        "missing.npy --missing drop",
    ] {
        let (name, options) = name.split_once(' ').unwrap_or((name, ""));
        assert!(model(folder, name, options) == without_names, "{name}");
    }
}

#[test]
fn columns_are_chosen_by_name_number_and_range() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let expected = model(folder, "pandas.csv", "--columns age,height");
    for options in [
        "--columns 3,1",
        "--columns age,1..1",
        "--columns age,height..weight --exclude weight",
    ] {
        for name in ["pandas.csv", "pandas.parquet", "polars.arrow"] {
            assert!(model(folder, name, options) == expected, "{name} {options}");
        }
    }
    // A model finds its columns among others, whatever their order.
    let scores = ["text.parquet", "pandas.csv", "polars.arrow"].map(|name| {
        stdout(&well(
            folder,
            &format!("score m.safetensors {} --device cpu", fixture(name)),
        ))
    });
    assert!(scores[0].lines().count() == 61 && scores.iter().all(|it| *it == scores[0]));
    for (options, parts) in [
        (
            "--columns hieght",
            &["hieght", "did you mean \"height\"?"][..],
        ),
        (
            "--exclude weight..height",
            &["weight..height", "after the last"],
        ),
        ("--columns height,1", &["--columns 1", "there already"]),
        ("--columns 9", &["--columns 9", "height, weight, age"]),
    ] {
        refused(
            folder,
            &format!("train {} {options} {TRAIN}", fixture("pandas.csv")),
            2,
            parts,
        );
    }
}

#[test]
fn what_is_left_out_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for name in ["missing.csv", "missing.parquet", "missing.npy"] {
        let file = fixture(name);
        let output = well(folder, &format!("train {file} --missing drop {TRAIN}"));
        let said = stderr(&output);
        assert!(
            said.contains("2 rows left out") && said.contains("1 in "),
            "{name}: {said}"
        );
        refused(
            folder,
            &format!("train {file} {TRAIN}"),
            3,
            &["is no value", "row 61", "row 62", "--missing drop"],
        );
        let scores = well(
            folder,
            &format!("score m.safetensors {file} --missing drop --device cpu"),
        );
        assert_eq!(stdout(&scores).lines().count(), 61, "{name}");
        assert!(stderr(&scores).contains("2 rows left out"));
    }
}

#[test]
fn what_is_no_table_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (name, parts) in [
        (
            "text.parquet",
            &["hold no numbers", "name", "Utf8", "--exclude"][..],
        ),
        ("nested.parquet", &["hold no numbers", "pair", "List"]),
        ("two.npz", &["2 arrays", "others", "rows", "alone"]),
        ("european.csv", &["decimal comma", "--decimal-comma"]),
    ] {
        refused(
            folder,
            &format!("train {} {TRAIN}", fixture(name)),
            3,
            parts,
        );
    }
    for name in [
        "pandas.csv.gz",
        "pandas.csv.zst",
        "deflated.npz",
        "gzip.parquet",
        "pyarrow.arrow",
        "pandas.feather",
    ] {
        let whole = fs::read(fixture(name)).unwrap();
        fs::write(folder.join(name), &whole[..whole.len() * 2 / 3]).unwrap();
        refused(folder, &format!("train {name} {TRAIN}"), 3, &[name]);
    }
    let gzip = fs::read(fixture("pandas.csv.gz")).unwrap();
    fs::write(folder.join("short.gz"), &gzip[..gzip.len() - 20]).unwrap();
    refused(
        folder,
        &format!("train short.gz {TRAIN}"),
        3,
        &["gzip file is damaged or cut short"],
    );
}
