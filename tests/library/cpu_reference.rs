//! The f64 executor against mathematics, and f32 against f64.

use crate::common::{
    assert_close, coarseness, flow, flows, relative_l2, row_weights, rows, sample, start_weighted,
    take, training, training_rows, with_context_of,
};
use couplet::Matrix;
use couplet::config::{ConditionerName, Config};
use couplet::cpu::CpuExecutor;
use couplet::executor::Executor;
use couplet::flow::{FlowSpec, Plan, initial_parameters, start_at_identity};

fn executor<T: couplet::cpu::Number>(spec: &FlowSpec) -> CpuExecutor<T> {
    let plan = Plan::new(spec).unwrap();
    let parameters = crate::common::parameters(&plan);
    CpuExecutor::new(plan, &parameters)
}

/// Every parameter's gradient against central differences. All tensors are checked before the test fails, and the
/// table says which.
#[test]
fn gradients_match_central_differences() {
    let mut failures = Vec::new();
    let all = flows().into_iter();
    let weights = [Vec::new(), row_weights(37)];
    let all = all.flat_map(|flow| weights.each_ref().map(|weights| (flow.clone(), weights)));
    for ((name, spec), weights) in all {
        let name = match weights.is_empty() {
            true => name.to_string(),
            false => format!("{name}, weighted"),
        };
        // 37 rows: less than a block. At 128 columns every 97th parameter keeps the test short.
        let data = training_rows(37, spec.width(), 5);
        let mut cpu = executor::<f64>(&spec);
        start_weighted(&mut cpu, &data, weights, &training(0)).unwrap();
        let (_, gradient) = cpu.loss_and_gradient().unwrap();
        let parameters = cpu.parameters().unwrap();
        let layout = cpu.plan().layout.clone();
        let stride = if layout.len() > 5000 { 97 } else { 1 };
        for tensor in layout.tensors() {
            let mut worst = (0.0f64, 0, 0.0, 0.0);
            for index in tensor.range.clone().step_by(stride) {
                let h = 1e-5;
                let mut at = |offset: f64| {
                    let mut moved = parameters.clone();
                    moved[index] += offset;
                    cpu.set_parameters(&moved).unwrap();
                    cpu.loss_and_gradient().unwrap().0
                };
                let difference = (at(h) - at(-h)) / (2.0 * h);
                // Rounding of the loss (1e-15 * 100) / h, and h^2 times a third derivative of order 10. A relu
                // whose kink lies within h would fail: these inputs have none.
                let share = (gradient[index] - difference).abs() / (1e-8 + 1e-7 * difference.abs());
                if share > worst.0 || share.is_nan() {
                    worst = (share, index, gradient[index], difference);
                }
            }
            if worst.0.is_nan() || worst.0 > 1.0 {
                failures.push(format!(
                    "{name}: {} parameter {}: gradient {}, difference {}",
                    tensor.name, worst.1, worst.2, worst.3
                ));
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn inverse_of_forward_is_the_identity() {
    for (name, spec) in flows() {
        let mut cpu = executor::<f64>(&spec);
        let x = rows(130, spec.width(), 8);
        let (z, _) = cpu.forward(&x).unwrap();
        let back = cpu.inverse(&with_context_of(&spec, &z, &x)).unwrap();
        let x = x.select_columns(0..spec.dims);
        assert_close(name, back.values(), x.values(), 1e-12, 1e-12);
    }
}

/// log|det| against the determinant of the numeric Jacobian.
#[test]
fn log_det_is_that_of_the_jacobian() {
    for (name, spec) in flows() {
        let dims = spec.dims;
        let mut cpu = executor::<f64>(&spec);
        let x = rows(1, spec.width(), 8);
        let (_, log_det) = cpu.forward(&x).unwrap();
        let h = 1e-5;
        // Row 2j holds x + h e_j, row 2j + 1 holds x - h e_j.
        let moved = Matrix::from_fn(2 * dims, spec.width(), |row, column| {
            let sign = if row % 2 == 0 { h } else { -h };
            x.get(0, column) + if row / 2 == column { sign } else { 0.0 }
        });
        let (z, _) = cpu.forward(&moved).unwrap();
        let jacobian: Vec<Vec<f64>> = (0..dims)
            .map(|i| {
                (0..dims)
                    .map(|j| (z.get(2 * j, i) - z.get(2 * j + 1, i)) / (2.0 * h))
                    .collect()
            })
            .collect();
        let expected = log_abs_determinant(jacobian);
        assert_close(name, &log_det, &[expected], 1e-7, 1e-7);
    }
}

/// By Gaussian elimination with partial pivoting.
fn log_abs_determinant(mut a: Vec<Vec<f64>>) -> f64 {
    let n = a.len();
    let mut log_det = 0.0;
    for k in 0..n {
        let pivot = (k..n)
            .max_by(|&i, &j| a[i][k].abs().total_cmp(&a[j][k].abs()))
            .unwrap();
        a.swap(k, pivot);
        log_det += a[k][k].abs().ln();
        for i in k + 1..n {
            let factor = a[i][k] / a[k][k];
            let (upper, lower) = a.split_at_mut(i);
            for (x, y) in lower[0][k..].iter_mut().zip(&upper[k][k..]) {
                *x -= factor * y;
            }
        }
    }
    log_det
}

/// log_prob is base density plus log-determinant, and a 2-D density integrates to 1 after training.
/// Of smooth flows and of splines, whose second derivatives jump at the knots.
#[test]
fn a_trained_density_integrates_to_one() {
    for (name, tolerance) in [
        ("two columns", 1e-6),
        ("spline of many bins, two columns", 1e-3),
    ] {
        let total = integral(&flow(name));
        let error = (total - 1.0).abs();
        assert!(error < tolerance, "{name}: integrates to {total}");
    }
}

/// The integral of a flow's density over the plane, after some training.
fn integral(spec: &FlowSpec) -> f64 {
    let mut cpu = executor::<f64>(spec);
    cpu.start(&training_rows(500, 2, 1), &training(0)).unwrap();
    take(&mut cpu, 100);
    // The density beyond 9 standard deviations is far below the tolerance; the midpoint rule converges faster
    // than any power of the step for smooth functions that vanish at the ends.
    let (n, reach) = (800, 9.0);
    let step = 2.0 * reach / n as f64;
    let grid = Matrix::from_fn(n * n, 2, |row, column| {
        let k = if column == 0 { row / n } else { row % n };
        -reach + (k as f64 + 0.5) * step
    });
    let log_prob = cpu.log_prob(&grid).unwrap();
    log_prob.iter().map(|p| p.exp() * step * step).sum()
}

/// The way back in f32, through the splines and the mixing of the defaults, once they are trained: 1e-4 of a deviation.
#[test]
fn a_trained_spline_finds_back_in_f32() {
    let mut config = Config::safe(ConditionerName::Mlp);
    config.train.steps = 400;
    // On a ring, of deviation 1.
    let data = Matrix::from_fn(4000, 2, |row, column| {
        let (angle, radius) = (row as f32 * 2.4, 1.4 + 0.1 * (row as f32 * 1.7).sin());
        radius
            * if column == 0 {
                angle.sin()
            } else {
                angle.cos()
            }
    });
    let plan = Plan::new(&config.model.spec(2).unwrap()).unwrap();
    let mut parameters = initial_parameters(&plan.layout, 1);
    start_at_identity(&plan, &mut parameters);
    let mut cpu = CpuExecutor::<f32>::new(plan, &parameters);
    cpu.start(&data, &config.training()).unwrap();
    let losses = take(&mut cpu, config.train.steps);
    assert!(losses[399] < losses[0] - 0.5, "nothing was learned");
    let x = data.map(f64::from);
    let (z, _) = cpu.forward(&x).unwrap();
    let back = cpu.inverse(&z).unwrap();
    assert_close("back", back.values(), x.values(), 1e-4, 0.0);
    let drawn = cpu.sample(1, 0..4000).unwrap();
    let (z, _) = cpu.forward(&drawn).unwrap();
    let back = cpu.inverse(&z).unwrap();
    assert_close("drawn", back.values(), drawn.values(), 1e-4, 0.0);
}

#[test]
fn f32_follows_f64() {
    for (name, spec) in flows() {
        let coarse = coarseness(&spec);
        for (batch_size, weights) in [(0, vec![]), (48, vec![]), (48, row_weights(203))] {
            let data = training_rows(203, spec.width(), 5);
            let (mut single, mut double) = (executor::<f32>(&spec), executor::<f64>(&spec));
            let training = training(batch_size);
            start_weighted(&mut single, &data, &weights, &training).unwrap();
            start_weighted(&mut double, &data, &weights, &training).unwrap();
            let (loss, gradient) = single.loss_and_gradient().unwrap();
            let (expected_loss, expected) = double.loss_and_gradient().unwrap();
            // f32 rounds at 6e-8; a few hundred roundings a number, mostly independent.
            assert_close(
                name,
                &[loss],
                &[expected_loss],
                1e-6 * coarse,
                1e-6 * coarse,
            );
            let error = relative_l2(&gradient, &expected);
            assert!(error < 1e-5 * coarse, "{name}: gradient off by {error:e}");
            let losses = take(&mut single, 20);
            assert_close(
                name,
                &losses,
                &take(&mut double, 20),
                1e-5 * coarse,
                1e-5 * coarse,
            );

            // Twenty steps of AdamW turn a rounding of a small gradient into a step; scores are compared without them.
            single
                .set_parameters(&double.parameters().unwrap())
                .unwrap();
            let x = rows(70, spec.width(), 9);
            let a = single.log_prob(&x).unwrap();
            assert_close(
                name,
                &a,
                &double.log_prob(&x).unwrap(),
                1e-4 * coarse,
                1e-5 * coarse,
            );
            let a = sample(&mut single, 4, 3..90);
            let b = sample(&mut double, 4, 3..90);
            assert_close(name, a.values(), b.values(), 1e-4 * coarse, 1e-4 * coarse);
        }
    }
}

/// The partial sums do not depend on how many threads share the work.
#[test]
fn thread_count_does_not_change_the_bits() {
    let spec = flow("reference experiment");
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let mut cpu = executor::<f32>(&spec);
            cpu.start(&training_rows(3000, 4, 1), &training(0)).unwrap();
            take(&mut cpu, 5);
            cpu.parameters().unwrap()
        })
    };
    assert_eq!(run(1), run(3));
}

/// Row i of a sample does not depend on which other rows are drawn.
#[test]
fn rows_of_a_sample_stand_alone() {
    let spec = flow("odd D, shared, two hidden, relu");
    let mut cpu = executor::<f32>(&spec);
    let all = cpu.sample(7, 0..300).unwrap();
    let some = cpu.sample(7, 100..200).unwrap();
    let other = cpu.sample(8, 0..300).unwrap();
    for column in 0..spec.dims {
        assert_eq!(&all.column(column)[100..200], some.column(column));
        // Numbers of their own, of each row and of each seed: no constant would do.
        let mut sorted = all.column(column).to_vec();
        sorted.sort_by(f64::total_cmp);
        assert!(
            sorted.windows(2).all(|pair| pair[0] < pair[1]),
            "column {column}"
        );
        let same = all.column(column).iter().zip(other.column(column));
        assert!(same.filter(|(a, b)| a == b).count() == 0, "column {column}");
    }
}

/// A row of weight 2 is a row given twice, and weights that are all 1 are none: losses, gradients and steps.
#[test]
fn a_weight_of_two_is_a_row_given_twice() {
    for (name, spec) in flows() {
        let rows = training_rows(60, spec.width(), 5);
        let is_double = |row: usize| row.is_multiple_of(3);
        let twice: Vec<usize> = (0..60)
            .flat_map(|row| vec![row; 1 + usize::from(is_double(row))])
            .collect();
        let repeated = Matrix::from_fn(twice.len(), spec.width(), |row, j| rows.get(twice[row], j));
        let scale = 60.0 / twice.len() as f32;
        let weights: Vec<f32> = (0..60)
            .map(|row| scale * if is_double(row) { 2.0 } else { 1.0 })
            .collect();
        let mut weighted = executor::<f64>(&spec);
        let mut plain = executor::<f64>(&spec);
        start_weighted(&mut weighted, &rows, &weights, &training(0)).unwrap();
        plain.start(&repeated, &training(0)).unwrap();
        let (loss, gradient) = weighted.loss_and_gradient().unwrap();
        let (expected_loss, expected) = plain.loss_and_gradient().unwrap();
        // The weights are rounded to f32.
        assert_close(name, &[loss], &[expected_loss], 1e-6, 1e-6);
        assert_close(name, &gradient, &expected, 1e-6, 1e-6);

        let mut ones = executor::<f64>(&spec);
        start_weighted(&mut ones, &repeated, &vec![1.0; twice.len()], &training(0)).unwrap();
        assert_eq!(take(&mut ones, 3), take(&mut plain, 3), "{name}");
        assert_eq!(ones.state().unwrap(), plain.state().unwrap(), "{name}");
    }
}

#[test]
fn weights_that_cannot_be_are_named() {
    let spec = flow("two columns");
    let rows = training_rows(3, 2, 5);
    for (weights, part) in [
        (vec![1.0, 2.0], "2 weights for 3 rows"),
        (vec![1.0, -0.5, 1.0], "row 2: a weight of -0.5"),
        (vec![1.0, 1.0, f32::NAN], "row 3"),
        (vec![0.0, 1.0, 1.0], "row 1"),
    ] {
        let error = start_weighted(&mut executor::<f32>(&spec), &rows, &weights, &training(0));
        let text = error.unwrap_err().to_string();
        assert!(text.contains(part), "{text}");
    }
}
