//! Text tables as programs and people write them.

use std::fs;
use std::path::Path;

use couplet::random::{Purpose, normal_at};

use crate::command::{refused, stderr, stdout, well};

const SMALL: &str = "--device cpu --steps 3 --layers 2 --hidden 8 --out m.safetensors";

fn z(row: usize, j: usize) -> f64 {
    f64::from(normal_at(2, Purpose::TargetRows, row as u64, j))
}

/// So many rows of two normal columns, with this between the fields.
fn body(rows: usize, separator: &str) -> String {
    let row = |row| format!("{}{separator}{}\n", z(row, 0), z(row, 1));
    (0..rows).map(row).collect()
}

/// Trains on a text, and returns what was said, and the columns and means in the model.
fn train(folder: &Path, text: &str, flags: &str) -> (String, Vec<(String, f64)>) {
    fs::write(folder.join("t.csv"), text).unwrap();
    let said = stderr(&well(folder, &format!("train t.csv {SMALL} {flags}")));
    let info = stdout(&well(folder, "info m.safetensors --json"));
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    let names = info["columns"].as_array().unwrap().iter();
    let means = info["preprocessing"]["standardize"]["mean"]
        .as_array()
        .unwrap()
        .iter();
    let columns = names.zip(means);
    let columns =
        columns.map(|(name, mean)| (name.as_str().unwrap().into(), mean.as_f64().unwrap()));
    (said, columns.collect())
}

#[test]
fn thousands_separators_are_read_or_refused_never_taken_for_decimals() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let populations: Vec<i64> = (0..300)
        .map(|row| (8.0 + 1.2 * z(row, 0)).exp() as i64)
        .collect();
    let mean = populations.iter().sum::<i64>() as f64 / 300.0;
    let grouped = |separator: &str| -> Vec<String> {
        let number = |number: &i64| match number / 1000 {
            0 => number.to_string(),
            thousands => format!("{thousands}{separator}{:03}", number % 1000),
        };
        populations.iter().map(number).collect()
    };
    let close = |columns: &[(String, f64)], what: &str| {
        // The mean of the rows trained on, without the few that are far out.
        let found = columns[0].1;
        assert!((found / mean - 1.0).abs() < 0.25, "{what}: {found}, {mean}");
    };
    for (name, separator) in [("comma", ","), ("apostrophe", "'"), ("space", "\u{a0}")] {
        let rows = grouped(separator).into_iter().enumerate();
        let rows = rows.map(|(row, number)| format!("\"{number}\",{}\n", z(row, 1)));
        let text = "population,y\n".to_string() + &rows.collect::<String>();
        let (said, columns) = train(folder, &text, "");
        close(&columns, name);
        assert!(said.contains("separated thousands"), "{name}: {said}");
        if separator == "," {
            refused(
                folder,
                &format!("train t.csv {SMALL} --decimal-comma"),
                3,
                &["thousands", "without --decimal-comma"],
            );
        }
    }
    let comma = |x: f64| x.to_string().replace('.', ",");
    let rows = grouped(".").into_iter().enumerate();
    let rows = rows.map(|(row, number)| format!("{number};{}\n", comma(z(row, 1))));
    let text = "population;y\n".to_string() + &rows.collect::<String>();
    fs::write(folder.join("t.csv"), &text).unwrap();
    refused(
        folder,
        &format!("train t.csv {SMALL}"),
        3,
        &["decimal comma", "--decimal-comma"],
    );
    let (said, columns) = train(folder, &text, "--decimal-comma");
    close(&columns, "european");
    assert!(said.contains("separated thousands"), "{said}");
    // Points that are decimal in one row and cannot be in another.
    let mixed = text + "1.5;2,5\n";
    fs::write(folder.join("t.csv"), mixed).unwrap();
    refused(
        folder,
        &format!("train t.csv {SMALL} --decimal-comma"),
        3,
        &["line 302", "\"1.5\""],
    );
    // Three digits behind a comma are decimals where the user says so, and others show it.
    let rows = (0..300).map(|row| {
        format!(
            "{};{}\n",
            comma((1e3 * z(row, 0)).round() / 1e3),
            comma(z(row, 1))
        )
    });
    let text = "a;b\n".to_string() + &rows.collect::<String>();
    let (_, columns) = train(folder, &text, "--decimal-comma");
    assert!(columns[0].1.abs() < 1.0);
}

#[test]
fn the_separator_is_sought_outside_quotes_and_can_be_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let expected = ["Speed\n(km/h)", "Height, in; m"].map(String::from);
    for (separator, flag) in [
        (";", "';'"),
        ("\t", "tab"),
        (",", "comma"),
        ("|", "'|'"),
        (" ", "blanks"),
    ] {
        let header = format!("\"Speed\n(km/h)\"{separator}\"Height, in; m\"\n");
        let text = header + &body(100, separator);
        let (_, columns) = train(folder, &text, "");
        let names: Vec<String> = columns.iter().map(|it| it.0.clone()).collect();
        assert_eq!(names, expected, "{separator:?}");
        let (_, named) = train(
            folder,
            &text,
            &format!("--separator {}", flag.trim_matches('\'')),
        );
        assert_eq!(named, columns);
    }
    // One that is not sought.
    let (_, columns) = train(
        folder,
        &("a~b\n".to_string() + &body(100, "~")),
        "--separator ~",
    );
    assert_eq!(columns.len(), 2);
    refused(
        folder,
        &format!("train t.csv {SMALL} --separator ab"),
        2,
        &["blanks"],
    );
}

/// As spreadsheets write it.
#[test]
fn a_first_line_may_say_the_separator() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("sep=:\na:b\n{}", body(100, ":"));
    let (_, columns) = train(folder.path(), &text, "");
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn fields_separated_by_blanks_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (_, columns) = train(folder, &body(100, ","), "");
    for separator in [" ", "   ", "\t ", " \t"] {
        let lines = body(100, separator);
        let around: String = lines.lines().map(|line| format!("  {line} \n")).collect();
        for text in [lines, around] {
            let (_, blanks) = train(folder, &text, "");
            assert_eq!(blanks, columns, "{text:.60}");
        }
    }
    let (_, named) = train(folder, &(" a  b\n".to_string() + &body(100, "  ")), "");
    assert_eq!(named[1].0, "b");
}

#[test]
fn comments_are_skipped_or_name_the_columns() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rows = body(100, ",");
    let names = |text: String| {
        let (said, columns) = train(folder, &text, "");
        (said, columns.into_iter().map(|it| it.0).collect::<Vec<_>>())
    };
    let ab = ["a", "b"].map(String::from);
    let (said, columns) = names(format!("# made by a tool\n#\n\na,b\n{rows}"));
    assert_eq!(columns, ab);
    assert!(said.contains("2 lines of comments in front"), "{said}");
    for header in [
        "# a,b",
        "#a,b",
        "# made by a tool, in 2024, at noon\n#  a, b ",
        "% made by a tool\n% a,b",
        "// a,b",
    ] {
        let (said, columns) = names(format!("{header}\n{rows}"));
        assert_eq!(columns, ab, "{header}");
        assert!(said.contains("names the columns: a, b"), "{said}");
    }
    let (_, columns) = names(format!("# a b\n{}", body(100, " ")));
    assert_eq!(columns, ab);
    let (said, columns) = names(format!("a,b\n{rows}# end\n"));
    assert_eq!(columns, ab);
    assert!(
        said.contains("a comment between or after the rows"),
        "{said}"
    );
    // As many fields as there are columns.
    let (said, _) = names(format!("a b\n{}# end\n", body(100, " ")));
    assert!(
        said.contains("a comment between or after the rows"),
        "{said}"
    );
    // Lines are counted with those in front; a value that is missing is no comment.
    fs::write(folder.join("t.csv"), "# one\n# two\na,b\n1,2\n#N/A,3\n").unwrap();
    refused(
        folder,
        &format!("train t.csv {SMALL}"),
        3,
        &["line 5 (row 2)", "#N/A"],
    );
    fs::write(folder.join("t.csv"), "# only\n# this\n").unwrap();
    refused(
        folder,
        &format!("train t.csv {SMALL}"),
        3,
        &["comments alone"],
    );
}

#[test]
fn a_line_of_blanks_is_no_row_and_a_row_of_missing_values_no_header() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rows = body(100, ",");
    let (said, _) = train(folder, &format!("a,b\n{rows}   \n"), "");
    assert!(said.contains("80 rows (20 more held out"), "{said}");
    fs::write(folder.join("t.csv"), format!("NA,\n{rows}")).unwrap();
    refused(
        folder,
        &format!("train t.csv {SMALL}"),
        3,
        &["line 1 (row 1)", "--missing drop"],
    );
    let (_, columns) = train(folder, &format!("NA,\n{rows}"), "--missing drop");
    assert_eq!(columns[0].0, "x0");
}

/// A line a row of the table, empty where a value is missing; so with all columns beside the scores.
#[test]
fn scores_have_a_line_for_each_row_of_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(folder, &format!("a,b\n{}", body(200, ",")), "");
    let missing = [3, 4, 11, 39];
    let rows = (0..40).map(|row| match missing.contains(&row) {
        true => format!("{},\n", z(row, 0)),
        false => format!("{},{}\n", z(row, 0), z(row, 1)),
    });
    let text = "a,b\n".to_string() + &rows.collect::<String>();
    fs::write(folder.join("holes.csv"), &text).unwrap();
    let score = |flags: &str| {
        let args = format!("score m.safetensors holes.csv --missing drop --device cpu {flags}");
        stdout(&well(folder, &args))
    };
    let csv = score("");
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 41);
    let empty: Vec<usize> = (0..40).filter(|row| lines[row + 1].is_empty()).collect();
    assert_eq!(empty, missing);
    let appended = score("--append");
    for ((appended, row), score) in appended.lines().zip(text.lines()).zip(&lines).skip(1) {
        assert_eq!(appended, format!("{row},{score}"));
    }
    let json = score("--json");
    let third: serde_json::Value = serde_json::from_str(json.lines().nth(3).unwrap()).unwrap();
    assert_eq!(
        (&third["row"], third["log_prob"].is_null()),
        (&4.into(), true)
    );
    score("--out s.npy");
    let npy = fs::read(folder.join("s.npy")).unwrap();
    let numbers: Vec<f64> = npy[npy.len() - 320..]
        .chunks(8)
        .map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap()))
        .collect();
    let empty: Vec<usize> = (0..40).filter(|&row| numbers[row].is_nan()).collect();
    assert_eq!(empty, missing);
    // Where nothing can be scored.
    fs::write(folder.join("holes.csv"), "a,b\n1,\n,2\n").unwrap();
    let args = "score m.safetensors holes.csv --missing drop --device cpu";
    refused(folder, args, 3, &["every row lacks a value"]);
}

/// A quantile among rows that 32-bit numbers cannot hold is minus infinity, and no NaN.
#[test]
fn a_summary_has_no_nan() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("plain.toml"), "[data]\nrobust = false\n").unwrap();
    train(
        folder,
        &format!("a,b\n{}", body(200, ",")),
        "--config plain.toml",
    );
    let mut text = format!("a,b\n{}", body(196, ","));
    for k in 1..5 {
        text += &format!("{k}e300,0\n");
    }
    fs::write(folder.join("far.csv"), text).unwrap();
    let score = "score m.safetensors far.csv --device cpu --summary";
    let summary = stdout(&well(folder, score));
    assert!(
        !summary.contains("NaN") && summary.contains("1%: -inf"),
        "{summary}"
    );
    let json = stdout(&well(folder, &format!("{score} --json")));
    assert!(
        !json.to_lowercase().contains("nan") && !json.contains("null"),
        "{json}"
    );
}
