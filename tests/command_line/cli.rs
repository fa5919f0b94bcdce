//! The command line as a user meets it: what it writes, what it prints.

use std::process::Command;

use super::devices::numbers;
use crate::command::{refused, stderr, stdout, table, well};
use couplet::data::{TableFormat, TableHeader, Values, write_table};

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
        &TableHeader::from(&names[..]),
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

/// A start from a standardized model continues in its units, with a configuration or without.
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
    assert!(info.contains("standardized, then whitened"), "{info}");
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
