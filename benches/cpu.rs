//! `cargo bench`: the CPU executor, for those who work on it. Whole steps, scores and draws; and each kind of op, in a flow
//! made so that most of the time is its own. `couplet bench` times what users run.

use std::hint::black_box;
use std::time::Duration;

use couplet::Matrix;
use couplet::cpu::CpuExecutor;
use couplet::executor::{AdamW, Executor, Training};
use couplet::flow::{
    Activation, Base, Conditioner, Density, FlowSpec, Mixing, Plan, Transform, initial_parameters,
};
use couplet::random::{Purpose, normal_at};
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};

fn spec(dims: usize, layers: usize, hidden: &[usize], activation: Activation) -> FlowSpec {
    FlowSpec {
        dims,
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

type Group<'a> = BenchmarkGroup<'a, criterion::measurement::WallTime>;

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> Group<'a> {
    let mut group = criterion.benchmark_group(name);
    group
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    group
}

fn step(group: &mut Group<'_>, name: String, spec: &FlowSpec, rows: usize) {
    let mut executor = started(spec, rows);
    group.throughput(Throughput::Elements(rows as u64));
    group.bench_function(name, |bencher| {
        bencher.iter(|| black_box(executor.train(1).expect("a step")));
    });
}

fn ops(criterion: &mut Criterion) {
    const ROWS: usize = 4096;
    let mut group = group(criterion, "op");
    for width in [8, 16, 32, 64, 128, 256, 512] {
        let spec = spec(2, 1, &[width, width], Activation::Relu);
        step(&mut group, format!("linear {width}x{width}"), &spec, ROWS);
    }
    for activation in Activation::ALL {
        let spec = spec(2, 4, &[128], activation);
        step(&mut group, format!("{activation:?}, 4x128"), &spec, ROWS);
    }
    let spec = spec(32, 8, &[], Activation::Relu);
    step(&mut group, "coupling, 8x16 columns".into(), &spec, ROWS);
}

fn flows(criterion: &mut Criterion) {
    const ROWS: usize = 1 << 14;
    let flows = [
        ("small", spec(4, 10, &[32, 32], Activation::Silu), 512),
        ("table", spec(8, 10, &[128, 128], Activation::Tanh), 4096),
    ];
    for (name, spec, batch) in flows {
        let mut group = group(criterion, name);
        step(&mut group, "step".into(), &spec, batch);
        let mut executor = started(&spec, 1);
        let rows = executor.sample(1, 0..ROWS as u64).expect("a sample");
        group.throughput(Throughput::Elements(ROWS as u64));
        group.bench_function("score", |bencher| {
            bencher.iter(|| black_box(executor.log_prob(&rows).expect("scores")));
        });
        group.bench_function("draw", |bencher| {
            bencher.iter(|| black_box(executor.sample(1, 0..ROWS as u64).expect("a sample")));
        });
    }
}

criterion_group!(benches, flows, ops);
criterion_main!(benches);
