//! The command line as a user meets it: what it writes, what it prints, its exit codes.

use std::cell::Cell;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;

use crate::command::{couplet, refused, stderr, stdout, table, well};
use crate::faulty::{Fault, Faulty};
use couplet::data::{TableFormat, Values, write_table};

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
    for (name, text) in [
        ("empty.csv", ""),
        ("header.csv", "a,b\n"),
        ("one.csv", "a\n1\n2\n3\n"),
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
        ("train empty.csv", &["empty"]),
        ("train header.csv", &["no rows"]),
        ("train one.csv", &["1 column", "at least 2"]),
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
            &["2 columns", "3"],
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
    let steps: &[&str] = &["steps = 0", "at least 1"];
    for (args, parts) in [
        ("train good.csv --steps 0", steps),
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
    ] {
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
            &["step", "learning_rate"],
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

/// `-q` leaves warnings, errors and what was asked for on standard output.
#[test]
fn quiet_is_quiet() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder, "d.csv", 100, |_, _| {});
    let train = well(folder, "train d.csv --device cpu --steps 5 --json -q");
    assert_eq!(stderr(&train), "");
    assert!(stdout(&train).starts_with('{'));
    let score = well(folder, "-q score d.safetensors d.csv --device cpu");
    assert_eq!(
        (stderr(&score), stdout(&score).lines().count()),
        (String::new(), 101)
    );
    let ids = "id,a,b\n".to_string()
        + &(1..60)
            .map(|i| format!("{i},{0},{0}\n", i * i % 37))
            .collect::<String>();
    std::fs::write(folder.join("ids.csv"), ids).unwrap();
    let warned = stderr(&well(folder, "train ids.csv --device cpu --steps 5 -q"));
    assert!(
        !warned.is_empty() && warned.lines().all(|line| line.starts_with("warning: ")),
        "{warned}"
    );
    refused(folder, "train nosuch.csv -q", 3, &["error: ", "nosuch.csv"]);
}

/// Shells and `man` get what they take.
#[test]
fn scripts_and_pages_for_the_shell() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stdout(&well(folder, &format!("completions {shell}")));
        assert!(
            script.contains("--learning-rate") || script.contains("learning-rate"),
            "{shell}"
        );
    }
    let page = stdout(&well(folder, "man"));
    assert!(
        page.contains(".TH couplet 1") && page.contains("couplet\\-train"),
        "{page}"
    );
    let page = stdout(&well(folder, "man train"));
    assert!(page.contains("learning\\-rate"), "{page}");
    refused(folder, "man trian", 2, &["trian", "train, sample, score"]);
}

/// What a dry run prints makes the same model, and nothing is written by it.
#[test]
fn a_dry_run_prints_what_would_be() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder, "d.csv", 100, |_, _| {});
    for flags in [
        "",
        "--layers 3 --transform affine --mixing none",
        "--conditioner hermite --degree 2",
    ] {
        let train = format!("train d.csv --device cpu --steps 5 {flags}");
        let dry = well(
            folder,
            &format!("{train} --log l.jsonl --checkpoint kept --dry-run"),
        );
        assert!(!folder.join("d.safetensors").exists() && !folder.join("l.jsonl").exists());
        assert!(!folder.join("kept").exists());
        for part in [
            "flow ",
            "80 to train on, 20 held out",
            "parameters ",
            "device      CPU",
            "memory ",
        ] {
            assert!(stderr(&dry).contains(part), "{part}: {}", stderr(&dry));
        }
        std::fs::write(folder.join("again.toml"), stdout(&dry)).unwrap();
        well(folder, &train);
        let model = std::fs::read(folder.join("d.safetensors")).unwrap();
        well(
            folder,
            "train d.csv --device cpu --config again.toml --out again.safetensors",
        );
        assert!(
            std::fs::read(folder.join("again.safetensors")).unwrap() == model,
            "{flags}"
        );
        std::fs::remove_file(folder.join("d.safetensors")).unwrap();
    }
}

/// The summary says what a Gaussian and single columns make of the rows held out.
#[test]
fn a_fit_is_compared_with_simpler_ones() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder, "d.csv", 400, |_, _| {});
    let output = well(folder, "train d.csv --device cpu --steps 200 --json");
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let baseline = |key: &str| json["baselines"][key].as_f64().unwrap();
    let best = baseline("gaussian").min(baseline("independent"));
    let better = best - json["validation_nll"].as_f64().unwrap();
    let words = format!(
        "{:.4} by a Gaussian, {:.4} by single columns",
        baseline("gaussian"),
        baseline("independent")
    );
    let verdict = format!(
        "{} by {:.4} nats",
        if better > 0.0 { "better" } else { "worse" },
        better.abs()
    );
    for part in [words, verdict] {
        assert!(
            stderr(&output).contains(&part),
            "{part}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn without_an_adapter_a_gpu_is_refused_and_auto_takes_the_cpu() {
    let folder = tempfile::tempdir().unwrap();
    table(folder.path(), "good.csv", 60, |_, _| {});
    let run = |args: &str, variable: &str, value: &str| {
        Command::new(env!("CARGO_BIN_EXE_couplet"))
            .args(args.split_whitespace())
            .current_dir(folder.path())
            .env(variable, value)
            .output()
            .unwrap()
    };
    // No backend of that name: no adapters.
    let output = run(
        "train good.csv --steps 2 --device gpu",
        "WGPU_BACKEND",
        "none",
    );
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    let output = run("train good.csv --steps 2", "WGPU_BACKEND", "none");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("using the CPU"));
    let output = run("train good.csv --steps 2", "WGPU_ADAPTER_NAME", "nosuch");
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(stderr(&output).contains("WGPU_ADAPTER_NAME=nosuch"));
    for (variable, value) in [("WGPU_BACKEND", "?!"), ("WGPU_POWER_PREF", "much")] {
        let output = run("devices", variable, value);
        assert!(output.status.success(), "{}", stderr(&output));
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder, "good.csv", 700, |_, _| {});
    for device in ["cpu", "gpu"] {
        let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
        let train = |out: &str, seed: u64| {
            well(
                folder,
                &format!("train good.csv --steps 30 --device {device} --out {out} --seed {seed}"),
            );
            read(out)
        };
        let first = train("a.safetensors", 1);
        assert!(first == train("b.safetensors", 1), "{device}: other bytes");
        assert!(
            first != train("c.safetensors", 2),
            "{device}: the seed does nothing"
        );

        let few = stdout(&well(
            folder,
            &format!("sample a.safetensors -n 1000 --device {device}"),
        ));
        let many = stdout(&well(
            folder,
            &format!("sample a.safetensors -n 70000 --device {device}"),
        ));
        assert_eq!(few.lines().count(), 1001);
        assert!(many.starts_with(&few), "{device}: the first rows differ");
    }
}

/// Nor does the number of threads change a byte, for narrow maps or for wide ones.
#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder, "good.csv", 700, |_, _| {});
    let train = |threads: &str| {
        let args = "train good.csv --steps 20 --hidden 33,65 --batch-size 300 --device cpu --out m.safetensors";
        let status = Command::new(env!("CARGO_BIN_EXE_couplet"))
            .args(args.split_whitespace())
            .current_dir(folder)
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .unwrap()
            .status;
        assert!(status.success());
        std::fs::read(folder.join("m.safetensors")).unwrap()
    };
    let one = train("1");
    for threads in ["2", "3", "8"] {
        assert!(train(threads) == one, "{threads} threads: other bytes");
    }
}

/// The bench times what it is asked for, beside what the machine could do.
#[test]
fn the_bench_tells_times_and_the_ceiling() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(
        folder.join("own.toml"),
        "[model]\nlayers = 2\nhidden = [8]\n",
    )
    .unwrap();
    let args = "bench --config own.toml --rows 2000 --dims 3 --rounds 1 --device cpu --json";
    let output = well(folder, args);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        report["ceilings"][0]["gflops"].as_f64().unwrap() > 0.1,
        "{report}"
    );
    let timings = report["timings"].as_array().unwrap();
    let what: Vec<&str> = timings
        .iter()
        .map(|t| t["what"].as_str().unwrap())
        .collect();
    assert_eq!(what, ["train", "score", "sample"]);
    for timing in timings {
        assert_eq!(timing["workload"], "own");
        assert!(timing["ms"].as_f64().unwrap() > 0.0 && timing["gflops"].as_f64().unwrap() > 0.0);
    }
    refused(folder, "bench huge", 2, &["huge"]);
}

/// Reads a CSV of numbers with a header.
fn numbers(path: &Path) -> Vec<Vec<f64>> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .skip(1)
        .map(|line| {
            line.split(',')
                .map(|field| field.parse().unwrap())
                .collect()
        })
        .collect()
}

#[test]
fn cpu_and_gpu_agree_on_samples_and_scores_and_the_density_integrates_to_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder, "good.csv", 400, |_, _| {});
    well(
        folder,
        "train good.csv --steps 150 --transform affine --layers 4 --hidden 16 --activation tanh --device cpu",
    );
    // A grid far beyond the data: heights around 0, weights around 100 with deviation 14.
    let (n, x, y) = (300, 6.0, 120.0);
    let mut grid = "height,weight\n".to_string();
    for i in 0..n {
        for j in 0..n {
            let at = |k: usize, reach: f64| -reach + (k as f64 + 0.5) * 2.0 * reach / n as f64;
            grid += &format!("{},{}\n", at(i, x) + 0.3, at(j, y) + 100.0);
        }
    }
    std::fs::write(folder.join("grid.csv"), grid).unwrap();
    let mut scores = Vec::new();
    for device in ["cpu", "gpu"] {
        let name = format!("{device}.csv");
        well(
            folder,
            &format!("score good.safetensors grid.csv --device {device} --out {name}"),
        );
        let column = numbers(&folder.join(&name)).concat();
        let cell = (2.0 * x / n as f64) * (2.0 * y / n as f64);
        let total: f64 = column.iter().map(|p| p.exp() * cell).sum();
        assert!(
            (total - 1.0).abs() < 1e-3,
            "{device}: integrates to {total}"
        );
        scores.push(column);
    }
    for (cpu, gpu) in scores[0].iter().zip(&scores[1]) {
        // Scores far out are large; where the data is, they are around -5.
        assert!((cpu - gpu).abs() < 1e-4 * cpu.abs().max(1.0), "{cpu} {gpu}");
    }
    let mut samples = Vec::new();
    for device in ["cpu", "gpu"] {
        let name = format!("{device}_rows.csv");
        well(
            folder,
            &format!("sample good.safetensors -n 2000 --device {device} --out {name}"),
        );
        samples.push(numbers(&folder.join(&name)));
    }
    for (cpu, gpu) in samples[0].iter().zip(&samples[1]) {
        for ((cpu, gpu), deviation) in cpu.iter().zip(gpu).zip([0.75, 14.0]) {
            assert!((cpu - gpu).abs() < 1e-4 * deviation, "{cpu} {gpu}");
        }
    }
}

/// CSV and NPY hold the same numbers, so they make the same model; samples come back as they went.
#[test]
fn npy_goes_in_and_out() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder, "good.csv", 100, |_, _| {});
    let rows = numbers(&folder.join("good.csv"));
    let column = |j: usize| Values::Numbers(rows.iter().map(|row| row[j]).collect());
    let part = vec![column(0), column(1)];
    let names = ["height", "weight"].map(String::from);
    let mut bytes = Vec::new();
    write_table(
        TableFormat::Npy,
        &mut bytes,
        &names,
        Some(100),
        std::iter::once(part),
    )
    .unwrap();
    std::fs::write(folder.join("same.npy"), bytes).unwrap();
    well(
        folder,
        "train good.csv --steps 5 --device cpu --out a.safetensors",
    );
    well(
        folder,
        "train same.npy --steps 5 --device cpu --out b.safetensors",
    );
    let sample = |model: &str, out: &str| {
        well(
            folder,
            &format!("sample {model} -n 50 --device cpu --out {out}"),
        );
    };
    sample("a.safetensors", "a.csv");
    sample("b.safetensors", "b.csv");
    sample("a.safetensors", "a.npy");
    assert_eq!(
        numbers(&folder.join("a.csv")),
        numbers(&folder.join("b.csv"))
    );
    let back = couplet::data::read_table(&folder.join("a.npy"), &Default::default()).unwrap();
    let csv = numbers(&folder.join("a.csv"));
    for (row, expected) in csv.iter().enumerate() {
        assert_eq!(&back.values.row(row).collect::<Vec<_>>(), expected);
    }
    // A promise that the file cannot keep.
    let npy = std::fs::read(folder.join("same.npy")).unwrap();
    std::fs::write(folder.join("cut.npy"), &npy[..npy.len() - 9]).unwrap();
    refused(folder, "train cut.npy --device cpu", 3, &["cut.npy"]);
}

/// The reference experiment: its table, its log, its summary; a start from its own tensors.
#[test]
fn the_reference_experiment() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let output = well(
        folder,
        "train --device cpu --steps 120 --log-every 50 --log log.jsonl --json --seed 3",
    );
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |value: &serde_json::Value, key: &str| value[key].as_f64().unwrap();
    let gap = number(&summary, "nll") - number(&summary, "entropy") - number(&summary, "kl");
    assert!(gap.abs() < 1e-9);
    // The held-out estimate has no noise of the entropy, 0.007 here, which the training one has.
    let gap = number(&summary, "kl") - number(&summary, "kl_held_out");
    assert!(gap.abs() < 0.04, "{summary}");
    let text = stderr(&output);
    for word in ["final NLL", "entropy", "KL divergence"] {
        assert!(text.contains(word), "{text}");
    }
    let log = std::fs::read_to_string(folder.join("log.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let steps: Vec<u64> = lines
        .iter()
        .filter_map(|line| line["step"].as_u64())
        .collect();
    assert_eq!(steps, [0, 50, 100, 120]);
    for line in &lines[..4] {
        assert_eq!(line["event"], "step");
        let kl = number(line, "nll") - number(&summary, "entropy");
        assert!((number(line, "kl") - kl).abs() < 1e-9);
        assert!(number(line, "mean_error") >= 0.0 && number(line, "cov_error") >= 0.0);
    }
    assert!(number(&lines[3], "nll") < number(&lines[0], "nll") - 1.0);

    // The file alone, and its tensors with a configuration, both start where it ended.
    std::fs::write(folder.join("empty.toml"), "").unwrap();
    for flags in ["", " --config empty.toml"] {
        let args = format!(
            "train --device cpu --steps 1 --log again.jsonl --seed 3 --init experiment.safetensors --out b.safetensors{flags}"
        );
        well(folder, &args);
        let log = std::fs::read_to_string(folder.join("again.jsonl")).unwrap();
        let first: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
        // The parameters went through f32, as they were.
        let gap = number(&first, "nll") - number(&lines[3], "nll");
        assert!(gap.abs() < 1e-6, "{gap}");
    }
}

/// Columns are found by name, whatever their order, and separated as people separate them.
#[test]
fn columns_are_matched_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder, "good.csv", 60, |_, _| {});
    well(folder, "train good.csv --steps 5 --device cpu");
    let rows = numbers(&folder.join("good.csv"));
    let mut swapped = "weight;height\n".to_string();
    for row in &rows {
        swapped += &format!("{};{}\r\n\n", row[1], row[0]);
    }
    std::fs::write(folder.join("swapped.csv"), swapped).unwrap();
    let score = |data: &str| {
        let args = format!("score good.safetensors {data} --device cpu");
        stdout(&well(folder, &args))
    };
    assert_eq!(score("good.csv"), score("swapped.csv"));
}

/// A start from a standardised model goes on in its units, with a configuration or without.
#[test]
fn a_start_from_a_model_keeps_its_units() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder, "good.csv", 200, |_, _| {});
    let nll = |args: &str| {
        let output = well(folder, &format!("{args} --device cpu --json"));
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        summary["nll"].as_f64().unwrap()
    };
    let first = nll("train good.csv --steps 200");
    let model = "[model]\nlayers = 8\ntransform = \"spline\"\nbins = 16\nmixing = \"lu\"\nhidden = [32, 32]\n\
                 activation = \"relu\"\nseparate = false\nbase = \"normal\"\n[train]\nvalidation = 0.2\n";
    std::fs::write(folder.join("same.toml"), model).unwrap();
    for flags in ["", "--config same.toml"] {
        let again = nll(&format!(
            "train good.csv --steps 1 --learning-rate 1e-9 --init good.safetensors --out b.safetensors {flags}"
        ));
        assert!(
            (again - first).abs() < 0.05,
            "{flags}: {first}, then {again}"
        );
    }
}

/// A configuration for one's own data changes what it says and leaves every safeguard where it was; `published` is there for
/// the asking, and is what the reference experiment has.
#[test]
fn a_short_configuration_keeps_the_safeguards() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder, "d.csv", 300, |_, _| {});
    let file = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    file("short.toml", "[train]\nsteps = 40\n");
    file(
        "published.toml",
        "preset = \"published\"\n[train]\nsteps = 40\n",
    );
    file(
        "hermite.toml",
        "[model]\nconditioner = \"hermite\"\n[train]\nsteps = 40\n",
    );
    let model = |flags: &str| {
        well(
            folder,
            &format!("train {flags} --device cpu --out m.safetensors"),
        );
        std::fs::read(folder.join("m.safetensors")).unwrap()
    };
    let flags_alone = model("d.csv --steps 40");
    assert!(model("d.csv --config short.toml") == flags_alone);
    assert!(model("d.csv --config published.toml --preset safe") == flags_alone);
    let hermite = model("d.csv --steps 40 --conditioner hermite");
    assert!(model("d.csv --config hermite.toml") == hermite);
    let published = model("d.csv --config published.toml");
    assert!(published != flags_alone);
    assert!(model("d.csv --config short.toml --preset published") == published);
    let info = stdout(&well(folder, "info m.safetensors"));
    assert!(
        info.contains("2 affine coupling layers") && info.contains("as it comes"),
        "{info}"
    );
    // Without data, the other way round.
    let experiment = model("--rows 500 --steps 40");
    assert!(model("--rows 500 --config short.toml") == experiment);
    assert!(model("--rows 500 --steps 40 --preset safe") != experiment);
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
                "standardize = true",
                "input_bound = 3.0",
                "scale_bound = 3.0",
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

/// A row that is too far out, in a table that is not standardised: retries are told, then the row is named as it is in the
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

/// Built-in targets: the divergence from the truth is told, and comes down.
#[test]
fn built_in_targets() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (flags, start) in [
        ("banana", 0.0),
        ("gaussian --dims 3 --condition 1e6", 0.0),
        ("mixture --conditioner legendre", 0.0),
        ("funnel --dims 3 --conditioner hermite --average 0.99", 0.0),
        ("two_moons --base trainable-logistic", 0.0),
    ] {
        let args = format!(
            "train --target {flags} --rows 2000 --steps 200 --device cpu --json --log log.jsonl"
        );
        let output = well(folder, &args);
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let log = std::fs::read_to_string(folder.join("log.jsonl")).unwrap();
        let first: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
        let (kl, error) = (&summary["kl_held_out"], &summary["kl_standard_error"]);
        let (kl, error) = (kl.as_f64().unwrap(), error.as_f64().unwrap());
        assert!(kl > start - 4.0 * error, "{flags}: {summary}");
        assert!(first["validation_nll"].is_number() && first["kl"].is_number());
        let name = flags.split_whitespace().next().unwrap().replace('_', "-");
        assert!(folder.join(format!("{name}.safetensors")).exists());
    }
    refused(folder, "train --target moon", 2, &["two-moons"]);
    refused(
        folder,
        "train --target rings --dims 3",
        2,
        &["--dims", "2 columns"],
    );
    refused(
        folder,
        "train --target banana --clip-norm -1",
        2,
        &["clip_norm"],
    );
    refused(
        folder,
        "train --target banana --validation 1",
        2,
        &["validation = 1"],
    );
    refused(
        folder,
        "train --target banana --average 1",
        2,
        &["average = 1"],
    );
    refused(
        folder,
        "train --target banana --schedule slow",
        2,
        &["cosine"],
    );
}

/// Whitened columns: a score in the units of the data, and samples that lead back.
#[test]
fn whitening_is_part_of_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // A thin ellipse, which a Gaussian fits.
    well(
        folder,
        "train --target gaussian --dims 2 --condition 1e6 --rows 4000 --steps 100 --device cpu --seed 5",
    );
    let info = stdout(&well(folder, "info gaussian.safetensors"));
    assert!(info.contains("standardised, then whitened"), "{info}");
    assert!(info.contains("beyond 4 deviations"), "{info}");
    well(
        folder,
        "sample gaussian.safetensors -n 3000 --device cpu --out new.csv",
    );
    let scores = stdout(&well(
        folder,
        "score gaussian.safetensors new.csv --device cpu",
    ));
    let scores: Vec<f64> = scores
        .lines()
        .skip(1)
        .map(|line| line.parse().unwrap())
        .collect();
    let mean = scores.iter().sum::<f64>() / scores.len() as f64;
    // Its entropy, whatever the directions: the eigenvalues' product is 1. Standard error 1 / sqrt(3000).
    let entropy = (2.0 * std::f64::consts::PI * std::f64::consts::E).ln();
    assert!((mean + entropy).abs() < 0.1, "{mean} {entropy}");
}

/// Nobody listening on standard error is no reason to stop; an interrupt leaves nothing half written.
#[cfg(unix)]
#[test]
fn a_closed_terminal_and_an_interrupt() {
    use std::process::Stdio;
    let folder = tempfile::tempdir().unwrap();
    table(folder.path(), "good.csv", 60, |_, _| {});
    let command = |args: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_couplet"));
        command
            .args(args.split_whitespace())
            .current_dir(folder.path());
        command
    };
    let mut child = command("train good.csv --steps 200 --device cpu --log-every 1")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));

    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    let before = files();
    let mut child = command("sample good.safetensors -n 900000000 --device cpu --out many.csv")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while files() == before && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(kill.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(files(), before, "a file was left behind");
}

/// One gradient number is off.
struct OneNumber {
    met: Rc<Cell<bool>>,
}

impl Fault for OneNumber {
    fn gradient(&mut self, gradient: &mut [f64]) {
        let place = gradient.len() / 2;
        gradient[place] += 0.1;
        self.met.set(true);
    }
}

#[test]
fn one_wrong_gpu_number_is_exit_code_6() {
    let folder = tempfile::tempdir().unwrap();
    table(folder.path(), "good.csv", 300, |_, _| {});
    let path = |name: &str| folder.path().join(name).into_os_string();
    let args = || -> Vec<OsString> {
        let words =
            "couplet train --device gpu --cpu-reference --steps 20 --batch-size 128 --log-every 10";
        let mut args: Vec<OsString> = words.split_whitespace().map(OsString::from).collect();
        args.extend([path("good.csv"), "--out".into(), path("m.safetensors")]);
        args
    };
    let met = Rc::new(Cell::new(false));
    let code = couplet::cli::run(args(), &|inner| {
        let fault = OneNumber { met: met.clone() };
        Box::new(Faulty { inner, fault })
    });
    assert!(met.get());
    assert_eq!(code, 6);
    assert_eq!(couplet::cli::run(args(), &|inner| inner), 0);
}
