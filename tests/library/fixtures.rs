//! Flows trained by JAX and optax in f64 (tests/fixtures/make.py), followed step by step on the CPU and on the
//! GPU.

use std::path::Path;

use crate::common::{assert_close, coarseness, relative_l2, start_weighted, take};
use ::safetensors::tensor::{Dtype, SafeTensors};
use couplet::Matrix;
use couplet::config::ModelConfig;
use couplet::cpu::CpuExecutor;
use couplet::executor::{AdamW, Executor, Schedule, Training};
use couplet::flow::{Layout, Plan};
use couplet::gpu::{GpuExecutor, adapters};
use serde::Deserialize;

const FIXTURES: [&str; 14] = [
    "reference",
    "odd_shared_relu",
    "additive",
    "bounded_silu",
    "hermite",
    "legendre",
    "logistic",
    "trainable_logistic",
    "minibatch",
    "spline_lu",
    "spline_lu_given",
    "one_given",
    "one_alone",
    "weighted",
];

#[derive(Deserialize)]
struct Settings {
    model: ModelConfig,
    /// Columns of context, the last ones of each row.
    #[serde(default)]
    context: usize,
    steps: usize,
    every: usize,
    learning_rate: f64,
    weight_decay: f64,
    batch_size: usize,
    seed: u64,
    clip_norm: f64,
    warm_up: u64,
    cosine: bool,
    average: f64,
}

struct Fixture {
    settings: Settings,
    plan: Plan,
    bytes: Vec<u8>,
}

impl Fixture {
    fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("tests/fixtures/{name}.safetensors"));
        let bytes = std::fs::read(&path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let json = &header.metadata().as_ref().unwrap()["settings"];
        let settings: Settings = serde_json::from_str(json).unwrap();
        let width = SafeTensors::deserialize(&bytes)
            .unwrap()
            .tensor("rows")
            .unwrap()
            .shape()[1];
        let context = settings.context;
        let spec = settings.model.conditional_spec(width - context, context);
        let plan = Plan::new(&spec.unwrap()).unwrap();
        Fixture {
            settings,
            plan,
            bytes,
        }
    }

    fn numbers(&self, name: &str) -> Vec<f64> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = tensors
            .tensor(name)
            .unwrap_or_else(|_| panic!("no tensor {name}"));
        match view.dtype() {
            Dtype::F32 => view
                .data()
                .chunks_exact(4)
                .map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap())))
                .collect(),
            Dtype::F64 => view
                .data()
                .chunks_exact(8)
                .map(|b| f64::from_le_bytes(b.try_into().unwrap()))
                .collect(),
            kind => panic!("{name} is {kind:?}"),
        }
    }

    /// The tensors of a group, in the order of the layout.
    fn flat(&self, group: &str) -> Vec<f64> {
        let names = self.plan.layout.tensors().iter();
        names
            .flat_map(|tensor| self.numbers(&format!("{group}/{}", tensor.name)))
            .collect()
    }

    fn matrix(&self, name: &str, columns: usize) -> Matrix<f64> {
        let values = self.numbers(name);
        let number = |i, j| values[i * columns + j];
        Matrix::from_fn(values.len() / columns, columns, number)
    }

    /// The weight of each row; none where the fixture has none.
    fn weights(&self) -> Vec<f32> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        match tensors.names().contains(&"weights") {
            true => self.numbers("weights").iter().map(|&w| w as f32).collect(),
            false => Vec::new(),
        }
    }

    fn start(&self) -> Vec<f32> {
        self.flat("start").into_iter().map(|p| p as f32).collect()
    }

    fn training(&self) -> Training {
        let settings = &self.settings;
        Training {
            batch_size: settings.batch_size,
            seed: settings.seed,
            optimizer: AdamW {
                learning_rate: Schedule {
                    peak: settings.learning_rate,
                    warm_up: settings.warm_up,
                    cosine_end: settings.cosine.then_some(settings.steps as u64),
                    restart: 0,
                },
                weight_decay: settings.weight_decay,
                clip_norm: settings.clip_norm,
                average: settings.average,
            },
        }
    }
}

/// How close an executor must come: relative tolerances of losses, of each gradient (L2), of parameters (L2), and of
/// samples and scores.
struct Tolerances {
    loss: f64,
    gradient: f64,
    parameters: f64,
    output: f64,
}

fn follow(name: &str, fixture: &Fixture, executor: &mut dyn Executor, tolerances: &Tolerances) {
    let coarse = coarseness(&fixture.plan.spec);
    let tolerances = Tolerances {
        loss: coarse * tolerances.loss,
        gradient: coarse * tolerances.gradient,
        parameters: coarse * tolerances.parameters,
        output: coarse * tolerances.output,
    };
    let rows = fixture.matrix("rows", fixture.plan.width());
    let as_given = rows.map(|x| x as f32);
    start_weighted(executor, &as_given, &fixture.weights(), &fixture.training()).unwrap();
    let losses = fixture.numbers("losses");
    let layout: Layout = fixture.plan.layout.clone();
    let every = fixture.settings.every;
    for step in (0..=fixture.settings.steps).step_by(every) {
        let (loss, gradient) = executor.loss_and_gradient().unwrap();
        let what = format!("{name}, step {step}");
        assert_close(&what, &[loss], &losses[step..=step], 0.0, tolerances.loss);
        let expected = fixture.flat(&format!("gradient/{step}"));
        for tensor in layout.tensors() {
            let range = tensor.range.clone();
            let error = relative_l2(&gradient[range.clone()], &expected[range]);
            assert!(
                error < tolerances.gradient,
                "{what}: gradient of {} off by {error:e}",
                tensor.name
            );
        }
        if step < fixture.settings.steps {
            let taken = take(executor, every);
            let expected = &losses[step..step + every];
            assert_close(&what, &taken, expected, 0.0, tolerances.loss);
        }
    }
    let parameters = executor.parameters().unwrap();
    let error = relative_l2(&parameters, &fixture.flat("end"));
    assert!(
        error < tolerances.parameters,
        "{name}: parameters off by {error:e}"
    );
    if fixture.settings.average > 0.0 {
        let average = executor.state().unwrap().average;
        let error = relative_l2(&average, &fixture.flat("average"));
        assert!(
            error < tolerances.parameters,
            "{name}: averages off by {error:e}"
        );
    }
    let tolerance = tolerances.output;
    let dims = fixture.plan.dims();
    let z = fixture.matrix("z", dims);
    let context = Matrix::from_fn(z.rows(), fixture.settings.context, |row, j| {
        rows.get(row, dims + j)
    });
    let samples = executor.inverse(&z.concat_columns(&context)).unwrap();
    let expected = fixture.matrix("samples", dims);
    assert_close(
        name,
        samples.values(),
        expected.values(),
        tolerance,
        tolerance,
    );
    let scores = executor.log_prob(&rows).unwrap();
    assert_close(
        name,
        &scores,
        &fixture.numbers("log_prob"),
        tolerance,
        tolerance,
    );
}

/// Both are f64: what remains is the order of sums.
const F64: Tolerances = Tolerances {
    loss: 1e-12,
    gradient: 1e-10,
    parameters: 1e-11,
    output: 1e-10,
};

/// Fifty steps of f32 rounding. The gradient of a single bias is a sum over rows that nearly cancels: 5e-4 was met.
const F32: Tolerances = Tolerances {
    loss: 2e-6,
    gradient: 1e-3,
    parameters: 1e-4,
    output: 1e-4,
};

#[test]
fn the_cpu_in_f64_follows_jax() {
    for name in FIXTURES {
        let fixture = Fixture::read(name);
        let mut cpu = CpuExecutor::<f64>::new(fixture.plan.clone(), &fixture.start());
        follow(name, &fixture, &mut cpu, &F64);
    }
}

#[test]
fn the_cpu_in_f32_follows_jax() {
    for name in FIXTURES {
        let fixture = Fixture::read(name);
        let mut cpu = CpuExecutor::<f32>::new(fixture.plan.clone(), &fixture.start());
        follow(name, &fixture, &mut cpu, &F32);
    }
}

#[test]
fn the_gpu_follows_jax() {
    let adapter = adapters()
        .into_iter()
        .next()
        .expect("the GPU tests need an adapter; scripts/test installs one");
    for name in FIXTURES {
        let fixture = Fixture::read(name);
        let plan = fixture.plan.clone();
        let mut gpu = GpuExecutor::new(&adapter, plan, &fixture.start()).unwrap();
        follow(name, &fixture, &mut gpu, &F32);
    }
}

/// The comparison can fail: a decay that is off by a thousandth.
#[test]
#[should_panic(expected = "off by")]
fn a_wrong_fixture_is_noticed() {
    let fixture = Fixture::read("additive");
    let mut wrong = fixture.training();
    wrong.optimizer.weight_decay += 1e-4;
    let mut cpu = CpuExecutor::<f64>::new(fixture.plan.clone(), &fixture.start());
    let fixture = Fixture {
        settings: Settings {
            weight_decay: wrong.optimizer.weight_decay,
            ..fixture.settings
        },
        ..fixture
    };
    let loose = Tolerances {
        loss: 1.0,
        output: 1.0,
        ..F64
    };
    follow("additive", &fixture, &mut cpu, &loose);
}
