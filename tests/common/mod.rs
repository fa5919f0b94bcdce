//! What the tests share: the table of flows that each check runs over, data for them, and comparisons.
#![allow(dead_code)]

use std::ops::Range;
use std::sync::Arc;

use couplet::Matrix;
use couplet::executor::{AdamW, Batch, Batches, Executor, Schedule, Training};
use couplet::flow::{
    Activation, Base, Conditioner, Density, Family, FlowSpec, Initial, Mixing, Plan, Transform,
    initial_parameters,
};
use couplet::random::{Purpose, normal_at};

/// A flow of every kind. A new transform, conditioner, activation or base is a new row here.
pub fn flows() -> Vec<(&'static str, FlowSpec)> {
    let mlp = |hidden: &[usize], activation, separate| Conditioner::Mlp {
        hidden: hidden.to_vec(),
        activation,
        separate,
    };
    let polynomial = |family, degree, total_degree, input_bound| Conditioner::Polynomial {
        family,
        degree,
        total_degree,
        input_bound,
    };
    let flow = |dims, layers, transform, conditioner, base| FlowSpec {
        dims,
        context: 0,
        layers,
        transform,
        conditioner,
        mixing: Mixing::None,
        base,
    };
    let mixed = |flow: FlowSpec| FlowSpec {
        mixing: Mixing::Lu,
        ..flow
    };
    let given = |context, flow: FlowSpec| FlowSpec { context, ..flow };
    let affine = Transform::Affine { scale_bound: 0.0 };
    let bounded = Transform::Affine { scale_bound: 1.5 };
    let spline = |bins, bound| Transform::Spline { bins, bound };
    use Activation::{Gelu, Relu, Silu, Tanh};
    const NORMAL: Base = Base::new(Density::Normal, false);
    const TRAINED_NORMAL: Base = Base::new(Density::Normal, true);
    const LOGISTIC: Base = Base::new(Density::Logistic, false);
    const TRAINED_LOGISTIC: Base = Base::new(Density::Logistic, true);
    vec![
        (
            "reference experiment",
            flow(4, 2, affine, mlp(&[32], Tanh, true), TRAINED_NORMAL),
        ),
        (
            "two columns",
            flow(2, 3, affine, mlp(&[8], Tanh, true), NORMAL),
        ),
        (
            "odd D, shared, two hidden, relu",
            flow(5, 3, affine, mlp(&[19, 11], Relu, false), TRAINED_NORMAL),
        ),
        (
            "silu, separate, bounded",
            flow(3, 4, bounded, mlp(&[7, 9, 5], Silu, true), TRAINED_NORMAL),
        ),
        (
            "silu, shared",
            flow(7, 2, affine, mlp(&[17], Silu, false), NORMAL),
        ),
        (
            "gelu",
            flow(4, 3, bounded, mlp(&[11, 6], Gelu, false), TRAINED_NORMAL),
        ),
        (
            "additive",
            flow(5, 4, Transform::Additive, mlp(&[13], Tanh, true), NORMAL),
        ),
        (
            "linear conditioner, bounded",
            flow(6, 2, bounded, mlp(&[], Tanh, true), TRAINED_NORMAL),
        ),
        (
            "hermite, bounded input",
            flow(
                5,
                3,
                bounded,
                polynomial(Family::Hermite, 3, 3, 3.0),
                TRAINED_NORMAL,
            ),
        ),
        (
            "legendre, additive",
            flow(
                4,
                3,
                Transform::Additive,
                polynomial(Family::Legendre, 2, 4, 1.0),
                NORMAL,
            ),
        ),
        (
            "hermite of high degree",
            flow(
                3,
                2,
                bounded,
                polynomial(Family::Hermite, 8, 8, 2.0),
                TRAINED_NORMAL,
            ),
        ),
        (
            "spline, shared, silu",
            flow(5, 4, spline(5, 1.5), mlp(&[9, 7], Silu, false), NORMAL),
        ),
        (
            "spline of many bins, two columns",
            flow(
                2,
                2,
                spline(32, 2.5),
                mlp(&[6], Tanh, false),
                TRAINED_NORMAL,
            ),
        ),
        (
            "spline of two bins, polynomials",
            flow(
                3,
                3,
                spline(2, 3.0),
                polynomial(Family::Hermite, 2, 2, 3.0),
                NORMAL,
            ),
        ),
        (
            "affine, mixed",
            mixed(flow(5, 3, bounded, mlp(&[8], Tanh, false), TRAINED_NORMAL)),
        ),
        (
            "spline, mixed, two columns",
            mixed(flow(2, 3, spline(4, 2.0), mlp(&[6], Silu, false), NORMAL)),
        ),
        (
            "logistic",
            flow(3, 2, affine, mlp(&[6], Tanh, true), LOGISTIC),
        ),
        (
            "trained logistic",
            flow(5, 3, bounded, mlp(&[9], Silu, false), TRAINED_LOGISTIC),
        ),
        (
            "128 columns",
            flow(128, 2, bounded, mlp(&[65], Relu, false), TRAINED_NORMAL),
        ),
        (
            "given two, separate",
            given(
                2,
                flow(5, 3, bounded, mlp(&[8], Tanh, true), TRAINED_NORMAL),
            ),
        ),
        (
            "given three, spline, mixed",
            given(
                3,
                mixed(flow(
                    3,
                    3,
                    spline(4, 2.0),
                    mlp(&[6, 7], Silu, false),
                    NORMAL,
                )),
            ),
        ),
        (
            "given two, hermite",
            given(
                2,
                flow(
                    3,
                    3,
                    bounded,
                    polynomial(Family::Hermite, 2, 3, 3.0),
                    LOGISTIC,
                ),
            ),
        ),
        (
            "one column given one, legendre",
            given(
                1,
                flow(
                    1,
                    2,
                    affine,
                    polynomial(Family::Legendre, 3, 3, 1.0),
                    TRAINED_NORMAL,
                ),
            ),
        ),
        (
            "one column given 200, spline, mixed",
            given(
                200,
                mixed(flow(1, 2, spline(5, 2.0), mlp(&[17], Relu, false), NORMAL)),
            ),
        ),
        (
            "one column, spline",
            flow(1, 3, spline(6, 2.0), mlp(&[6], Silu, false), NORMAL),
        ),
        (
            "one column, separate",
            flow(1, 2, bounded, mlp(&[6], Gelu, true), TRAINED_LOGISTIC),
        ),
    ]
}

/// Parameters to begin with, none of them zero: what starts as zero (mixing, the base's location) would hide half of what
/// it does.
pub fn parameters(plan: &Plan) -> Vec<f32> {
    let mut parameters = initial_parameters(&plan.layout, 11);
    let tensors = plan.layout.tensors().iter();
    for tensor in tensors.filter(|tensor| tensor.initial == Initial::Zero) {
        for position in tensor.range.clone() {
            parameters[position] = 0.2 * normal_at(3, Purpose::Target, position as u64, 0);
        }
    }
    parameters
}

/// What the tolerances of f32 are multiplied by for a flow: a place in a spline's bin has a digit or two less than the number
/// that lies there, and where random parameters make a derivative of a hundredth, the way back loses two digits.
pub fn coarseness(spec: &FlowSpec) -> f64 {
    match spec.transform {
        Transform::Spline { .. } => 30.0,
        _ => 1.0,
    }
}

/// Rows of numbers around 0, some larger than 1, the same for the same seed.
pub fn rows(rows: usize, columns: usize, seed: u64) -> Matrix<f64> {
    Matrix::from_fn(rows, columns, |row, column| {
        let z = normal_at(seed, Purpose::TargetRows, row as u64, column);
        f64::from(0.3 * column as f32 / columns as f32 + z)
    })
}

/// The reference experiment's optimizer, over batches of `batch_size` rows.
pub fn training(batch_size: usize) -> Training {
    Training {
        batch_size,
        seed: 3,
        optimizer: AdamW::new(1e-3, 0.1),
    }
}

/// As [`training`], with every safeguard: clipping (which the first steps of most flows need), warm-up and cosine, average.
pub fn guarded_training(batch_size: usize) -> Training {
    Training {
        optimizer: AdamW {
            learning_rate: Schedule {
                peak: 2e-3,
                warm_up: 3,
                cosine_end: Some(20),
                restart: 0,
            },
            clip_norm: 1.0,
            average: 0.9,
            ..AdamW::new(2e-3, 0.1)
        },
        ..training(batch_size)
    }
}

/// Takes steps, none of which may have a fault; returns their losses.
#[track_caller]
pub fn take(executor: &mut dyn Executor, steps: usize) -> Vec<f64> {
    let taken = executor.train(steps).unwrap();
    assert_eq!(taken.fault, None);
    assert_eq!(taken.losses.len(), steps);
    taken.losses
}

/// The latents of rows `x`, and the context of those rows behind them: what [`Executor::inverse`] takes.
pub fn with_context_of(spec: &FlowSpec, z: &Matrix<f64>, x: &Matrix<f64>) -> Matrix<f64> {
    z.concat_columns(&x.select_columns(spec.dims..spec.width()))
}

/// Rows of a sample, given random context where the flow takes any.
pub fn sample(executor: &mut dyn Executor, seed: u64, requested: Range<u64>) -> Matrix<f64> {
    let count = (requested.end - requested.start) as usize;
    let context = executor.plan().spec.context;
    let context = Matrix::from_fn(count, context, |row, column| {
        f64::from(normal_at(
            3,
            Purpose::TargetRows,
            requested.start + row as u64,
            column,
        ))
    });
    executor.sample_given(seed, requested, &context).unwrap()
}

/// As [`rows`], to train on.
pub fn training_rows(count: usize, columns: usize, seed: u64) -> Matrix<f32> {
    rows(count, columns, seed).map(|x| x as f32)
}

/// Starts training on rows that are kept.
pub fn start_weighted(
    executor: &mut dyn Executor,
    rows: &Matrix<f32>,
    weights: &[f32],
    training: &Training,
) -> couplet::Result<()> {
    let (rows, weights) = (Arc::new(rows.clone()), Arc::new(weights.to_vec()));
    executor.start_weighted(rows, weights, training)
}

/// Weights of rows, from a tenth to some five, with the mean 1.
pub fn row_weights(count: usize) -> Vec<f32> {
    let raw: Vec<f32> = (0..count)
        .map(|row| 0.1 + normal_at(11, Purpose::TargetRows, row as u64, 0).abs())
        .collect();
    let mean = raw.iter().sum::<f32>() / count as f32;
    raw.iter().map(|weight| weight / mean).collect()
}

/// One of them, by its name.
pub fn flow(name: &str) -> FlowSpec {
    let mut flows = flows().into_iter();
    flows.find(|(known, _)| *known == name).expect(name).1
}

/// `|a - b|_2 / |b|_2`.
pub fn relative_l2(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut a.iter().zip(b).map(|(a, b)| a - b));
    let scale = norm(&mut b.iter().copied());
    if difference == 0.0 {
        0.0
    } else {
        difference / scale
    }
}

/// The largest `|a - b| - (atol + rtol * |b|)` must not be positive. Returns the largest share of the tolerance used;
/// a NaN anywhere is a failure.
#[track_caller]
pub fn assert_close(what: &str, a: &[f64], b: &[f64], atol: f64, rtol: f64) -> f64 {
    assert_eq!(a.len(), b.len(), "{what}: lengths");
    let mut worst = 0.0f64;
    for (index, (&a, &b)) in a.iter().zip(b).enumerate() {
        let share = (a - b).abs() / (atol + rtol * b.abs());
        assert!(
            share <= 1.0,
            "{what}[{index}]: {a}, expected {b}: {share:.3} times the tolerance (atol {atol:e}, rtol {rtol:e})"
        );
        worst = worst.max(share);
    }
    worst
}

/// Takes steps whose gradients are put together from two parts of the batch, as several machines would.
pub fn take_in_parts(executor: &mut dyn Executor, batches: &Batches, steps: u64) -> Vec<f64> {
    let mut losses = Vec::new();
    for step in 0..steps {
        let whole = batches.batch(step);
        let first = Batch {
            rows: whole.rows / 3,
            ..whole.clone()
        };
        let second = Batch {
            first: whole.first + first.rows,
            rows: whole.rows - first.rows,
            ..whole.clone()
        };
        let mut loss = 0.0;
        let mut gradient = Vec::new();
        for part in [first, second] {
            let weight = f64::from(part.rows) / f64::from(whole.rows);
            let (part_loss, part_gradient) = executor.gradient(&part).unwrap();
            gradient.resize(part_gradient.len(), 0.0);
            for (sum, number) in gradient.iter_mut().zip(part_gradient) {
                *sum += weight * number;
            }
            loss += weight * part_loss;
        }
        losses.push(loss);
        assert_eq!(executor.apply(&gradient).unwrap(), None);
    }
    losses
}
