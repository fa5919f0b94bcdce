//! Tables as people have them: pipes, headers, indices, other formats, many things wrong at once.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::command::{couplet, refused, stderr, stdout, table, well};

/// Runs a command with bytes on its standard input, which is a pipe.
fn piped(folder: &Path, args: &str, input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_couplet"))
        .args(args.split_whitespace())
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A command that refuses its input closes the pipe.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// A pipe holds what a file holds: the same model from either, by whichever name, and every row of it.
#[test]
fn a_pipe_is_read_from_its_first_byte() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder, "d.csv", 2000, |_, _| {});
    let bytes = fs::read(folder.join("d.csv")).unwrap();
    let train = "train d.csv --steps 5 --device cpu";
    well(folder, train);
    let model = fs::read(folder.join("d.safetensors")).unwrap();
    let mut names = vec!["-"];
    if cfg!(unix) {
        names.push("/dev/stdin");
    }
    for name in names {
        let output = piped(folder, &train.replace("d.csv", name), &bytes);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(
            fs::read(folder.join("stdin.safetensors")).unwrap() == model,
            "{name}"
        );
        fs::remove_file(folder.join("stdin.safetensors")).unwrap();
    }
    let scores = piped(folder, "score d.safetensors - --device cpu", &bytes);
    let from_file = well(folder, "score d.safetensors d.csv --device cpu");
    assert_eq!(stdout(&scores), stdout(&from_file));
    assert_eq!(stdout(&scores).lines().count(), 2001);

    // NPY through a pipe, told by its content.
    let rows = "sample d.safetensors -n 300 --device cpu --out rows.npy";
    well(folder, rows);
    let npy = fs::read(folder.join("rows.npy")).unwrap();
    let output = piped(folder, "score d.safetensors - --device cpu", &npy);
    assert_eq!(stdout(&output).lines().count(), 301, "{}", stderr(&output));
}

/// All that is wrong with a table in one run, counted by column.
#[test]
fn every_problem_of_a_table_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut text = "id,city,height,weight\n".to_string();
    for row in 1..=40 {
        let height = if row % 10 == 0 { "" } else { "1.5" };
        let weight = if row == 20 { "inf" } else { "70" };
        let town = if row == 30 { "7" } else { "Town" };
        text += &format!("{row},{town},{height},{weight}\n");
    }
    text += "1,2\n";
    fs::write(folder.join("d.csv"), text).unwrap();
    refused(
        folder,
        "train d.csv --device cpu",
        3,
        &[
            "line 42 (row 41) has 2 fields where 4",
            "line 2 (row 1), column 2 (\"city\"): \"Town\" is not a number, and so in 38 more",
            "line 11 (row 10), column 3 (\"height\"): the field is empty, and so in 3 more",
            "line 21 (row 20), column 4 (\"weight\"): inf is not a finite number",
            "--exclude",
        ],
    );
    // Constant columns, all of them.
    fs::write(folder.join("c.csv"), "a,b,c,d\n1,2,3,4\n1,5,3,6\n1,7,3,9\n").unwrap();
    refused(
        folder,
        "train c.csv --device cpu",
        3,
        &["column 1 (\"a\") is 1.0, column 3 (\"c\") is 3.0"],
    );
    // Left out by name and by number, the rest is a table; a score then takes what it needs from the whole.
    table(folder, "wide.csv", 60, |row, fields| {
        fields.insert(0, format!("Town{row}"));
        fields.push("7".into());
    });
    let text = fs::read_to_string(folder.join("wide.csv")).unwrap();
    let text = text.replace("height,weight", "town,height,weight,seven");
    fs::write(folder.join("wide.csv"), text).unwrap();
    let train = "train wide.csv --steps 5 --device cpu --exclude";
    well(folder, &format!("{train} town,4"));
    well(folder, "score wide.safetensors wide.csv --device cpu");
    refused(
        folder,
        &format!("{train} town,5"),
        2,
        &["--exclude 5", "town, height, weight, seven"],
    );
    refused(
        folder,
        &format!("{train} 1,2,3,4"),
        3,
        &["no column is left"],
    );
}

/// Other formats, and other habits of CSV, by name and with the way out.
#[test]
fn other_formats_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let utf16 = |text: &str| -> Vec<u8> {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect()
    };
    let long = format!("a,b\n1,{}\n", "9".repeat(1 << 20));
    let long_name = format!("a,{}\n1,2\n", "b".repeat(1 << 20));
    for (name, bytes, parts) in [
        (
            "comma.csv",
            b"a;b\n1,5;2,5\n2,5;1\n".to_vec(),
            &["\"1,5\" has a decimal comma", "decimal points"][..],
        ),
        (
            "bare.csv",
            b"1,5;2,5\n2,5;1\n".to_vec(),
            &["column 1: \"1,5\" has a decimal comma"],
        ),
        (
            "zipped.csv",
            b"\x1f\x8b\x08\x00rest".to_vec(),
            &["gzip", "damaged"],
        ),
        (
            "packed.csv",
            b"\xfd7zXZ\x00rest".to_vec(),
            &["compressed with xz", "unxz"],
        ),
        ("wide.csv", utf16("a,b\n1,2\n"), &["UTF-16", "iconv"]),
        (
            "spaces.csv",
            b"a b\n1 2\n3\n".to_vec(),
            &["separated by blanks", "--separator blanks"],
        ),
        (
            "bars.csv",
            b"a|b\n1|2\n3\n".to_vec(),
            &["separated by |", "--separator '|'"],
        ),
        ("rows.json", b"[{\"a\": 1}]".to_vec(), &["JSON"]),
        (
            "rows.csv",
            b"{\"a\": 1,\n\"b\": 2}\n".to_vec(),
            &["line 1", "JSON Lines"],
        ),
        (
            "keys.jsonl",
            b"{\"a\": 1, \"b\": 2}\n{\"a\": 1, \"c\": 2}\n".to_vec(),
            &["line 2", "\"c\""],
        ),
        (
            "nested.jsonl",
            b"{\"a\": 1, \"b\": [2]}\n".to_vec(),
            &["row 1", "\"[2]\" is not a number"],
        ),
        ("book.xlsx", b"PK\x03\x04rest".to_vec(), &["ZIP"]),
        ("rows.parquet", b"PAR1rest".to_vec(), &["Parquet"]),
        ("long.csv", long.into_bytes(), &["is not a finite number"]),
        (
            "name.csv",
            long_name.into_bytes(),
            &["name of column 2 is 1048576 bytes"],
        ),
        (
            "bell.csv",
            b"a,\x1b[31m\x07b\n1,x\n".to_vec(),
            &["\\u{1b}[31m\\u{7}b"],
        ),
        ("quoted.csv", b"a,b\n1,\"2\n3,4\n".to_vec(), &["quote"]),
    ] {
        fs::write(folder.join(name), bytes).unwrap();
        refused(folder, &format!("train {name} --device cpu"), 3, parts);
        let output = couplet(folder, &format!("train {name} --device cpu"));
        let text = stderr(&output);
        assert!(text.len() < 1000, "{name}: {} bytes", text.len());
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{name}: {text:?}");
    }
}

/// What is accepted, but is perhaps not what was meant.
#[test]
fn doubts_about_a_table_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let doubts = |name: &str, header: &str, flags: &str, number: &dyn Fn(usize, usize) -> f64| {
        let mut text = header.to_string();
        for row in 0..120 {
            let fields: Vec<String> = (0..3).map(|j| number(row, j).to_string()).collect();
            text += &(fields.join(",") + "\n");
        }
        fs::write(folder.join(name), text).unwrap();
        stderr(&well(
            folder,
            &format!("train {name} --steps 2 --device cpu {flags}"),
        ))
    };
    let wave = |row: usize, j: usize| ((row as f64 + 1.0) * (j as f64 + 0.7)).sin();
    let text = doubts("years.csv", "2019,2020,2021\n", "", &wave);
    assert!(
        text.contains("(2019, 2020, 2021)") && text.contains("--header yes"),
        "{text}"
    );
    let text = doubts(
        "years.csv",
        "2019,2020,2021\n",
        "--header yes --out y.safetensors",
        &wave,
    );
    assert!(!text.contains("warning"), "{text}");
    let info = stdout(&well(folder, "info y.safetensors"));
    assert!(info.contains("2019, 2020, 2021"), "{info}");
    let index = |row: usize, j: usize| if j == 0 { row as f64 } else { wave(row, j) };
    let text = doubts("pandas.csv", ",a,b\n", "", &index);
    assert!(
        text.contains("column 1 (\"\") holds row labels") && text.contains("--columns 1..3"),
        "{text}"
    );
    let text = doubts("far.csv", "a,b,c\n", "", &|row, j| {
        if (row, j) == (5, 1) {
            31.0
        } else {
            wave(row, j)
        }
    });
    assert!(
        text.contains("column 2 (\"b\") has 31.0 in row 6, 44 deviations"),
        "{text}"
    );
    let text = doubts("zeros.csv", "a,b,c\n", "", &|row, j| {
        if j == 2 && row % 5 < 3 {
            0.0
        } else {
            wave(row, j)
        }
    });
    assert!(
        text.contains("column 3 (\"c\") is 0 in 60% of the rows"),
        "{text}"
    );
    let text = doubts("sum.csv", "a,b,c\n", "", &|row, j| match j {
        2 => wave(row, 0) + wave(row, 1),
        _ => wave(row, j),
    });
    assert!(
        text.contains(
            "column 3 (\"c\") is a linear combination of column 1 (\"a\"), column 2 (\"b\")"
        ),
        "{text}"
    );
    let text = doubts("fine.csv", "a,b,c\n", "", &wave);
    assert!(!text.contains("warning"), "{text}");
}

/// An input without end, in rows and without any, ends with a message about memory and not with the machine's.
#[test]
fn an_endless_input_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (line, parts) in [
        ("1,2\n", ["memory", "fewer rows"]),
        ("1", ["line 1", "64 MiB"]),
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_couplet"))
            .args(["train", "-", "--device", "cpu"])
            .current_dir(folder)
            .env("COUPLET_MEMORY", (64 << 20).to_string())
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let bytes = line.repeat(1 << 16);
        while stdin.write_all(bytes.as_bytes()).is_ok() {}
        let output = child.wait_with_output().unwrap();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(3), "{text}");
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    }
}

/// A table of more rows than statistics are made of: categories and kinds are those of all rows, the report says what it is of, and rows
/// of a report are numbered as in the table.
#[test]
fn long_tables_are_read_in_chunks() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder, "long.csv", 230_000, |row, fields| {
        fields[0] = (row as f64 * 0.618_034).fract().to_string();
        // A level that comes last and is sorted first.
        let level = if row == 229_999 {
            "a"
        } else {
            ["b", "c"][row % 2]
        };
        fields.push(level.into());
        if row == 229_000 {
            fields[0] = "77".into();
        }
    });
    let path = folder.join("long.csv");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replacen("height,weight", "height,weight,class", 1);
    std::fs::write(&path, text).unwrap();
    let output = well(
        folder,
        "train long.csv --device cpu --steps 2 --layers 2 --hidden 8 --out m.safetensors --report r.html --json",
    );
    let text = stderr(&output);
    for part in [
        "\"class\" holds 3 categories, a, b, c",
        "column 1 (\"height\") has 77.0 in row 229000",
        "over 200000 of the 2",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(stdout(&output).contains("\"nll_standard_error\":0.0"));
    let page = std::fs::read_to_string(folder.join("r.html")).unwrap();
    assert!(page.contains("over 200000 rows"), "{page}");
    let scored = well(folder, "score m.safetensors long.csv --summary");
    assert!(stderr(&scored).contains("230000") || stdout(&scored).contains("230000"));
}
