//! Advice is something that works: what a message says to do is done here, and the message is gone.

use std::fs;
use std::path::Path;

use couplet::random::{Purpose, normal_at};

use crate::command::{couplet, shell, stderr, stdout, well};

const SMALL: &str = "--device cpu --steps 5 --layers 2 --hidden 8 --out m.safetensors";

fn z(row: usize, j: usize) -> f64 {
    f64::from(normal_at(4, Purpose::TargetRows, row as u64, j))
}

fn rows(folder: &Path, name: &str, header: &str, count: usize, row: impl Fn(usize) -> String) {
    let lines: String = (0..count).map(|number| row(number) + "\n").collect();
    fs::write(folder.join(name), format!("{header}{lines}")).unwrap();
}

/// A command whose message has `advice` in it, and the same with what that says, which does well and says it no more.
#[track_caller]
fn followed(folder: &Path, args: &str, advice: &str, followed: &str) {
    let output = couplet(folder, args);
    let said = stderr(&output);
    assert!(said.contains(advice), "{args}: no {advice:?} in {said}");
    let output = couplet(folder, followed);
    let after = stderr(&output);
    assert!(output.status.success(), "{followed}: {after}");
    assert!(!after.contains(advice), "{followed}: {after}");
}

/// Of columns: each is left out by what the message says, whatever its name.
#[test]
fn excluding_a_column_as_a_warning_says() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for name in ["hour", "the hour", "a-b", "x1", "3", "h,m", "-h"] {
        let quoted = name.contains(',').then(|| format!("\"{name}\""));
        let header = format!("a,b,{}\n", quoted.as_deref().unwrap_or(name));
        rows(folder, "t.csv", &header, 600, |n| {
            format!("{},{},{}", z(n, 0), z(n, 1), n % 12)
        });
        let train = format!("train t.csv --header yes --column 3=real {SMALL}");
        let said = stderr(&well(folder, &train));
        let advice = said.split("leave it out (").nth(1).unwrap();
        let advice = advice.split(')').next().unwrap();
        // By a shell, as it stands there.
        let command = format!("couplet {train} {advice}").replace(" --column 3=real", "");
        let output = shell(folder, &command);
        let after = stderr(&output);
        assert!(
            output.status.success() && !after.contains("warning"),
            "{name}: {command}: {after}"
        );
        let info = stdout(&well(folder, "info m.safetensors"));
        assert!(
            info.lines().nth(2).unwrap().ends_with("a, b"),
            "{name}: {info}"
        );
    }
}

/// Noise as wide as the grid, as a warning of a grid says.
#[test]
fn adding_noise_as_wide_as_a_grid() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let hour = |n: usize| (n * 7 % 24) as f64;
    let line = |n: usize, noise: f64| format!("{},{}", hour(n) + noise, z(n, 1));
    rows(folder, "t.csv", "hour,y\n", 2000, |n| line(n, 0.0));
    let noise = |n: usize| (n as f64 * 0.618_033_988_749_894_9).fract() - 0.5;
    rows(folder, "noisy.csv", "hour,y\n", 2000, |n| line(n, noise(n)));
    let advice = "noise to it that is uniform between -0.5 and 0.5";
    followed(
        folder,
        &format!("train t.csv --column hour=real {SMALL}"),
        advice,
        &format!("train noisy.csv {SMALL}"),
    );
}

#[test]
fn dealing_with_rows_and_columns_as_warnings_say() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // A column that follows from another, a row far out, copies, a surface.
    rows(folder, "t.csv", "a,b,c\n", 300, |n| {
        format!("{},{},{}", z(n, 0), z(n, 1), 2.0 * z(n, 1) + 1.0)
    });
    followed(
        folder,
        &format!("train t.csv {SMALL}"),
        "--exclude c",
        &format!("train t.csv {SMALL} --exclude c"),
    );
    let far = |n: usize| {
        if n == 7 {
            "9999".to_string()
        } else {
            z(n, 1).to_string()
        }
    };
    rows(folder, "t.csv", "a,b\n", 300, |n| {
        format!("{},{}", z(n, 0), far(n))
    });
    rows(folder, "without.csv", "a,b\n", 299, |n| {
        format!("{},{}", z(n + n / 7, 0), z(n + n / 7, 1))
    });
    followed(
        folder,
        &format!("train t.csv {SMALL}"),
        "remove the row",
        &format!("train without.csv {SMALL}"),
    );
    rows(folder, "t.csv", "a,b\n", 300, |n| {
        format!("{},{}", z(n / 2, 0), z(n / 2, 1))
    });
    rows(folder, "once.csv", "a,b\n", 150, |n| {
        format!("{},{}", z(n, 0), z(n, 1))
    });
    followed(
        folder,
        &format!("train t.csv {SMALL}"),
        "remove them",
        &format!("train once.csv {SMALL}"),
    );
    rows(folder, "t.csv", "a,b,c\n", 900, |n| {
        format!("{},{},{}", z(n, 0), z(n, 1), z(n, 1).powi(2))
    });
    followed(
        folder,
        &format!("train t.csv {SMALL}"),
        "a curve or a surface",
        &format!("train t.csv {SMALL} --exclude c"),
    );
    rows(folder, "t.csv", "", 50, |n| match n {
        0 => "2019,2020".into(),
        n => format!("{},{}", z(n, 0), z(n, 1)),
    });
    for answer in ["yes", "no"] {
        let train = format!("train t.csv {SMALL} --header {answer}");
        followed(
            folder,
            &format!("train t.csv {SMALL}"),
            &format!("(--header {answer})"),
            &train,
        );
    }
}

/// Of text that cannot be read: the flag, or the program, that the message names.
#[cfg(unix)]
#[test]
fn reading_text_as_an_error_says() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let train = |name: &str, flags: &str| format!("train {name} {SMALL} {flags}");
    let comma = |x: f64| x.to_string().replace('.', ",");
    rows(folder, "t.csv", "a;b\n", 60, |n| {
        format!("{};{}", comma(z(n, 0)), comma(z(n, 1)))
    });
    followed(
        folder,
        &train("t.csv", ""),
        "--decimal-comma",
        &train("t.csv", "--decimal-comma"),
    );
    rows(folder, "t.csv", "a,b\n", 60, |n| {
        format!(
            "{},{}",
            z(n, 0),
            if n == 5 {
                "NA".into()
            } else {
                z(n, 1).to_string()
            }
        )
    });
    followed(
        folder,
        &train("t.csv", ""),
        "--missing drop",
        &train("t.csv", "--missing drop"),
    );
    rows(folder, "t.csv", "a,b,c\n", 60, |n| {
        let code = if n == 7 { "7".into() } else { format!("n{n}") };
        format!("{},{},{code}", z(n, 0), z(n, 1))
    });
    followed(
        folder,
        &train("t.csv", ""),
        "leave columns out (--exclude)",
        &train("t.csv", "--exclude c"),
    );
    rows(folder, "t.csv", "a,7\n", 60, |n| {
        format!("{},{}", z(n, 0), z(n, 1))
    });
    followed(
        folder,
        &train("t.csv", ""),
        "(--header yes)",
        &train("t.csv", "--header yes"),
    );
    // A separator at the end of each line: no row would be left.
    rows(folder, "t.csv", "a,b,\n", 60, |n| {
        format!("{},{},", z(n, 0), z(n, 1))
    });
    let said = stderr(&couplet(folder, &train("t.csv", "")));
    assert!(!said.contains("--missing"), "{said}");
    followed(
        folder,
        &train("t.csv", ""),
        "leave columns out (--exclude)",
        &train("t.csv", "--exclude 3"),
    );
    let units = |line: &str| {
        rows(folder, "t.csv", &format!("a,b\n{line}"), 60, |n| {
            format!("{},{}", z(n, 0), z(n, 1))
        });
    };
    units("m,kg\n");
    let said = stderr(&couplet(folder, &train("t.csv", "")));
    assert!(
        said.contains("below the header")
            && said.contains("remove it")
            && !said.contains("--exclude"),
        "{said}"
    );
    units("");
    well(folder, &train("t.csv", ""));
    // Programs that convert and unpack.
    let does_well = |command: &str| {
        let output = shell(folder, command);
        assert!(output.status.success(), "{command}: {}", stderr(&output));
    };
    let lines: String = (0..60)
        .map(|n| format!("{},{}\n", z(n, 0), z(n, 1)))
        .collect();
    let latin: Vec<u8> = [b"h\xf6he,b\n".as_slice(), lines.as_bytes()].concat();
    fs::write(folder.join("latin.csv"), latin).unwrap();
    assert!(stderr(&couplet(folder, &train("latin.csv", ""))).contains("iconv -f LATIN1 -t UTF-8"));
    does_well(&format!(
        "iconv -f LATIN1 -t UTF-8 < latin.csv | couplet train - {SMALL}"
    ));
    let wide: Vec<u8> = format!("\u{feff}a,b\n{lines}")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    fs::write(folder.join("wide.csv"), wide).unwrap();
    assert!(stderr(&couplet(folder, &train("wide.csv", ""))).contains("iconv -f UTF-16 -t UTF-8"));
    does_well(&format!(
        "iconv -f UTF-16 -t UTF-8 < wide.csv | couplet train - {SMALL}"
    ));
}

/// Of a fit: the flags that the summary names.
#[test]
fn training_as_the_summary_says() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    rows(folder, "t.csv", "a,b\n", 400, |n| {
        let (angle, r) = (std::f64::consts::TAU * z(n, 0), 2.0 + 0.2 * z(n, 1));
        format!("{},{}", r * angle.cos(), r * angle.sin())
    });
    let train = |flags: &str| {
        let shape = match flags.contains("--hidden") {
            true => "",
            false => "--hidden 16 --layers 4",
        };
        format!("train t.csv --device cpu {shape} --out m.safetensors {flags}")
    };
    let short = stderr(&well(folder, &train("--steps 40")));
    assert!(short.contains("try more steps (--steps 80)"), "{short}");
    let nll = |said: &str| -> f64 {
        let line = said
            .lines()
            .find(|line| line.starts_with("validation NLL"))
            .unwrap();
        line.split_whitespace().nth(2).unwrap().parse().unwrap()
    };
    let longer = stderr(&well(folder, &train("--steps 80")));
    assert!(nll(&longer) < nll(&short), "{short} {longer}");
    followed(
        folder,
        &train("--steps 40 --validation 0"),
        "--validation 0.1",
        &train("--steps 40 --validation 0.1"),
    );
    // A comparison holds rows out too, and judges the executors alone.
    let compared = stderr(&well(folder, &train("--steps 40 --cpu-reference")));
    assert!(!compared.contains("held out, so"), "{compared}");
    let forgetful = "--steps 600 --patience 0 --validation 0.5 --weight-decay 0";
    let said = stderr(&well(
        folder,
        &format!("train t.csv --device cpu --hidden 128,128 --out m.safetensors {forgetful}"),
    ));
    assert!(
        said.contains("it overfits after step") && said.contains("try fewer layers (--layers)"),
        "{said}"
    );
    let smaller = stderr(&well(
        folder,
        &train(&format!("{forgetful} --hidden 8 --layers 2")),
    ));
    assert!(nll(&smaller) < nll(&said) + 0.3, "{smaller}");
    // What no flow improves on.
    rows(folder, "t.csv", "a,b\n", 400, |n| {
        format!("{},{}", z(n, 0), z(n, 1))
    });
    let said = stderr(&well(folder, &train("--steps 100")));
    assert!(
        said.contains("try fewer layers (--layers), or narrower ones (--hidden)"),
        "{said}"
    );
    well(folder, &train("--steps 100 --layers 1 --hidden 4"));
    // Twenty rows are enough to hold some out, as is said of nineteen.
    for count in [19, 20] {
        rows(folder, "t.csv", "a,b\n", count, |n| {
            format!("{},{}", z(n, 0), z(n, 1))
        });
        let said = stderr(&well(folder, &train("--patience 0")));
        assert_eq!(
            said.contains("From 20 rows on a flow is trained"),
            count == 19,
            "{said}"
        );
        assert_eq!(said.contains("validation NLL"), count == 20, "{said}");
    }
}

/// Of numbers that overflow: the flags that the message names.
#[test]
fn the_flags_that_a_divergence_names_prevent_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(
        folder.join("raw.toml"),
        "[model]\nconditioner = \"hermite\"\n",
    )
    .unwrap();
    let train = "train --config raw.toml --device cpu --rows 2000 --steps 20 --out m.safetensors"
        .to_string();
    let output = couplet(folder, &train);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(5), "{said}");
    // "bound the log-scale (--scale-bound 3.0), or ..."
    let flags: Vec<&str> = said
        .split('(')
        .filter_map(|part| part.split(')').next())
        .filter(|part| part.starts_with("--"))
        .collect();
    assert_eq!(
        flags,
        [
            "--standardize true",
            "--input-bound 3.0",
            "--scale-bound 3.0",
            "--clip-norm 1.0"
        ],
        "{said}"
    );
    well(folder, &format!("{train} {}", flags.join(" ")));
}
