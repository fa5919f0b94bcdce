//! The command as an MPI job: it takes the feature `mpi`, and `mpirun`, which must be there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use couplet::random::{Purpose, normal_at, words};

const COUPLET: &str = env!("CARGO_BIN_EXE_couplet");

/// The command by so many processes; by one without a launcher.
fn command(folder: &Path, ranks: usize, args: &str) -> Command {
    let mut command = match ranks {
        0 => Command::new(COUPLET),
        _ => {
            let mut command = Command::new("mpirun");
            let count = ranks.to_string();
            command.args([
                "--allow-run-as-root",
                "--oversubscribe",
                "--bind-to",
                "none",
            ]);
            command.args(["-n", &count, COUPLET]);
            command
        }
    };
    command
        .args(args.split_whitespace())
        .current_dir(folder)
        .env("RAYON_NUM_THREADS", "1");
    command
}

fn run(folder: &Path, ranks: usize, args: &str) -> Output {
    let output = command(folder, ranks, args).output();
    output.expect("mpirun (openmpi-bin) is installed")
}

#[track_caller]
fn well(folder: &Path, ranks: usize, args: &str) -> String {
    let output = run(folder, ranks, args);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{ranks} ranks, {args}: {text}");
    text
}

fn table(folder: &Path, rows: usize) {
    let mut text = "x,y\n".to_string();
    for row in 0..rows as u64 {
        let z = |j| f64::from(normal_at(6, Purpose::TargetRows, row, j));
        text += &format!("{},{}\n", z(0), z(0).powi(2) + 0.5 * z(1));
    }
    fs::write(folder.join("t.csv"), text).unwrap();
}

/// The losses of a log by their steps, and the last line.
fn losses(path: &Path) -> (BTreeMap<u64, f64>, serde_json::Value) {
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let steps = lines.iter().filter(|line| line["event"] == "step");
    let of_line = |line: &serde_json::Value| Some((line["step"].as_u64()?, line["nll"].as_f64()?));
    (
        steps.filter_map(of_line).collect(),
        lines.last().unwrap().clone(),
    )
}

/// As one process: the default flow until steps with splines part by rounding, the reference experiment for 200 steps; and again the same
/// bytes.
#[test]
fn a_job_takes_the_steps_of_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder, 25_000);
    let default = "train t.csv --device cpu --log-every 1 --steps 120 --extension 0";
    let reference = "train --device cpu --log-every 1 --steps 200";
    for (args, compared, tolerance) in [(default, 12, 1e-6), (reference, 200, 1e-5)] {
        let of = |ranks: usize, name: &str| {
            let outputs = format!("--out {name}.safetensors --log {name}.jsonl --force");
            well(folder, ranks, &format!("{args} {outputs}"));
            let (losses, last) = losses(&folder.join(format!("{name}.jsonl")));
            (
                losses,
                last,
                fs::read(folder.join(format!("{name}.safetensors"))).unwrap(),
            )
        };
        let (expected, end, _) = of(0, "alone");
        for ranks in 1..=4 {
            let (found, last, bytes) = of(ranks, "job");
            for step in 0..compared {
                let off = (found[&step] - expected[&step]).abs();
                assert!(off < tolerance, "{args}: {ranks} ranks, step {step}: {off}");
            }
            let off = (last["nll"].as_f64().unwrap() - end["nll"].as_f64().unwrap()).abs();
            assert!(off < 0.01, "{args}: {ranks} ranks end {off} off");
            assert_eq!(of(ranks, "again").2, bytes, "{args}: {ranks} ranks");
        }
    }
}

/// Of several processes one speaks, and the code is its own.
#[test]
fn what_is_wrong_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("bad.csv"), "x,y\n1,2\n3,?\n").unwrap();
    let output = run(folder, 3, "train bad.csv --device cpu");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert_eq!(text.matches("error: ").count(), 1, "{text}");
    table(folder, 3000);
    let text = well(
        folder,
        3,
        "train t.csv --device cpu --steps 3 --ensemble 1 --layers 2",
    );
    assert_eq!(text.matches("model written to").count(), 1, "{text}");
}

/// The processes of a run in a folder.
fn processes(folder: &Path) -> Vec<u32> {
    let of_folder = |pid: &u32| {
        let is_it = |name: &str| fs::read_link(format!("/proc/{pid}/{name}"));
        is_it("cwd").is_ok_and(|cwd| cwd == folder)
            && is_it("exe").is_ok_and(|exe| exe == Path::new(COUPLET))
    };
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|it| it.file_name().to_str()?.parse().ok());
    pids.filter(of_folder).collect()
}

/// How long a job takes to end, of which one process was killed.
fn ends_within(child: &mut Child, most: Duration) -> Option<Duration> {
    let begin = Instant::now();
    while begin.elapsed() < most {
        if child.try_wait().unwrap().is_some() {
            return Some(begin.elapsed());
        }
        thread::sleep(Duration::from_millis(20));
    }
    None
}

/// A process that is killed at any moment takes the others with it, soon; what was kept is taken up by as many or another number.
#[test]
fn a_killed_rank_ends_the_job_and_another_continues_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = fs::canonicalize(folder.path()).unwrap();
    table(&folder, 3000);
    let args = "train t.csv --device cpu --mixture false --ensemble 1 --layers 4 --hidden 16 --steps 3000 --extension 0 --patience 0 \
                --checkpoint-every 0s --out m.safetensors";
    for moment in 0..10u64 {
        let kept = format!("kept{moment}");
        let mut child = command(&folder, 3, &format!("{args} --checkpoint {kept}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let [random, which, ..] = words(77, Purpose::Generator, moment, 0);
        let begin = Instant::now();
        while processes(&folder).len() < 3 && begin.elapsed() < Duration::from_secs(20) {
            thread::sleep(Duration::from_millis(10));
        }
        thread::sleep(Duration::from_millis(u64::from(random % 2500)));
        let pids = processes(&folder);
        if let Some(pid) = pids.get(which as usize % pids.len().max(1)) {
            // It may have ended by itself.
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
        let took = ends_within(&mut child, Duration::from_secs(10));
        assert!(took.is_some(), "moment {moment}: the job goes on");
        let begin = Instant::now();
        while !processes(&folder).is_empty() {
            assert!(
                begin.elapsed() < Duration::from_secs(10),
                "moment {moment}: a rank goes on"
            );
            thread::sleep(Duration::from_millis(20));
        }
        if moment % 3 == 0 {
            let ranks = [3, 2, 4, 0][moment as usize / 3];
            let text = well(&folder, ranks, &format!("{args} --resume {kept}"));
            assert!(text.contains("model written to"), "{text}");
        }
    }
}
