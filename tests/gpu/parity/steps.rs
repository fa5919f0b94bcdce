use super::*;

use couplet::Matrix;
use couplet::executor::{AdamW, Batches, Fault};
use couplet::testing::cpu::adamw;
use couplet::testing::gpu::builder::{Data, Optimizer};
use couplet::testing::gpu::kernels::{Gate, Segment, TILE_DEPTH};
use couplet::testing::gpu::program::Program;
use couplet::testing::gpu::sizes::Sizes;

/// Several buffers come back one after another, through one copy or, where they are too large for that, through several.
#[test]
fn buffers_read_together() {
    let bench = Bench::new();
    for filler in [3, 1 << 24] {
        let first = bench.filled(&[1.0, 2.0, 3.0, 4.0]);
        let middle = bench.gpu.buffer("filler", filler);
        let last = bench.filled(&[5.0, 6.0]);
        let sources = [(&first, 3), (&middle, filler), (&last, 2)];
        let got = bench.gpu.read_all(&sources).unwrap();
        assert_eq!(got.len(), 3 + filler + 2);
        assert_eq!(got[..3], [1.0, 2.0, 3.0]);
        assert!(got[3..3 + filler].iter().all(|&number| number == 0.0));
        assert_eq!(got[3 + filler..], [5.0, 6.0]);
    }
}

/// The rows that a step visits, with and without a shuffle, from data in two segments.
#[test]
fn gather_rows() {
    let bench = Bench::new();
    let plan = plan(3, Transform::Additive, true, Base::ALL[0]);
    let total = 157;
    let data = Matrix::from_fn(total, 3, |row, column| (10 * row + column) as f32);
    // With a fourth column, where rows have weights.
    let segment = |first: usize, rows: usize, weighted: bool| {
        let mut values: Vec<f32> = (0..3)
            .flat_map(|j| data.column(j)[first..first + rows].to_vec())
            .collect();
        if weighted {
            values.extend((first..first + rows).map(|row| row as f32 + 0.5));
        }
        let record = Segment {
            dims: 3,
            first: first as u32,
            rows: rows as u32,
        };
        (record, bench.filled(&values))
    };
    let data_of = |weighted| Data {
        segments: vec![segment(0, 100, weighted), segment(100, 57, weighted)],
        weighted,
    };
    for weighted in [false, true] {
        let segments = data_of(weighted);
        for size in [0, 1, 64, 101] {
            for number in [0, 1, 5] {
                let batch = Batches::new(total, size, 3).batch(number);
                let stride = total.next_multiple_of(4) + 4;
                let buffers = [bench.poisoned(3 * stride)];
                let log_det = bench.poisoned(stride);
                let parameters = bench.parameters(&[0.0]);
                let weights = weighted.then(|| bench.poisoned(stride));
                let builder = bench
                    .builder(&plan, &parameters, &buffers)
                    .weighted(weights.as_ref());
                let mut step = Step {
                    rows: batch.rows,
                    stride: stride as u32,
                    ..Step::default()
                };
                step.visit(&batch, 0);
                for dispatch in builder.gather(&segments, &log_det).unwrap() {
                    bench.run(&dispatch, step);
                }
                let got = bench.gpu.read(&buffers[0], 3 * stride).unwrap();
                let zeros = bench.gpu.read(&log_det, stride).unwrap();
                let filled = batch.rows.next_multiple_of(4);
                for (k, value) in got.into_iter().enumerate() {
                    let (column, index) = (k / stride, (k % stride) as u32);
                    if index < filled {
                        let row = batch.row(index.min(batch.rows - 1)) as usize;
                        assert_eq!(value, data.get(row, column), "size {size}, place {index}");
                        assert_eq!(zeros[index as usize].to_bits(), 0);
                    } else {
                        assert_eq!(value.to_bits(), POISON);
                    }
                }
                let got = weights.map(|weights| bench.gpu.read(&weights, stride).unwrap());
                for (index, value) in got.into_iter().flatten().enumerate() {
                    let index = index as u32;
                    match index < filled {
                        true => {
                            assert_eq!(value, batch.row(index.min(batch.rows - 1)) as f32 + 0.5)
                        }
                        false => assert_eq!(value.to_bits(), POISON),
                    }
                }
            }
        }
    }
}

/// The sum of a batch's log-densities, with weights.
#[test]
fn weighted_sum_of_log_prob() {
    let bench = Bench::new();
    let plan = plan(2, Transform::Additive, true, Base::ALL[0]);
    let parameters = bench.parameters(&[0.0]);
    for rows in ROWS {
        let (log_prob, weight) = (TestMatrix::new(rows, 1, 9), TestMatrix::new(rows, 1, 10));
        let splits = rows.div_ceil(48);
        let partials = bench.poisoned(splits + 1);
        let weights = bench.filled(&weight.flat());
        let builder = bench
            .builder(&plan, &parameters, &[])
            .weighted(Some(&weights));
        let step = Step {
            rows: rows as u32,
            rows_per_split: 48,
            ..Step::default()
        };
        let log_probs = bench.filled(&log_prob.flat());
        bench.run(&builder.sum_log_prob(&log_probs, &partials).unwrap(), step);
        let got = bench.gpu.read(&partials, splits + 1).unwrap();
        for (split, &got) in got.iter().enumerate().take(splits) {
            let of_row =
                |row: usize| f64::from(weight.number(0, row)) * f64::from(log_prob.number(0, row));
            let rows = 48 * split..rows.min(48 * (split + 1));
            let expected: f64 = rows.map(of_row).sum();
            close_within(&format!("split {split}"), got, expected, 7.0);
        }
        assert_eq!(got[splits].to_bits(), POISON);
    }
}

/// Loss, sum of the splits, and AdamW over three steps.
#[test]
fn sums_and_adamw() {
    let bench = Bench::new();
    for (dims, rows) in [(2, 1usize), (2, 61), (9, 257), (40, 64)] {
        let plan = plan(dims, Transform::Additive, true, Base::ALL[1]);
        let count = plan.layout.len();
        let start = numbers(count, 1);
        let parameters = bench.parameters(&start);
        let builder = bench.builder(&plan, &parameters, &[]);
        let splits = rows.div_ceil(48);
        let shares = TestMatrix::new(splits, count, 8);
        let partials: Vec<f32> = (0..splits * count)
            .map(|k| shares.number(k % count, k / count))
            .collect();
        let log_prob = TestMatrix::new(rows, 1, 9);
        let optimizer = Optimizer {
            gradient: bench.poisoned(count),
            first_moment: bench.filled(&vec![0.0; count]),
            second_moment: bench.filled(&vec![0.0; count]),
            losses: bench.poisoned(5),
            gate: bench.filled(&[0.0; 4]),
            average: bench.filled(&start),
        };
        let loss_partials = bench.poisoned(splits);
        let partial_buffer = bench.filled(&partials);
        let log_probs = bench.filled(&log_prob.flat());
        let (mut p, mut m, mut v) = (widen(&start), vec![0.0; count], vec![0.0; count]);
        // The first gradient is longer than this, the second is not.
        let settings = AdamW {
            clip_norm: 1.0,
            average: 0.9,
            ..AdamW::new(1e-2, 0.1)
        };
        let mut average = p.clone();
        for number in 0..3u32 {
            let at = settings.at(u64::from(number));
            let mut step = Step {
                rows: rows as u32,
                stride: log_prob.stride as u32,
                rows_per_split: 48,
                parameters: count as u32,
                inv_batch_size: 1.0 / rows as f32,
                slot: number + 1,
                ..Step::default()
            };
            step.optimize(&at);
            // The second run of a batch adds to the first.
            for add in [0, 1] {
                step.add = add;
                let list = [
                    builder.sum_log_prob(&log_probs, &loss_partials),
                    builder.sum_loss(&loss_partials, &optimizer.losses),
                    builder.sum_partials(&partial_buffer, &optimizer.gradient),
                ];
                for dispatch in list {
                    bench.run(&dispatch.unwrap(), step);
                }
            }
            for dispatch in builder.update(&optimizer).unwrap() {
                bench.run(&dispatch, step);
            }
            let gradient: Vec<f64> = (0..count)
                .map(|k| {
                    2.0 * (0..splits)
                        .map(|s| f64::from(partials[s * count + k]))
                        .sum::<f64>()
                })
                .collect();
            let factor = adamw::clip(adamw::gradient_norm(&gradient), at.clip_norm).unwrap();
            adamw::update(&at, factor, &mut p, &gradient, (&mut m, &mut v));
            adamw::average(&at, &p, &mut average);
            let gate = bench.gpu.read(&optimizer.gate, 4).unwrap();
            close("factor", gate[0], factor);
            assert_eq!(gate[1].to_bits(), 0);
            let got = bench.gpu.read(&optimizer.gradient, count).unwrap();
            for (k, (&got, expected)) in got.iter().zip(gradient).enumerate() {
                close(&format!("gradient {k}"), got, expected);
            }
        }
        let got = bench.gpu.read(&parameters, count).unwrap();
        for (k, (&got, &expected)) in got.iter().zip(&p).enumerate() {
            close(&format!("parameter {k}"), got, expected);
        }
        let got = bench.gpu.read(&optimizer.average, count).unwrap();
        for (k, (&got, &expected)) in got.iter().zip(&average).enumerate() {
            close(&format!("average {k}"), got, expected);
        }
        let losses = bench.gpu.read(&optimizer.losses, 5).unwrap();
        let expected = -2.0
            * (0..rows)
                .map(|row| f64::from(log_prob.number(0, row)))
                .sum::<f64>();
        assert_eq!([losses[0].to_bits(), losses[4].to_bits()], [POISON; 2]);
        for &loss in &losses[1..4] {
            close("loss", loss, expected / rows as f64);
        }
    }
}

/// Sizes follow the limits, and say what does not fit.
#[test]
fn sizes_follow_limits() {
    let plan = plan(4, Transform::Additive, true, Base::ALL[1]);
    let limits = wgpu::Limits::default();
    for requested in [1, 5, 1000, 50_000, 10_000_000, 4_000_000_000] {
        let sizes = Sizes::new(&plan, &limits, false, requested, true).unwrap();
        let binding = limits.max_storage_buffer_binding_size as usize;
        assert!(
            sizes.rows.is_multiple_of(4)
                && sizes.rows_per_split.is_multiple_of(TILE_DEPTH as usize)
        );
        assert!(sizes.splits * sizes.rows_per_split >= sizes.rows);
        assert!(4 * sizes.splits * plan.layout.len() <= binding);
        assert!(4 * sizes.rows * 5 <= binding && sizes.rows <= 64 * 65_535);
    }
    // No product of a software adapter's takes long.
    let mut spec = plan.spec.clone();
    spec.conditioner = Conditioner::Mlp {
        hidden: vec![1024, 512],
        activation: Activation::Silu,
        separate: false,
    };
    let wide = Plan::new(&spec).unwrap();
    let rows = |is_software| {
        Sizes::new(&wide, &limits, is_software, 50_000, true)
            .unwrap()
            .rows
    };
    assert_eq!([rows(true), rows(false)], [64, 12_500]);
    // A program can be made at each side of a split.
    let bench = Bench::new();
    let parameters = bench.parameters(&numbers(plan.layout.len(), 1));
    let sizes = Sizes::new(&plan, &limits, false, 1, false).unwrap();
    Program::staged(bench.builder(&plan, &parameters, &[]), sizes.rows).unwrap();
}

/// The norm of gradients of every size, what clipping makes of them, and what shuts the gate.
#[test]
fn gradient_norm_and_clip() {
    let bench = Bench::new();
    for dims in [2, 70] {
        let plan = plan(dims, Transform::Additive, true, Base::ALL[1]);
        let count = plan.layout.len();
        let parameters = bench.parameters(&numbers(count, 1));
        let builder = bench.builder(&plan, &parameters, &[]);
        let plain = numbers(count, 2);
        let with = |index: usize, value: f32| {
            let mut gradient = plain.clone();
            gradient[index] = value;
            gradient
        };
        let scaled = |scale: f32| plain.iter().map(|g| g * scale).collect::<Vec<f32>>();
        let cases = [
            ("plain", plain.clone()),
            ("zero", vec![0.0; count]),
            ("tiny", scaled(1e-33)),
            ("too long to be squared", scaled(1e25)),
            ("one large number", with(count / 2, 3e35)),
            ("an infinity", with(count - 1, f32::INFINITY)),
            ("a NaN", with(0, f32::NAN)),
        ];
        for (what, gradient) in cases {
            for (clip_norm, loss) in [
                (0.0, 1.0),
                (1.0, 1.0),
                (1.0, f32::NAN),
                (0.0, f32::INFINITY),
            ] {
                let optimizer = Optimizer {
                    gradient: bench.filled(&gradient),
                    first_moment: bench.filled(&vec![0.0; count]),
                    second_moment: bench.filled(&vec![0.0; count]),
                    losses: bench.filled(&[0.0, loss]),
                    gate: bench.filled(&[0.0; 4]),
                    average: bench.filled(&[0.0]),
                };
                let step = Step {
                    parameters: count as u32,
                    clip_norm: clip_norm as f32,
                    slot: 1,
                    ..Step::default()
                };
                for dispatch in builder.update(&optimizer).unwrap() {
                    bench.run(&dispatch, step);
                }
                let gate = bench.gpu.read(&optimizer.gate, 4).unwrap();
                let gate: Gate = bytemuck::pod_read_unaligned(bytemuck::cast_slice(&gate));
                let factor = adamw::clip(adamw::gradient_norm(&gradient), clip_norm);
                let expected = match factor {
                    _ if !loss.is_finite() => Some(Fault::Loss),
                    None => Some(Fault::Gradient),
                    Some(_) => None,
                };
                let what = format!("{what}, {count} numbers, clip {clip_norm}, loss {loss}");
                assert_eq!((gate.fault(), gate.slot), (expected, 1), "{what}");
                if let (None, Some(factor)) = (expected, factor) {
                    assert!(
                        (gate.factor / factor - 1.0).abs() < 1e-5,
                        "{what}: {gate:?}, {factor}"
                    );
                }
                let touched = bench.gpu.read(&optimizer.second_moment, count).unwrap();
                // Squares of nothing and of the tiny are 0 as well.
                let moves = touched.iter().any(|v| *v != 0.0);
                let visible = gradient.iter().any(|g| g.abs() > 1e-15);
                assert_eq!(moves, expected.is_none() && visible, "{what}");
            }
        }
    }
}
