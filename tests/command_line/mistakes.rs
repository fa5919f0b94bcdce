//! What users get wrong: messages that name it, exit codes, and nothing lost.

use std::ffi::OsString;
use std::path::Path;

use crate::command::{couplet, refused, stderr, stdout, table, well};

/// Tables, most of them with something wrong, and a model of the one that is good.
fn tables_and_a_model(folder: &Path) {
    let file = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    table(folder, "good.csv", 60, |_, _| {});
    for (name, with) in [
        ("word.csv", "tall"),
        ("nan.csv", "NaN"),
        ("infinity.csv", "-inf"),
        ("missing.csv", ""),
        ("huge.csv", "1e300"),
    ] {
        table(folder, name, 60, move |row, fields| {
            if row == 7 {
                fields[1] = with.into();
            }
        });
    }
    table(folder, "short.csv", 60, |row, fields| {
        if row == 7 {
            fields.pop();
        }
    });
    table(folder, "long.csv", 70_100, |row, fields| {
        if row == 70_001 {
            fields[0] = "unknown".into();
        }
    });
    for (name, text) in [
        ("four.csv", "a,b,c\n1,2,3\n1,2,3,4\n"),
        ("empty.csv", ""),
        ("header.csv", "a,b\n"),
        ("constant.csv", "a,b\n1,5\n2,5\n3,5\n"),
        ("three.csv", "a,b,c\n1,5,2\n2,4,1\n"),
        ("huge2.csv", "a,b\n1e200,2\n-1e200,4\n3,5\n"),
        ("tiny.csv", "a,b\n1e-300,2\n2e-300,4\n3e-300,5\n"),
        ("row.csv", "a,b\n1,2\n"),
        ("mixed.csv", "1.0,2x\n1,2\n3,4\n5,5\n"),
        ("twice.csv", "a,a\n1,2\n3,4\n5,7\n"),
        ("last.csv", "a,b\n1,2\n3,4\n5,x"),
        ("quote.csv", "a,b\n1,2\n\"3,4\n5,6\n"),
        ("other.csv", "height,length\n1,2\n"),
        ("binary.csv", "a,b\n1,\u{1}\n"),
        ("short.npy", "\u{93}NUMPY"),
    ] {
        file(name, text);
    }
    std::fs::write(folder.join("latin1.csv"), b"a,b\n1,\xff\xfe\n").unwrap();
    well(folder, "train good.csv --device cpu --steps 5");
}

#[test]
fn bad_tables_and_models_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tables_and_a_model(folder);
    let model = std::fs::read(folder.join("good.safetensors")).unwrap();
    std::fs::write(folder.join("half.safetensors"), &model[..model.len() / 2]).unwrap();
    std::fs::write(folder.join("nothing.safetensors"), "").unwrap();
    let word: &[&str] = &["row 7", "line 8", "column 2", "weight", "\"tall\""];
    for (args, parts) in [
        ("train word.csv", word),
        (
            "train nan.csv",
            &["row 7", "weight", "\"NaN\" is no value", "--missing drop"],
        ),
        (
            "train infinity.csv",
            &["row 7", "weight", "not a finite number"],
        ),
        ("train missing.csv", &["row 7", "weight", "empty"]),
        (
            "train huge.csv --standardize false",
            &["row 7", "weight", "too large"],
        ),
        ("train short.csv", &["row 7", "line 8", "1 field ", "2"]),
        ("train four.csv", &["row 2", "line 3", "4 fields", "3"]),
        (
            "train long.csv",
            &[
                "line 70002 (row 70001)",
                "\"height\"",
                "\"unknown\" is not a number",
            ],
        ),
        ("train empty.csv", &["empty"]),
        ("train header.csv", &["no rows"]),
        ("train constant.csv", &["column 2", "\"b\"", "every row"]),
        ("train binary.csv", &["row 1", "not a number"]),
        ("train latin1.csv", &["line 2", "UTF-8"]),
        ("train huge2.csv", &["column 1", "standard deviation"]),
        ("train tiny.csv", &["column 1", "standard deviation"]),
        ("train row.csv", &["1 row"]),
        (
            "train mixed.csv",
            &["line 1", "\"2x\" is not a number", "header"],
        ),
        ("train twice.csv", &["columns 1 and 2", "\"a\""]),
        ("train last.csv", &["line 4 (row 3)", "\"x\""]),
        ("train quote.csv", &["row 2", "quote"]),
        ("train short.npy", &["NPY"]),
        ("train nosuch.csv", &["nosuch.csv"]),
        (
            "train good.csv --init half.safetensors",
            &["half.safetensors"],
        ),
        ("score half.safetensors good.csv", &["cut short"]),
        ("score nothing.safetensors good.csv", &["not a readable"]),
        (
            "score good.safetensors three.csv",
            &["no column \"height\"", "a, b, c"],
        ),
        (
            "score good.safetensors other.csv",
            &["\"weight\"", "height, length"],
        ),
        (
            "train three.csv --init good.safetensors",
            &["no column \"height\"", "a, b, c"],
        ),
        ("sample nosuch.safetensors", &["nosuch.safetensors"]),
    ] {
        refused(folder, &format!("{args} --device cpu"), 3, parts);
    }
    nothing_is_lost(folder, &model);
}

#[test]
fn bad_settings_and_places_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tables_and_a_model(folder);
    let model = std::fs::read(folder.join("good.safetensors")).unwrap();
    let file = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    file("bad.toml", "[model]\nlayer = 3\n");
    file(
        "spline.toml",
        "[model]\ntransform = \"spline\"\nbins = 33\n",
    );
    let cases: [(&str, &[&str]); _] = [
        (
            "train good.csv --learning-rate -1",
            &["learning_rate = -1", "positive"],
        ),
        ("train good.csv --layers 0", &["layers = 0"]),
        ("train good.csv --hidden 8,0", &["hidden[1] = 0"]),
        ("train good.csv --scale-bound=-2", &["scale_bound = -2"]),
        ("train good.csv --config bad.toml", &["bad.toml", "layer"]),
        (
            "train good.csv --config spline.toml",
            &["bins = 33", "2 to 32"],
        ),
        ("train good.csv --config nosuch.toml", &["nosuch.toml"]),
        ("train good.csv --device cpu --adapter 0", &["--adapter"]),
        (
            "train good.csv --layers 100 --hidden 100000,100000",
            &["parameters", "lower"],
        ),
        ("train good.csv --out good.csv", &["overwrite", "DATA"]),
        ("train good.csv --log ./good.csv", &["overwrite", "DATA"]),
        ("train good.csv --log a.x --out a.x", &["same file"]),
        ("sample good.safetensors --out rows.npy --json", &["--json"]),
        ("sample good.safetensors -n 18446744073709551615", &["rows"]),
        (
            "sample good.safetensors --out rows.xlsx",
            &[".xlsx", ".csv"],
        ),
    ];
    for (args, parts) in cases {
        refused(folder, args, 2, parts);
    }
    let adapter: &[&str] = &["nosuch", "no such adapter"];
    for (args, code, parts) in [
        ("train good.csv --adapter nosuch", 4, adapter),
        ("train good.csv --adapter 99", 4, &["99"]),
        (
            "train good.csv --device cpu --out no/such/m.safetensors",
            1,
            &["folder"],
        ),
        (
            "sample good.safetensors --device cpu --out no/such.csv",
            1,
            &["folder"],
        ),
        (
            "train good.csv --device cpu --transform affine --mixing none --average 0 --standardize false \
             --scale-bound 0 --learning-rate 1e3",
            5,
            &["step", "--learning-rate"],
        ),
        (
            "train good.csv --device cpu --log no/such.jsonl",
            1,
            &["folder"],
        ),
        (
            "train good.csv --device cpu --out .",
            1,
            &["this is a folder"],
        ),
    ] {
        refused(folder, args, code, parts);
    }
    nothing_is_lost(folder, &model);
}

/// The model that was there is there still, and no temporary files are left.
fn nothing_is_lost(folder: &Path, model: &[u8]) {
    assert_eq!(
        std::fs::read(folder.join("good.safetensors")).unwrap(),
        model
    );
    let left = std::fs::read_dir(folder).unwrap();
    let left: Vec<_> = left.map(|e| e.unwrap().file_name()).collect();
    let is_temporary = |name: &OsString| name.to_string_lossy().ends_with(".tmp");
    assert!(!left.iter().any(is_temporary), "{left:?}");
}

/// With a configuration, too, a model file that --init names must be whole, of a version that is known, and of the flow's
/// shape; only a file without metadata is taken for bare tensors.
#[test]
fn a_start_from_a_broken_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder, "d.csv", 60, |_, _| {});
    well(
        folder,
        "train d.csv --steps 2 --device cpu --out m.safetensors",
    );
    std::fs::write(folder.join("c.toml"), "[train]\nsteps = 2\n").unwrap();
    let bytes = std::fs::read(folder.join("m.safetensors")).unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let replaced = |from: &str, to: &str| {
        assert!(text.contains(from) && from.len() == to.len());
        let at = bytes
            .windows(from.len())
            .position(|w| w == from.as_bytes())
            .unwrap();
        let mut bytes = bytes.clone();
        bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
        std::fs::write(folder.join("x.safetensors"), bytes).unwrap();
    };
    let train = "train d.csv --device cpu --config c.toml --init x.safetensors";
    replaced("format_version\\\":1", "format_version\\\":7");
    refused(folder, train, 3, &["x.safetensors", "format version 7"]);
    replaced("\\\"columns\\\":", "\\\"colunms\\\":");
    refused(folder, train, 3, &["x.safetensors", "metadata", "columns"]);
    std::fs::write(folder.join("x.safetensors"), &bytes[..bytes.len() - 4]).unwrap();
    refused(folder, train, 3, &["x.safetensors", "cut short"]);
    std::fs::write(folder.join("x.safetensors"), &bytes).unwrap();
    let deeper = format!("{train} --layers 9");
    refused(
        folder,
        &deeper,
        3,
        &["lacks the tensor layers.8.mix.lower", "x.safetensors"],
    );
    well(folder, &format!("{train} --out y.safetensors"));
}

/// The published polynomial configuration, on raw data: not a number at its first step. The end says which, where and
/// what to change, and a model is there; one that was there before is not lost.
#[test]
fn the_published_polynomials_diverge_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(
        folder.join("raw.toml"),
        "[model]\nconditioner = \"hermite\"\ndegree = 3\ntotal_degree = 3\n",
    )
    .unwrap();
    for device in ["cpu", "gpu"] {
        let out = format!("{device}.safetensors");
        let args = format!(
            "train --config raw.toml --rows 5000 --device {device} --out {out} --log {device}.jsonl"
        );
        refused(
            folder,
            &args,
            5,
            &[
                "step 0",
                "the loss is not finite",
                "Row ",
                "x3 = ",
                "layer 0",
                "layers.0.s.coefficients",
                "--standardize true",
                "--input-bound 3.0",
                "--scale-bound 3.0",
                "the initial parameters",
                &out,
            ],
        );
        let log = std::fs::read_to_string(folder.join(format!("{device}.jsonl"))).unwrap();
        assert!(log.contains("\"event\":\"diverged\""), "{log}");
        well(folder, &format!("info {out}"));
        let before = std::fs::read(folder.join(&out)).unwrap();
        refused(folder, &args, 5, &["is left as it was"]);
        assert_eq!(std::fs::read(folder.join(&out)).unwrap(), before);
    }
}

/// A row that is too far out, in a table that is not standardized: retries are told, then the row is named as it is in the
/// table, though some of its rows are held out.
#[test]
fn a_row_that_cannot_be_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder, "far.csv", 200, |row, fields| {
        if row == 123 {
            fields[1] = "1e30".into();
        }
    });
    let settings = "--standardize false --batch-size 20 --validation 0.3 --seed 5 --device cpu";
    let output = couplet(folder, &format!("train far.csv {settings} --log log.jsonl"));
    assert_eq!(output.status.code(), Some(5));
    let text = stderr(&output);
    assert!(text.contains("(retry 5 of 5)"), "{text}");
    for part in [
        "Row 123 (height = ",
        "weight = 1e30",
        "5 times, did not help",
        "far.safetensors",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let log = std::fs::read_to_string(folder.join("log.jsonl")).unwrap();
    assert_eq!(log.matches("\"event\":\"retry\"").count(), 5);
    let scores = stdout(&well(folder, "score far.safetensors far.csv --device cpu"));
    assert!(!scores.contains("NaN"), "{scores}");

    // Where it is held out instead, it is named as well, and the last parameters are kept.
    let settings = "--standardize false --validation 0.3 --seed 2 --steps 20 --device cpu";
    let text = stderr(&well(folder, &format!("train far.csv {settings}")));
    assert!(text.contains("row 123"), "{text}");
}
