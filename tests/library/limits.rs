//! Numbers with some zeros too many, in flags and in files, and what a caller of the library may get wrong: messages, never
//! a panic, a hang, or the end of the machine's memory.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::command::{couplet, refused, stderr, stdout, table, well};
use crate::common::{flow, rows, training};
use couplet::config::ModelConfig;
use couplet::cpu::CpuExecutor;
use couplet::executor::Executor;
use couplet::flow::{Plan, initial_parameters};
use couplet::gpu::{GpuExecutor, adapters};
use couplet::model::{Model, WeightedFlow};
use couplet::train::{self, Settings};
use couplet::{Error, Flow, Matrix};

/// Every setting that can be asked for in absurd size, from the command line; each is refused at once, says what is too
/// large, and what to lower.
#[test]
fn absurd_sizes_are_refused_before_they_are_allocated() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder, "d.csv", 60, |_, _| {});
    let begin = Instant::now();
    let polynomial =
        "train d.csv --device cpu --conditioner hermite --degree 1000000000 --total-degree";
    refused(
        folder,
        &format!("{polynomial} 1000000000"),
        2,
        &["total_degree = 1000000000", "lower total_degree"],
    );
    refused(
        folder,
        &format!("{polynomial} 18446744073709551615"),
        2,
        &["total_degree", "lower"],
    );
    for (args, parts) in [
        (
            "train d.csv --hidden 1000000,1000000",
            ["parameters", "lower"],
        ),
        (
            "train d.csv --layers 1000000000",
            ["layers = 1000000000", "lower layers"],
        ),
        (
            "train d.csv --layers 18446744073709551615",
            ["layers", "lower layers"],
        ),
        (
            "train --rows 4294967295",
            ["--rows 4294967295", "of memory"],
        ),
        (
            "train --target rings --rows 4294967295",
            ["--rows 4294967295", "of memory"],
        ),
        ("train --target gaussian --dims 1000000", ["--dims", "1024"]),
    ] {
        // As a machine with 8 GiB free.
        let output = with_memory(folder, &format!("{args} --device cpu"), 8 << 30);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args}: {text}");
        assert!(
            parts.iter().all(|part| text.contains(part)),
            "{args}: {text}"
        );
    }
    // Within the bounds of a model, but not of this machine; a software adapter's memory is the machine's, too.
    for (args, memory) in [
        ("--hidden 400000 --device cpu", 1 << 30),
        ("--hidden 600,600 --layers 30 --device gpu", 1 << 28),
    ] {
        let output = with_memory(folder, &format!("train d.csv {args}"), memory);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args}: {text}");
        assert!(
            text.contains("iB of memory") && text.contains("lower hidden"),
            "{args}: {text}"
        );
    }
    assert!(
        begin.elapsed() < Duration::from_secs(30),
        "{:?}",
        begin.elapsed()
    );
}

fn with_memory(folder: &Path, args: &str, bytes: u64) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_couplet"))
        .args(args.split_whitespace())
        .current_dir(folder)
        .env("COUPLET_MEMORY", bytes.to_string())
        .output()
        .unwrap()
}

/// The same sizes from a model file's metadata, where nobody asked for them.
#[test]
fn absurd_sizes_in_a_model_file_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder, "d.csv", 60, |_, _| {});
    well(
        folder,
        "train d.csv --steps 2 --device cpu --conditioner hermite --out m.safetensors",
    );
    let bytes = fs::read(folder.join("m.safetensors")).unwrap();
    let header: serde_json::Value =
        serde_json::from_str(crate::safetensors::header(&bytes)).unwrap();
    let metadata: serde_json::Value =
        serde_json::from_str(header["__metadata__"]["couplet"].as_str().unwrap()).unwrap();
    let begin = Instant::now();
    for (key, value) in [
        ("degree", 1_000_000_000u64),
        ("total_degree", u64::MAX),
        ("layers", 1_000_000_000),
        ("layers", u64::MAX),
        ("dims", u64::MAX),
        ("dims", 1 << 40),
    ] {
        let mut metadata = metadata.clone();
        metadata["spec"][key] = value.into();
        if key.ends_with("degree") {
            metadata["spec"]["degree"] = value.into();
            metadata["spec"]["total_degree"] = value.into();
        }
        let mut header = header.clone();
        header["__metadata__"]["couplet"] = metadata.to_string().into();
        let file = crate::safetensors::with_header(&bytes, &header.to_string());
        fs::write(folder.join("x.safetensors"), file).unwrap();
        refused(
            folder,
            "info x.safetensors",
            3,
            &["x.safetensors", "metadata"],
        );
    }
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
}

/// A flow of a hundred thousand layers is foolish, but it is lowered in the time that its size asks for.
#[test]
fn lowering_is_linear_in_the_layers() {
    let lower = |layers: usize| {
        let config = ModelConfig {
            layers,
            hidden: vec![1],
            ..ModelConfig::default()
        };
        let begin = Instant::now();
        let plan = Plan::new(&config.spec(2).unwrap()).unwrap();
        assert_eq!(plan.inverse.len(), plan.forward.len());
        begin.elapsed()
    };
    lower(1000);
    let (short, long) = (lower(10_000), lower(100_000));
    assert!(
        long < 40 * short + Duration::from_secs(1),
        "{short:?}, {long:?}"
    );
}

/// What f32 cannot hold has no density there: -inf in every format, counted, named, and left out of the mean.
#[test]
fn a_row_beyond_f32_scores_minus_infinity() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder, "d.csv", 60, |_, _| {});
    well(folder, "train d.csv --steps 20 --device cpu --robust false");
    let plain = stdout(&well(folder, "score d.safetensors d.csv --device cpu"));
    let mut text = fs::read_to_string(folder.join("d.csv")).unwrap();
    text += "1e39,100\n0.5,-3e21\n1e308,1e308\n";
    fs::write(folder.join("far.csv"), text).unwrap();
    for device in ["cpu", "gpu"] {
        let score = format!("score d.safetensors far.csv --device {device}");
        let output = well(folder, &score);
        let scores = stdout(&output);
        if device == "cpu" {
            assert_eq!(scores, format!("{plain}-inf\n-inf\n-inf\n"));
        }
        assert!(
            scores.ends_with("\n-inf\n-inf\n-inf\n") && !scores.contains("NaN"),
            "{scores}"
        );
        let told = stderr(&output);
        for part in [
            "density of 3 rows is 0",
            "row 61 (height = 1e39, weight = 100.0)",
            "63 rows, mean log_prob -",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert!(!told.contains("-inf nats"), "{told}");
        let json = stdout(&well(folder, &format!("{score} --json")));
        let last: serde_json::Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
        assert_eq!(last, serde_json::json!({ "row": 63, "log_prob": "-inf" }));
        well(folder, &format!("{score} --out s.npy"));
        let npy = fs::read(folder.join("s.npy")).unwrap();
        assert_eq!(npy[npy.len() - 8..], f64::NEG_INFINITY.to_le_bytes());
    }
}

/// A width that makes llvmpipe end its loops early, with wrong numbers and no word: refused on a software adapter.
#[test]
fn loops_beyond_a_software_adapters_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    table(folder.path(), "d.csv", 60, |_, _| {});
    let args = "train d.csv --steps 2 --layers 1 --device gpu --hidden";
    refused(
        folder.path(),
        &format!("{args} 70000"),
        1,
        &["70000 units", "--device cpu"],
    );
}

/// Mistakes of a program that uses the library are errors, on each executor.
#[test]
fn a_callers_mistakes_are_errors() {
    let spec = flow("reference experiment");
    let plan = Plan::new(&spec).unwrap();
    let parameters = initial_parameters(&plan.layout, 1);
    let adapter = adapters().into_iter().next().expect("a GPU adapter");
    let executors: [Box<dyn Executor>; 3] = [
        Box::new(CpuExecutor::<f64>::new(plan.clone(), &parameters)),
        Box::new(CpuExecutor::<f32>::new(plan.clone(), &parameters)),
        Box::new(GpuExecutor::new(&adapter, plan.clone(), &parameters).unwrap()),
    ];
    for mut executor in executors {
        let executor = executor.as_mut();
        let spec_error = |result: couplet::Result<()>| {
            assert!(matches!(result, Err(Error::Spec(_))), "{result:?}");
        };
        // Not started.
        spec_error(executor.train(1).map(drop));
        spec_error(executor.state().map(drop));
        spec_error(executor.loss_and_gradient().map(drop));
        let nothing = Matrix::<f32>::zeros(0, 4);
        let started = executor.start(&nothing, &training(0));
        assert!(matches!(started, Err(Error::Data(_))), "{started:?}");
        let narrow = executor.start(&Matrix::zeros(3, 2), &training(0));
        assert!(matches!(narrow, Err(Error::Data(_))), "{narrow:?}");
        executor
            .start(&rows(20, 4, 1).map(|x| x as f32), &training(0))
            .unwrap();
        let mut state = executor.state().unwrap();
        spec_error(executor.set_parameters(&[0.0; 3]));
        state.second_moment.pop();
        spec_error(executor.set_state(&state));
        #[allow(clippy::reversed_empty_ranges)]
        let reversed = 5..2;
        spec_error(executor.sample(1, reversed).map(drop));
        spec_error(executor.sample(1, 0..u64::MAX).map(drop));
        assert_eq!(executor.sample(1, 5..5).unwrap().rows(), 0);
        assert!(executor.log_prob(&Matrix::zeros(0, 4)).unwrap().is_empty());
        // It still works.
        assert_eq!(executor.train(2).unwrap().losses.len(), 2);
        for (log_every, check_every) in [(0, 1), (1, 0)] {
            let settings = Settings {
                steps: 3,
                log_every,
                check_every,
                validation: None,
                monitor_rows: None,
                extension: None,
                row_weights: Vec::new(),
                patience: 0,
            };
            spec_error(train::run(executor, &settings, &mut ()).map(drop));
        }
    }
    let model = Model {
        spec: spec.clone(),
        columns: vec!["a".into(); 4],
        named: true,
        preprocessing: Default::default(),
        frequencies: None,
        order: Vec::new(),
        flows: WeightedFlow::alone(parameters),
        mixture: None,
        training: None,
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    model.save(&path).unwrap();
    for broken in [
        Model {
            flows: WeightedFlow::alone(vec![0.0; 3]),
            ..model.clone()
        },
        Model {
            columns: vec!["a".into(); 3],
            ..model.clone()
        },
    ] {
        let saved = broken.save(&path);
        assert!(matches!(saved, Err(Error::Model(_))), "{saved:?}");
        assert!(matches!(Flow::new(broken), Err(Error::Model(_))));
    }
    assert_eq!(Model::load(&path).unwrap(), model);
    assert!(
        couplet(folder.path(), "info m.safetensors")
            .status
            .success()
    );
}
