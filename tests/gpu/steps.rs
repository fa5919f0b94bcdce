//! Whole steps on the GPU against the CPU in f64, and against themselves. These tests fail where there is no
//! adapter: they never pass by doing nothing.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::adapter;
use crate::common::{
    assert_close, coarseness, flow, flows, guarded_training, relative_l2, row_weights, rows,
    sample, start_weighted, take, take_in_parts, training, training_rows, with_context_of,
};
use couplet::Error;
use couplet::cpu::CpuExecutor;
use couplet::executor::{AdamW, Batches, Executor, Fault, Recovering, Training};
use couplet::flow::{Conditioner, FlowSpec, Mixing, Plan};
use couplet::gpu::{GpuExecutor, GpuPath};
use couplet::train::{self, Settings, TrainObserver};

fn pair(spec: &FlowSpec, path: GpuPath) -> (GpuExecutor, CpuExecutor<f64>) {
    let plan = Plan::new(spec).unwrap();
    let parameters = crate::common::parameters(&plan);
    let mut gpu = GpuExecutor::new(&adapter(), plan.clone(), &parameters).unwrap();
    gpu.set_path(path);
    (gpu, CpuExecutor::new(plan, &parameters))
}

/// Every flow on every path.
fn paths() -> impl Iterator<Item = (String, FlowSpec, GpuPath)> {
    [GpuPath::Staged, GpuPath::Fused]
        .into_iter()
        .flat_map(|path| {
            let flows = flows().into_iter();
            flows.map(move |(name, spec)| (format!("{name}, {path:?}"), spec, path))
        })
}

#[test]
fn loss_and_every_gradient_match_the_cpu() {
    for (name, spec, path) in paths() {
        let coarse = coarseness(&spec);
        let (mut gpu, mut cpu) = pair(&spec, path);
        // Compiling the fused kernel once more takes a software adapter seconds: those get weights whose kernels they change most.
        let is_weighted = path == GpuPath::Staged
            || spec.mixing != Mixing::None
            || spec.context > 0
            || spec.base.trained;
        for (count, batch_size, weighted) in [
            (1, 0, false),
            (257, 0, false),
            (257, 100, false),
            (257, 100, true),
        ] {
            if weighted && !is_weighted {
                continue;
            }
            let data = training_rows(count, spec.width(), 5);
            let weights = if weighted {
                row_weights(count)
            } else {
                Vec::new()
            };
            let training = training(batch_size);
            start_weighted(&mut gpu, &data, &weights, &training).unwrap();
            start_weighted(&mut cpu, &data, &weights, &training).unwrap();
            // Twice: the second must not add to what the first left.
            gpu.loss_and_gradient().unwrap();
            let (loss, gradient) = gpu.loss_and_gradient().unwrap();
            let (expected_loss, expected) = cpu.loss_and_gradient().unwrap();
            // f32 rounds at 6e-8 and WGSL's exp and log are good to some 2e-7; a few hundred of each.
            let what = format!("{name}, {count} rows by {batch_size}, weighted: {weighted}");
            assert_close(
                &what,
                &[loss],
                &[expected_loss],
                2e-6 * coarse,
                2e-6 * coarse,
            );
            for tensor in cpu.plan().layout.tensors() {
                // A gradient is a mean over rows of numbers around 1, which may cancel: 2e-6 absolute for those.
                let what = format!("{what}: {}", tensor.name);
                let range = tensor.range.clone();
                assert_close(
                    &what,
                    &gradient[range.clone()],
                    &expected[range],
                    2e-6 * coarse,
                    2e-5 * coarse,
                );
            }
        }
    }
}

/// A software adapter ends an invocation's loops after so many turns, and says nothing: a group takes no more tiles than it can.
#[test]
fn a_large_batch_loses_no_row() {
    for (name, spec, path) in paths().filter(|(.., path)| *path == GpuPath::Fused) {
        let (mut gpu, reference) = pair(&spec, path);
        let plan = reference.plan().clone();
        // A lost tile shows in f32, too, which is several times as fast.
        let mut cpu = CpuExecutor::<f32>::new(plan.clone(), &crate::common::parameters(&plan));
        let data = training_rows(40_000, spec.width(), 6);
        gpu.start(&data, &training(0)).unwrap();
        cpu.start(&data, &training(0)).unwrap();
        let (loss, _) = gpu.loss_and_gradient().unwrap();
        let (expected, _) = cpu.loss_and_gradient().unwrap();
        // A tile of 32 rows is a 1,250th of them.
        let what = format!("{name}, {path:?}: {}", gpu.describe());
        assert_close(&what, &[loss], &[expected], 1e-5, 1e-5);
    }
}

#[test]
fn training_follows_the_cpu() {
    for (name, spec, path) in paths() {
        let coarse = coarseness(&spec);
        let trainings = [training(0), training(100), guarded_training(100)];
        // Compiling the fused kernel takes a software adapter seconds: it gets the last, which has everything.
        let first = if path == GpuPath::Fused { 2 } else { 0 };
        for training in &trainings[first..] {
            let (mut gpu, mut cpu) = pair(&spec, path);
            let data = training_rows(257, spec.width(), 5);
            gpu.start(&data, training).unwrap();
            cpu.start(&data, training).unwrap();
            let losses = take(&mut gpu, 20);
            let expected = take(&mut cpu, 20);
            assert_close(&name, &losses, &expected, 1e-5 * coarse, 1e-5 * coarse);
            let (gpu_state, cpu_state) = (gpu.state().unwrap(), cpu.state().unwrap());
            let error = relative_l2(&gpu_state.average, &cpu_state.average);
            assert!(error < 1e-3, "{name}: averages off by {error:e}");
            // AdamW divides by the root of the second moment: where a gradient is nearly zero its rounding decides
            // the direction of a whole step, 1e-3; over the parameters together that stays rare.
            let error = relative_l2(&gpu.parameters().unwrap(), &cpu.parameters().unwrap());
            assert!(error < 1e-3, "{name}: parameters off by {error:e}");
        }
    }
}

/// With a clock or without one, and with the batch in one piece or in many.
#[test]
fn a_timed_step_is_a_step() {
    let spec = flow("reference experiment");
    let plan = Plan::new(&spec).unwrap();
    let parameters = crate::common::parameters(&plan);
    let data = training_rows(6001, spec.width(), 5);
    let small = wgpu::Limits {
        max_storage_buffer_binding_size: 1 << 16,
        ..wgpu::Limits::default()
    };
    for limits in [wgpu::Limits::default(), small] {
        let start = || {
            let limits = limits.clone();
            let plan = plan.clone();
            let mut gpu = GpuExecutor::with_limits(&adapter(), plan, &parameters, limits).unwrap();
            gpu.start(&data, &training(0)).unwrap();
            gpu
        };
        let (mut timed, mut plain) = (start(), start());
        let times = timed.timed_step().unwrap();
        plain.train(1).unwrap();
        assert_eq!(timed.state().unwrap(), plain.state().unwrap());
        if !times.is_empty() {
            let adamw: Vec<_> = times.iter().filter(|time| time.kernel == "adamw").collect();
            assert!(matches!(adamw[..], [time] if time.dispatches == 1 && time.seconds > 0.0));
        }
    }
}

/// A step whose gradient is put together from parts of its batch, on both paths, and through what reopens a device.
#[test]
fn gradients_of_parts_make_the_step_of_the_whole() {
    for (name, spec, path) in paths() {
        let data = training_rows(257, spec.width(), 5);
        let training = training(100);
        let batches = Batches::new(257, training.batch_size, training.seed);
        let (mut gpu, mut cpu) = pair(&spec, path);
        gpu.start(&data, &training).unwrap();
        cpu.start(&data, &training).unwrap();
        let losses = cpu.train(3).unwrap().losses;
        let expected = cpu.state().unwrap();
        let mut gpu = Recovering::new(Box::new(gpu), |_| None).unwrap();
        let of_parts = take_in_parts(&mut gpu, &batches, 3);
        let tolerance = 2e-5 * coarseness(&spec);
        assert_close(&name, &of_parts, &losses, tolerance, tolerance);
        let state = gpu.state().unwrap();
        assert_eq!(state.step, 3, "{name}");
        let off = relative_l2(&state.parameters, &expected.parameters);
        assert!(off < 1e-4 * coarseness(&spec), "{name}: {off}");
        let mut wrong = gpu.loss_and_gradient().unwrap().1;
        wrong[0] = f64::INFINITY;
        assert_eq!(gpu.apply(&wrong).unwrap(), Some(Fault::Gradient), "{name}");
        gpu.set_state(&state).unwrap();
        assert_eq!(gpu.train(1).unwrap().fault, None, "{name}");
    }
}

#[test]
fn scores_and_samples_match_the_cpu() {
    for (name, spec, path) in paths() {
        let tolerance = 1e-5 * coarseness(&spec);
        let (mut gpu, mut cpu) = pair(&spec, path);
        let x = rows(300, spec.width(), 6);
        let (expected_z, expected_log_det) = cpu.forward(&x).unwrap();
        let expected_scores = cpu.log_prob(&x).unwrap();
        // Across the point where the row's number takes a second word.
        let requested = (1 << 32) - 100..(1 << 32) + 100;
        let expected_sample = sample(&mut cpu, 4, requested.clone());
        let close = |what: &str, values: &[f64], expected: &[f64], tolerance: f64| {
            assert_close(
                &format!("{name}, {what}"),
                values,
                expected,
                tolerance,
                tolerance,
            );
        };
        let (z, log_det) = gpu.forward(&x).unwrap();
        close("z", z.values(), expected_z.values(), tolerance);
        close("log-det", &log_det, &expected_log_det, tolerance);
        let scores = gpu.log_prob(&x).unwrap();
        close("score", &scores, &expected_scores, tolerance);
        let back = gpu
            .inverse(&with_context_of(&spec, &expected_z, &x))
            .unwrap();
        let x = x.select_columns(0..spec.dims);
        close("x", back.values(), x.values(), tolerance);
        let sample = sample(&mut gpu, 4, requested.clone());
        let expected = expected_sample.values();
        close("sample", sample.values(), expected, 2.0 * tolerance);
    }
}

/// A run again gives the same bits, however the steps are cut into calls.
#[test]
fn a_rerun_gives_the_same_bits() {
    let spec = flow("odd D, shared, two hidden, relu");
    let run = |path: GpuPath, cuts: &[usize]| {
        let (mut gpu, _) = pair(&spec, path);
        gpu.start(&training_rows(1000, spec.width(), 5), &training(300))
            .unwrap();
        let mut losses = Vec::new();
        for &steps in cuts {
            losses.extend(take(&mut gpu, steps));
        }
        (losses, gpu.parameters().unwrap())
    };
    for path in [GpuPath::Staged, GpuPath::Fused] {
        let first = run(path, &[30]);
        assert!(first == run(path, &[30]) && first == run(path, &[1, 7, 22]));
    }
}

/// Rows that do not fit the buffers at once go through in runs; scoring more rows than one run holds.
#[test]
fn long_tables_go_through_in_runs() {
    let spec = flow("two columns");
    for path in [GpuPath::Staged, GpuPath::Fused] {
        let (mut gpu, mut cpu) = pair(&spec, path);
        let x = rows(40_000, spec.width(), 6);
        let scores = gpu.log_prob(&x).unwrap();
        let expected = cpu.log_prob(&x).unwrap();
        assert_close("score", &scores, &expected, 1e-5, 1e-5);
        let all = gpu.sample(4, 0..20_000).unwrap();
        let some = gpu.sample(4, 16_000..17_001).unwrap();
        assert_eq!(&all.column(1)[16_000..17_001], some.column(1));
    }
}

/// A device whose bindings hold little: batch, data and scores go through in several pieces, with the same result.
#[test]
fn a_batch_that_does_not_fit_goes_through_in_runs() {
    let limits = wgpu::Limits {
        // 1,820 rows of the widest layer (9), 5,461 rows of 3 columns.
        max_storage_buffer_binding_size: 1 << 16,
        ..wgpu::Limits::default()
    };
    let executor = |spec: &FlowSpec| {
        let plan = Plan::new(spec).unwrap();
        let parameters = crate::common::parameters(&plan);
        let gpu = GpuExecutor::with_limits(&adapter(), plan.clone(), &parameters, limits.clone());
        (gpu, CpuExecutor::<f64>::new(plan, &parameters))
    };
    let name = "silu, separate, bounded";
    let spec = flow(name);
    let (gpu, mut cpu) = executor(&spec);
    let mut gpu = gpu.unwrap();
    let data = training_rows(6001, spec.width(), 5);
    for batch_size in [0, 4001] {
        gpu.start(&data, &training(batch_size)).unwrap();
        cpu.start(&data, &training(batch_size)).unwrap();
        let (loss, gradient) = gpu.loss_and_gradient().unwrap();
        let (expected_loss, expected) = cpu.loss_and_gradient().unwrap();
        assert_close(name, &[loss], &[expected_loss], 2e-6, 2e-6);
        let error = relative_l2(&gradient, &expected);
        assert!(error < 1e-5, "gradient off by {error:e}");
        let losses = take(&mut gpu, 5);
        assert_close(name, &losses, &take(&mut cpu, 5), 1e-5, 1e-5);
    }

    // Parameters that cannot be bound are refused, with the limit and what to lower.
    let large = flow("128 columns");
    let message = executor(&large)
        .0
        .err()
        .expect("too many parameters")
        .to_string();
    for part in ["max_storage_buffer_binding_size", "65536", "lower"] {
        assert!(message.contains(part), "{message}");
    }
}

/// A step that cannot be taken is not taken, whatever submission it is in, and the state from before continues.
#[test]
fn a_step_with_a_fault_is_not_taken() {
    let spec = flow("reference experiment");
    // The row at place 7 of the third batch of ten is too far out for a normal density in f32, or for its gradient.
    for (value, fault) in [(1e25, Fault::Loss), (1e15, Fault::Gradient)] {
        let training = Training {
            optimizer: AdamW::new(1e-3, 0.1),
            ..training(10)
        };
        let mut data = training_rows(60, spec.width(), 5);
        let batch = Batches::new(60, 10, training.seed).batch(2);
        data.column_mut(3)[batch.row(7) as usize] = value;
        let (mut gpu, _) = pair(&spec, GpuPath::Staged);
        let (mut fused, _) = pair(&spec, GpuPath::Fused);
        let mut cpu =
            CpuExecutor::<f32>::new(gpu.plan().clone(), &crate::common::parameters(gpu.plan()));
        let executors: [&mut dyn Executor; 3] = [&mut gpu, &mut fused, &mut cpu];
        for executor in executors {
            executor.start(&data, &training).unwrap();
            let before = executor.train(1).unwrap();
            assert_eq!(before.fault, None);
            let good = executor.state().unwrap();
            let taken = executor.train(5).unwrap();
            assert_eq!(
                taken.fault,
                Some(fault),
                "{value:e}, {}",
                executor.describe()
            );
            assert_eq!(taken.losses.len(), 2);
            assert_eq!(taken.losses[1].is_finite(), fault == Fault::Gradient);
            let at_fault = executor.state().unwrap();
            assert_eq!(at_fault.step, 2);
            assert!(at_fault.parameters.iter().all(|p| p.is_finite()));
            // Still at the fault; then back, and the step before it gives what it gave.
            assert_eq!(executor.train(1).unwrap().fault, Some(fault));
            assert!(
                executor.state().unwrap() == at_fault,
                "{}",
                executor.describe()
            );
            executor.set_state(&good).unwrap();
            assert_eq!(take(executor, 1), taken.losses[..1]);
            assert!(
                executor.state().unwrap() == at_fault,
                "{}",
                executor.describe()
            );
        }
    }
}

/// An update that overflows is noticed, in the middle of a call and in its last step.
#[test]
fn an_update_that_overflows_is_a_fault() {
    let spec = flow("reference experiment");
    for steps in [1, 5] {
        let training = Training {
            optimizer: AdamW::new(1e38, 1e3),
            ..training(0)
        };
        let (mut gpu, mut cpu) = pair(&spec, GpuPath::Staged);
        let mut f32_cpu =
            CpuExecutor::<f32>::new(gpu.plan().clone(), &crate::common::parameters(gpu.plan()));
        let data = training_rows(60, spec.width(), 5);
        for executor in [&mut gpu as &mut dyn Executor, &mut f32_cpu] {
            executor.start(&data, &training).unwrap();
            let good = executor.state().unwrap();
            let taken = executor.train(steps).unwrap();
            assert_eq!(taken.fault, Some(Fault::Parameters));
            assert_eq!(taken.losses.len(), 1);
            executor.set_state(&good).unwrap();
            assert!(executor.state().unwrap() == good);
        }
        // f64 has room for it.
        cpu.start(&data, &training).unwrap();
        assert_eq!(cpu.train(1).unwrap().fault, None);
    }
}

/// On the fused path a step is four dispatches, however many layers there are.
#[test]
fn a_fused_step_is_four_dispatches() {
    let few = flow("reference experiment");
    let many = FlowSpec {
        layers: 40,
        ..few.clone()
    };
    for spec in [few, many] {
        let (mut gpu, _) = pair(&spec, GpuPath::Fused);
        gpu.start(&training_rows(257, spec.width(), 5), &training(100))
            .unwrap();
        assert!(
            gpu.describe().contains("fused (tiles of"),
            "{}",
            gpu.describe()
        );
        let times = gpu.timed_step().unwrap();
        let kernels: Vec<&str> = times.iter().map(|time| time.kernel).collect();
        assert_eq!(kernels, ["fused_evaluate", "sum_gradient", "clip", "adamw"]);
        assert!(times.iter().all(|time| time.dispatches == 1));
    }
}

/// Who asks for the fused path is told why a flow cannot take it; who does not gets the other.
#[test]
fn what_does_not_fit_is_staged() {
    let spec = FlowSpec {
        conditioner: Conditioner::Mlp {
            hidden: vec![2100, 4],
            activation: couplet::flow::Activation::Relu,
            separate: false,
        },
        ..flow("reference experiment")
    };
    let data = training_rows(64, spec.width(), 5);
    let x = rows(64, spec.width(), 5);
    let (mut gpu, _) = pair(&spec, GpuPath::Fused);
    for error in [
        gpu.start(&data, &training(0)).unwrap_err(),
        gpu.log_prob(&x).unwrap_err(),
    ] {
        let error = error.to_string();
        for part in ["bytes of workgroup memory", "gpu_path = auto"] {
            assert!(error.contains(part), "{error}");
        }
    }
    gpu.set_path(GpuPath::Auto);
    gpu.start(&data, &training(0)).unwrap();
    gpu.log_prob(&x).unwrap();
    assert!(gpu.describe().contains("staged ("), "{}", gpu.describe());
}

/// Loses the device at each tenth step.
struct Destroyer<'a> {
    loss: &'a Mutex<Option<Box<dyn Fn() + Send>>>,
    at: Vec<usize>,
}

impl TrainObserver for Destroyer<'_> {
    fn progress(&mut self, done: usize, _: &[f64]) -> couplet::Result<()> {
        if done.is_multiple_of(10)
            && let Some(loss) = &*self.loss.lock().unwrap()
        {
            loss();
            self.at.push(done);
        }
        Ok(())
    }
}

/// A device that is destroyed at every tenth step is opened every time, and nothing else changes.
#[test]
fn a_device_destroyed_at_every_tenth_step_changes_nothing() {
    let begin = Instant::now();
    let data = training_rows(257, 4, 1);
    for path in [GpuPath::Staged, GpuPath::Fused] {
        let spec = flow("reference experiment");
        let plan = Plan::new(&spec).unwrap();
        let parameters = crate::common::parameters(&plan);
        let settings = Settings {
            steps: 60,
            log_every: 10,
            check_every: 20,
            validation: Some(rows(100, spec.width(), 3)),
            monitor_rows: None,
            extension: None,
            row_weights: Vec::new(),
            patience: 0,
        };
        let run = |is_lost: bool| {
            let loss = Mutex::new(None);
            let mut opened = 0;
            let mut open = || {
                let mut executor = GpuExecutor::new(&adapter(), plan.clone(), &parameters)?;
                executor.set_path(path);
                executor.start(&data, &training(100))?;
                opened += 1;
                *loss.lock().unwrap() = is_lost.then(|| Box::new(executor.destroy_for_test()) as _);
                Ok::<_, Error>(Box::new(executor) as Box<dyn Executor>)
            };
            let mut executor = Recovering::new(open().unwrap(), |_| Some(open())).unwrap();
            let mut observer = Destroyer {
                loss: &loss,
                at: Vec::new(),
            };
            let outcome = train::run(&mut executor, &settings, &mut observer).unwrap();
            drop(executor);
            (outcome, observer.at, opened)
        };
        let (expected, _, opened) = run(false);
        assert_eq!(opened, 1);
        let (outcome, at, opened) = run(true);
        assert_eq!(at, [10, 20, 30, 40, 50, 60], "{path:?}");
        assert_eq!(opened, 7, "{path:?}");
        assert_eq!(outcome.parameters, expected.parameters, "{path:?}");
        assert_eq!(outcome.validation, expected.validation, "{path:?}");
    }
    assert!(begin.elapsed() < Duration::from_secs(60));
}

/// Rows that take the place of others, fewer or as many, are what steps are of from then on; a device that fails then has them, too.
#[test]
fn replaced_rows_are_trained_on() {
    let spec = flow("two columns");
    for path in [GpuPath::Staged, GpuPath::Fused] {
        for weighted in [false, true] {
            let weights = |count| match weighted {
                true => row_weights(count),
                false => Vec::new(),
            };
            let training = training(100);
            let (gpu, mut cpu) = pair(&spec, path);
            let mut lost: Option<Box<dyn FnOnce() + Send>> = None;
            let mut executors: Vec<Box<dyn Executor>> = Vec::new();
            for mut gpu in [gpu, pair(&spec, path).0] {
                start_weighted(
                    &mut gpu,
                    &training_rows(257, 2, 5),
                    &weights(257),
                    &training,
                )
                .unwrap();
                lost.get_or_insert_with(|| Box::new(gpu.destroy_for_test()));
                executors.push(Box::new(gpu));
            }
            let second = executors.pop();
            let second = std::sync::Mutex::new(second);
            let first = executors.pop().unwrap();
            let reopen = |_: &_| second.lock().unwrap().take().map(Ok);
            let mut gpu = Recovering::new(first, reopen).unwrap();
            start_weighted(
                &mut cpu,
                &training_rows(257, 2, 5),
                &weights(257),
                &training,
            )
            .unwrap();
            for (count, seed) in [(257, 6), (130, 7)] {
                let rows = Arc::new(training_rows(count, 2, seed));
                let row_weights = Arc::new(weights(count));
                let batches = Batches::new(count, 100, seed);
                for executor in [&mut gpu as &mut dyn Executor, &mut cpu] {
                    executor
                        .replace_rows(rows.clone(), row_weights.clone(), &batches)
                        .unwrap();
                }
                if count == 130 {
                    lost.take().unwrap()();
                }
                let losses = [gpu.train(3), cpu.train(3)].map(|taken| taken.unwrap().losses);
                let what = format!("{path:?}, weighted: {weighted}, {count} rows");
                assert_close(&what, &losses[0], &losses[1], 1e-5, 1e-5);
            }
            assert!(second.lock().unwrap().is_none(), "the device did not fail");
            let more = Arc::new(training_rows(258, 2, 8));
            let batches = Batches::new(258, 100, 1);
            let error = gpu.replace_rows(more, Arc::new(weights(258)), &batches);
            assert!(error.unwrap_err().to_string().contains("258 rows"));
        }
    }
}
