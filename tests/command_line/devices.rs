//! The same numbers from every device, seed and number of threads, and exit codes where there are none.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::command::{refused, stderr, stdout, table, well};
use crate::faulty::{Fault, Faulty};
use couplet::executor::Executor;
use couplet::testing::with_executor_decorator;

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
        report["peaks"][0]["gflops"].as_f64().unwrap() > 0.1,
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
pub fn numbers(path: &Path) -> Vec<Vec<f64>> {
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

/// One gradient number is off.
#[derive(Clone)]
struct OneNumber {
    met: Arc<AtomicBool>,
}

impl Fault for OneNumber {
    fn gradient(&mut self, gradient: &mut [f64]) {
        let index = gradient.len() / 2;
        gradient[index] += 0.1;
        self.met.store(true, Ordering::Relaxed);
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
    let met = Arc::new(AtomicBool::new(false));
    let fault = OneNumber { met: met.clone() };
    let decorator = move |inner| -> Box<dyn Executor> {
        let fault = fault.clone();
        Box::new(Faulty { inner, fault })
    };
    let code = with_executor_decorator(decorator, || couplet::cli::run(args()));
    assert!(met.load(Ordering::Relaxed));
    assert_eq!(code, 6);
    assert_eq!(couplet::cli::run(args()), 0);
}
