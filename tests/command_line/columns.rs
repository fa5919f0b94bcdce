//! Columns of tables and models meet by name.

use std::fs;
use std::path::Path;

use couplet::random::{Purpose, normal_at};

use crate::command::{couplet, refused, stderr, stdout, well};

const SMALL: &str = "--device cpu --steps 10 --layers 2 --hidden 8";

/// Two columns of different sizes.
fn rows(count: u64) -> Vec<[f64; 2]> {
    let z = |row, j| f64::from(normal_at(1, Purpose::TargetRows, row, j));
    (0..count)
        .map(|row| [z(row, 0), 100.0 + 5.0 * z(row, 1)])
        .collect()
}

fn write(folder: &Path, name: &str, header: &str, row: impl Fn(usize, [f64; 2]) -> String) {
    let rows = rows(200).into_iter().enumerate();
    let lines = rows.map(|(number, it)| row(number, it) + "\n");
    fs::write(
        folder.join(name),
        format!("{header}\n{}", lines.collect::<String>()),
    )
    .unwrap();
}

/// Tables of the columns `a` and `b`: to train on, with the columns swapped, among others, and of other names.
fn tables(folder: &Path, [a, b]: [&str; 2]) {
    write(folder, "same.csv", &format!("{a},{b}"), |_, [x, y]| {
        format!("{x},{y}")
    });
    write(folder, "swapped.csv", &format!("{b},{a}"), |_, [x, y]| {
        format!("{y},{x}")
    });
    write(
        folder,
        "extra.csv",
        &format!("id,{a},name,{b}"),
        |number, [x, y]| format!("{number},{x},n{number},{y}"),
    );
    write(folder, "other.csv", "height,weight", |_, [x, y]| {
        format!("{x},{y}")
    });
}

/// Whatever the names are: those that columns without names have, numbers and years among them.
#[test]
fn columns_are_matched_by_name_whatever_the_names() {
    for names in [["x0", "x1"], ["a", "b"], ["0", "1"], ["2019", "2020"]] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        tables(folder, names);
        well(
            folder,
            &format!("train same.csv --header yes {SMALL} --out m.safetensors"),
        );
        let model = fs::read(folder.join("m.safetensors")).unwrap();
        let score = |table: &str| {
            let output = well(folder, &format!("score m.safetensors {table} --device cpu"));
            stdout(&output)
        };
        let expected = score("same.csv");
        assert_eq!(expected.lines().count(), 201, "{names:?}");
        assert_eq!(score("swapped.csv"), expected, "{names:?}");
        assert_eq!(score("extra.csv"), expected, "{names:?}");
        // Names that are numbers, and not the model's, may be taken for a row; that is asked about.
        write(folder, "years.csv", "1066,1815", |_, [x, y]| {
            format!("{x},{y}")
        });
        let said = stderr(&well(folder, "score m.safetensors years.csv --device cpu"));
        assert!(
            said.contains("(1066, 1815) is taken for a row") && said.contains("--header yes"),
            "{said}"
        );

        // In the model's order, too, where it continues being trained.
        for (flag, out) in [
            ("--continue", "on.safetensors"),
            ("--init", "init.safetensors"),
        ] {
            let train = |table: &str| {
                fs::write(folder.join("start.safetensors"), &model).unwrap();
                let args = format!(
                    "train {table} {flag} start.safetensors --device cpu --steps 5 --out {out} --force"
                );
                well(folder, &args);
                fs::read(folder.join(out)).unwrap()
            };
            let on = train("same.csv");
            assert!(train("swapped.csv") == on, "{names:?} {flag}");
            assert!(train("extra.csv") == on, "{names:?} {flag}");
        }
    }
}

/// Other names are refused, and nothing is written.
#[test]
fn other_names_are_refused_before_anything_is_written() {
    for names in [["x0", "x1"], ["a", "b"]] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        tables(folder, names);
        well(
            folder,
            &format!("train same.csv {SMALL} --out m.safetensors"),
        );
        let model = fs::read(folder.join("m.safetensors")).unwrap();
        let files = || fs::read_dir(folder).unwrap().count();
        let before = files();
        for args in [
            "score m.safetensors other.csv --device cpu --out s.csv",
            "train other.csv --continue m.safetensors --device cpu --log l.jsonl --checkpoint kept --steps 5",
            "train other.csv --init m.safetensors --device cpu --out n.safetensors --steps 5",
            #[cfg(feature = "plots")]
            "plot m.safetensors --data other.csv --out plots",
        ] {
            refused(folder, args, 3, &[names[0], "height, weight"]);
            assert_eq!(files(), before, "{args}");
        }
        assert!(fs::read(folder.join("m.safetensors")).unwrap() == model);
    }
}

/// A table without names has its columns in the model's order; a model without names takes a table's.
#[test]
fn a_side_without_names_goes_by_position() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tables(folder, ["a", "b"]);
    let text = fs::read_to_string(folder.join("same.csv")).unwrap();
    fs::write(folder.join("bare.csv"), text.split_once('\n').unwrap().1).unwrap();
    for (train, score) in [
        ("same.csv", "bare.csv"),
        ("bare.csv", "same.csv"),
        ("bare.csv", "bare.csv"),
    ] {
        well(
            folder,
            &format!("train {train} {SMALL} --out m.safetensors"),
        );
        let scores = well(folder, &format!("score m.safetensors {score} --device cpu"));
        assert_eq!(stdout(&scores).lines().count(), 201, "{train} {score}");
    }
}

/// Samples and scored tables in every format, of names that look like numbers, like no value, or like a comment.
#[test]
fn what_is_written_is_read_back_row_for_row() {
    for header in [
        "\"0\",\"1\"",
        "\"NA\",b",
        "\"#a\",b",
        "\"a,b\",\"c\nd\"",
        "\" a\",b",
        "nan,inf",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(folder, "t.csv", header, |_, [x, y]| format!("{x},{y}"));
        well(
            folder,
            &format!("train t.csv --header yes {SMALL} --out m.safetensors"),
        );
        well(folder, "sample m.safetensors -n 7 --device cpu --out s.npy");
        let score = |table: &str| {
            let args = format!("score m.safetensors {table} --device cpu");
            let output = couplet(folder, &args);
            assert!(
                output.status.success(),
                "{header} {args}: {}",
                stderr(&output)
            );
            stdout(&output)
        };
        let expected = score("s.npy");
        assert_eq!(expected.lines().count(), 8);
        for end in ["csv", "tsv", "jsonl", "parquet", "arrow"] {
            well(
                folder,
                &format!("sample m.safetensors -n 7 --device cpu --out s.{end}"),
            );
            assert_eq!(score(&format!("s.{end}")), expected, "{header} {end}");
            let append = format!("score m.safetensors s.{end} --append --device cpu --out a.{end}");
            well(folder, &append);
            assert_eq!(score(&format!("a.{end}")), expected, "{header} {end}");
        }
        // To train on as well.
        well(
            folder,
            "train s.csv --device cpu --steps 2 --layers 2 --hidden 8 --out n.safetensors",
        );
        let names = |model: &str| {
            let info = stdout(&well(folder, &format!("info {model} --json")));
            serde_json::from_str::<serde_json::Value>(&info).unwrap()["columns"].clone()
        };
        let trimmed = |names: serde_json::Value| {
            let names = names.as_array().unwrap().clone().into_iter();
            names
                .map(|it| it.as_str().unwrap().trim().to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            trimmed(names("n.safetensors")),
            trimmed(names("m.safetensors"))
        );
    }
}

/// Row labels that pandas wrote are left out of what is trained on, and said; asked for, they are in.
#[test]
fn row_labels_of_pandas_are_left_out_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for name in ["", "Unnamed: 0", "__index_level_0__"] {
        write(folder, "t.csv", &format!("{name},a,b"), |number, [x, y]| {
            format!("{},{x},{y}", number * number)
        });
        let train = format!("train t.csv {SMALL} --out m.safetensors");
        let said = stderr(&well(folder, &train));
        assert!(
            said.contains("holds row labels") && said.contains("--columns 1..3"),
            "{said}"
        );
        let columns = |args: &str| {
            well(folder, args);
            let info = stdout(&well(folder, "info m.safetensors"));
            info.lines().nth(2).unwrap().to_string()
        };
        assert!(columns(&train).ends_with("  a, b"), "{name}");
        assert!(
            columns(&format!("{train} --columns 1..3")).contains(", a, b"),
            "{name}"
        );
    }
    // Labels that are no numbers, as R writes them.
    write(folder, "r.csv", "\"\",a,b", |number, [x, y]| {
        format!("row {number},{x},{y}")
    });
    well(folder, &format!("train r.csv {SMALL} --out m.safetensors"));
}

/// Several files, or a folder of them, are one table, with its rows in the order of the files' names.
#[test]
fn several_files_are_one_table() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let line = |it: &[f64; 2]| format!("{},{}\n", it[0], it[1]);
    let all = rows(300);
    let text = |rows: &[[f64; 2]]| rows.iter().map(line).collect::<String>();
    fs::write(folder.join("all.csv"), "a,b\n".to_string() + &text(&all)).unwrap();
    fs::create_dir_all(folder.join("parts/year=2021")).unwrap();
    fs::write(
        folder.join("parts/p1.csv"),
        "a,b\n".to_string() + &text(&all[..100]),
    )
    .unwrap();
    // With the columns the other way round.
    let swapped: String = all[100..180]
        .iter()
        .map(|it| format!("{},{}\n", it[1], it[0]))
        .collect();
    fs::write(folder.join("parts/p2.csv"), "b,a\n".to_string() + &swapped).unwrap();
    fs::write(
        folder.join("parts/year=2021/p.csv"),
        "a,b\n".to_string() + &text(&all[180..]),
    )
    .unwrap();
    fs::write(folder.join("parts/_SUCCESS"), "").unwrap();
    let train = |data: &str| {
        well(folder, &format!("train {data} {SMALL} --out m.safetensors"));
        fs::read(folder.join("m.safetensors")).unwrap()
    };
    let model = train("all.csv");
    assert!(train("parts") == model);
    assert!(train("parts/p1.csv parts/p2.csv parts/year=2021") == model);
    let score = |data: &str| {
        stdout(&well(
            folder,
            &format!("score m.safetensors {data} --device cpu"),
        ))
    };
    assert_eq!(score("parts"), score("all.csv"));
    let summary = stdout(&well(
        folder,
        "score m.safetensors parts --summary --device cpu",
    ));
    assert!(summary.contains("rows       300"), "{summary}");
    // The model is named after the folder, or the first file.
    let name = format!("train parts {SMALL}");
    well(folder, &name);
    assert!(folder.join("parts.safetensors").exists());

    // A file that does not belong is refused before anything is done.
    fs::write(folder.join("parts/p3.csv"), "a,c\n1,2\n").unwrap();
    refused(
        folder,
        "score m.safetensors parts --device cpu --out s.csv",
        3,
        &["p3.csv", "\"b\""],
    );
    refused(
        folder,
        &format!("train parts {SMALL} --out n.safetensors"),
        3,
        &["p3.csv", "first of the files has a, b"],
    );
    assert!(!folder.join("n.safetensors").exists());
    // An error names the file and its own row.
    fs::write(folder.join("parts/p3.csv"), "a,b\n1,2\n1,x\n").unwrap();
    refused(
        folder,
        &format!("train parts {SMALL}"),
        3,
        &["p3.csv", "line 3 (row 2)"],
    );
    // No file of the table is written over.
    fs::remove_file(folder.join("parts/p3.csv")).unwrap();
    let over = "score m.safetensors parts --device cpu --out parts/p2.csv";
    refused(folder, over, 2, &["p2.csv", "overwrite"]);
}
