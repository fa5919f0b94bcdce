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
        // A line a row, empty where there is no score.
        let scored = stdout(&scores);
        let lines: Vec<&str> = scored.lines().collect();
        assert_eq!(lines.len(), 63, "{name}");
        assert_eq!(lines.iter().filter(|line| line.is_empty()).count(), 2);
        assert_eq!(lines[61..], ["", ""], "{name}");
        assert!(stderr(&scores).contains("2 rows left out"));
    }
}

#[test]
fn what_is_no_table_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (name, parts) in [
        ("nested.parquet", &["hold no numbers", "pair", "List"][..]),
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

/// What is written reads back to the same bits, whatever the format.
#[test]
fn what_is_written_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    model(folder, "pandas.csv", "");
    let rows = |name: &str| couplet::Table::read(folder.join(name)).unwrap();
    let sample = |out: &str| {
        well(
            folder,
            &format!("sample m.safetensors -n 40000 --seed 3 --device cpu --out {out}"),
        );
        rows(out.split(' ').next().unwrap())
    };
    let expected = sample("s.csv");
    assert_eq!(expected.values.rows(), 40_000);
    for out in [
        "s.tsv",
        "s.parquet",
        "s.arrow",
        "s.feather",
        "s.table --format parquet",
    ] {
        assert_eq!(sample(out), expected, "{out}");
    }
    assert_eq!(sample("s.npy").values, expected.values);
    for (out, parts) in [
        ("s.xlsx", &[".parquet", "--format"][..]),
        ("s.npy --json", &["--json"]),
    ] {
        refused(
            folder,
            &format!("sample m.safetensors --device cpu --out {out}"),
            2,
            parts,
        );
    }

    let score = |out: &str| {
        well(
            folder,
            &format!("score m.safetensors s.parquet --device cpu --out {out}"),
        );
        rows(out).values
    };
    let expected = score("p.csv");
    for out in ["p.tsv", "p.npy", "p.parquet", "p.arrow"] {
        assert_eq!(score(out), expected, "{out}");
    }
}

/// `--append` keeps all columns, text too, in every format.
#[test]
fn scores_stand_beside_what_was_scored() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    model(folder, "pandas.csv", "");
    let mut text = String::from("id,weight,remark,height,age\n");
    let table = couplet::Table::read(fixture("pandas.csv")).unwrap();
    for row in 0..60 {
        let [height, weight, age] = [0, 1, 2].map(|j| table.values.get(row, j));
        text += &format!("r{row},{weight}.50,\"said \"\"{row}, or so\"\"\",{height},{age}\n");
    }
    fs::write(folder.join("t.csv"), &text).unwrap();
    let score = |args: &str| well(folder, &format!("score m.safetensors {args} --device cpu"));
    let appended = stdout(&score("t.csv --append"));
    let alone = stdout(&score("t.csv"));
    for ((appended, before), score) in appended.lines().zip(text.lines()).zip(alone.lines()) {
        assert_eq!(appended, format!("{before},{score}"));
    }
    assert_eq!(appended.lines().count(), 61);
    for out in ["t.parquet", "t.arrow"] {
        score(&format!("t.csv --append --out {out}"));
        // The model's columns are numbers there, and are read back.
        assert_eq!(stdout(&score(out)), alone, "{out}");
    }
    refused(
        folder,
        "score m.safetensors t.csv --append --out t.npy --device cpu",
        2,
        &["text"],
    );
    let named = fixture("text.parquet");
    score(&format!("{named} --append --out n.parquet"));
    refused(
        folder,
        "score m.safetensors n.parquet --append --device cpu",
        3,
        &["log_prob already"],
    );
    let text = stdout(&score(&format!("{named} --append")));
    assert!(
        text.starts_with("height,weight,age,name,log_prob\n74,57,53,row 0,"),
        "{text}"
    );
}

#[test]
fn the_lowest_rows_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    model(folder, "pandas.csv", "");
    let mut text = fs::read_to_string(fixture("pandas.csv")).unwrap();
    text.insert_str("height,weight,age\n".len(), "12,120,20\n");
    text += "NA,1,1\n110,9,85\n";
    fs::write(folder.join("t.csv"), &text).unwrap();
    let args = "score m.safetensors t.csv --missing drop --device cpu";
    let top = stdout(&well(folder, &format!("{args} --top 2")));
    let lines: Vec<&str> = top.lines().collect();
    assert_eq!(lines[0], "row,height,weight,age,log_prob");
    assert_eq!(lines.len(), 3);
    let mut rows: Vec<&str> = lines[1..]
        .iter()
        .map(|line| line.rsplit_once(',').unwrap().0)
        .collect();
    rows.sort_unstable();
    assert_eq!(rows, ["1,12,120,20", "63,110,9,85"]);
    let summary = stdout(&well(folder, &format!("{args} --summary")));
    for part in [
        "rows       62",
        "mean ",
        "+-",
        "50%:",
        "the lowest rows",
        "height = 110.0",
    ] {
        assert!(summary.contains(part), "{part}: {summary}");
    }
    let json = stdout(&well(
        folder,
        &format!("{args} --summary --json --out s.csv"),
    ));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["rows"], 62);
    assert_eq!(json["lowest"].as_array().unwrap().len(), 10);
    assert_eq!(
        json["lowest"][0]["log_prob"].as_f64(),
        lines[1].rsplit_once(',').unwrap().1.parse().ok()
    );
    assert_eq!(
        fs::read_to_string(folder.join("s.csv"))
            .unwrap()
            .lines()
            .count(),
        64
    );

    // A model's own column of that name keeps it.
    fs::write(folder.join("t.csv"), text.replace("height", "row")).unwrap();
    let train = "train t.csv --missing drop --device cpu --steps 2 --out m.safetensors";
    well(folder, train);
    let top = stdout(&well(folder, &format!("{args} --top 1")));
    assert!(
        top.starts_with("row_number,row,weight,age,log_prob\n"),
        "{top}"
    );
}
