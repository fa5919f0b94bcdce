//! `cargo bench`: the CPU executor, for those who work on it. Whole steps, scores and draws; and each kind of op, in a flow
//! made so that most of the time is its own. `couplet bench` times what users run.

use couplet::cpu::CpuExecutor;
use couplet::executor::{AdamW, Executor, Training};
use couplet::flow::{
    Activation, Base, Conditioner, Density, FlowSpec, Mixing, Plan, Transform, initial_parameters,
};
use couplet::random::{Purpose, normal_at};
use couplet::timing::repeat;
use couplet::{Matrix, Result};

/// Rounds to take the median of.
const ROUNDS: usize = 7;

fn spec(dims: usize, layers: usize, hidden: &[usize], activation: Activation) -> FlowSpec {
    FlowSpec {
        dims,
        context: 0,
        layers,
        transform: Transform::Affine { scale_bound: 2.0 },
        conditioner: Conditioner::Mlp {
            hidden: hidden.to_vec(),
            activation,
            separate: false,
        },
        mixing: Mixing::None,
        base: Base::new(Density::Normal, true),
    }
}

/// An executor at the beginning of training.
fn started(spec: &FlowSpec, rows: usize) -> CpuExecutor<f32> {
    let plan = Plan::new(spec).expect("a plan");
    let parameters = initial_parameters(&plan.layout, 1);
    let data = Matrix::from_fn(rows, spec.dims, |row, column| {
        normal_at(1, Purpose::TargetRows, row as u64, column)
    });
    let mut executor = CpuExecutor::new(plan, &parameters);
    let training = Training {
        batch_size: 0,
        seed: 1,
        optimizer: AdamW::new(1e-4, 0.0),
    };
    executor.start(&data, &training).expect("a start");
    executor
}

/// Times a call over and over, and prints what it takes for so many rows.
fn time(
    name: &str,
    rows: usize,
    executor: &mut CpuExecutor<f32>,
    mut call: impl FnMut(&mut dyn Executor) -> Result<()>,
) {
    let each = repeat(executor, ROUNDS, |executor, count| {
        (0..count).try_for_each(|_| call(executor))
    });
    let each = each.expect("what can be run once can be run again");
    let [median, min, max] = [each.median, each.min, each.max].map(|seconds| 1e3 * seconds);
    let speed = rows as f64 / each.median;
    println!("{name:<28} {median:>9.4} ms ({min:.4} to {max:.4}) {speed:>10.3e} rows/s");
}

fn step(name: &str, spec: &FlowSpec, rows: usize) {
    let mut executor = started(spec, rows);
    time(name, rows, &mut executor, |executor| {
        executor.train(1).map(drop)
    });
}

fn ops() {
    const ROWS: usize = 4096;
    for width in [8, 16, 32, 64, 128, 256, 512] {
        let spec = spec(2, 1, &[width, width], Activation::Relu);
        step(&format!("linear {width}x{width}"), &spec, ROWS);
    }
    for activation in Activation::ALL {
        let spec = spec(2, 4, &[128], activation);
        step(&format!("{activation:?}, 4x128"), &spec, ROWS);
    }
    let spec = spec(32, 8, &[], Activation::Relu);
    step("coupling, 8x16 columns", &spec, ROWS);
}

fn flows() {
    const ROWS: usize = 1 << 14;
    for (name, spec, batch) in [
        ("small", spec(4, 10, &[32, 32], Activation::Silu), 512),
        ("table", spec(8, 10, &[128, 128], Activation::Tanh), 4096),
    ] {
        step(&format!("{name}, step"), &spec, batch);
        let mut executor = started(&spec, 1);
        let rows = executor.sample(1, 0..ROWS as u64).expect("a sample");
        time(&format!("{name}, score"), ROWS, &mut executor, |executor| {
            executor.log_prob(&rows).map(drop)
        });
        time(&format!("{name}, draw"), ROWS, &mut executor, |executor| {
            executor.sample(1, 0..ROWS as u64).map(drop)
        });
    }
}

fn main() {
    flows();
    ops();
}
