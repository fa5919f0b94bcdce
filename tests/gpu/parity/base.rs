use pulp::Scalar;

use super::*;

use couplet::testing::cpu::Column;
use couplet::testing::cpu::base;

/// Latent rows under a base, and a step over them.
struct Case<'a> {
    what: String,
    bench: &'a Bench,
    plan: &'a Plan,
    values: &'a [f64],
    rows: usize,
    z: TestMatrix,
    builder: Builder<'a>,
    buffers: &'a [wgpu::Buffer],
    step: Step,
}

/// Rows of a split: several splits, and the last one short.
const SPLIT: usize = 48;

/// Every base in a few dimensions on few rows and many.
fn for_each_case(check: impl Fn(&Case)) {
    let bench = Bench::new();
    for kind in Base::ALL {
        for dims in [2, 7, 65] {
            let plan = plan(dims, Transform::Additive, true, kind);
            let count = plan.layout.len();
            let mut values = numbers(count, 1);
            // Small and large variances too.
            for (k, p) in plan.base.raw_spread.clone().enumerate() {
                values[p] = [-9.0, -2.0, 0.0, 1.0, 12.0][k % 5];
            }
            let parameters = bench.parameters(&values);
            for rows in ROWS {
                let z = TestMatrix::new(rows, dims, 5);
                let buffers: Vec<wgpu::Buffer> = (0..=plan.latent())
                    .map(|_| bench.filled(&z.flat()))
                    .collect();
                check(&Case {
                    what: format!("{kind:?}, D {dims}, {rows} rows"),
                    bench: &bench,
                    plan: &plan,
                    values: &widen(&values),
                    rows,
                    builder: bench.builder(&plan, &parameters, &buffers),
                    buffers: &buffers,
                    step: Step {
                        rows: rows as u32,
                        stride: z.stride as u32,
                        rows_per_split: SPLIT as u32,
                        parameters: count as u32,
                        inv_batch_size: 1.0 / rows as f32,
                        seed_low: 9,
                        sample_row_low: u32::MAX - 30,
                        ..Step::default()
                    },
                    z,
                });
            }
        }
    }
}

#[test]
fn base_log_prob() {
    for_each_case(|case| {
        let (bench, z) = (case.bench, &case.z);
        let log_det = TestMatrix::new(case.rows, 1, 6);
        let log_dets = bench.filled(&log_det.flat());
        let log_probs = bench.poisoned(z.stride);
        let dispatch = case.builder.base_log_prob(&log_dets, &log_probs).unwrap();
        bench.run(&dispatch, case.step);
        let expected: Vec<_> = starts(case.rows)
            .map(|first| {
                let mut out = [0.0; BLOCK_ROWS];
                let (z, log_det) = (z.block(first), log_det.block(first)[0]);
                base::log_prob(Scalar, &case.plan.base, case.values, &z, &log_det, &mut out);
                vec![out]
            })
            .collect();
        // A variance of 1e-4 makes log-densities of some thousands.
        let one = TestMatrix::new(case.rows, 1, 0);
        check_columns(&case.what, bench, &log_probs, &one, 0, &expected);
    });
}

#[test]
fn base_backward() {
    for_each_case(|case| {
        let (bench, z, rows) = (case.bench, &case.z, case.rows);
        let (base, what) = (&case.plan.base, &case.what);
        let (count, splits) = (case.values.len(), rows.div_ceil(SPLIT));
        for weights in with_and_without_weights(rows) {
            let what = &format!("{what}, weighted: {}", weights.is_some());
            let gradient = bench.poisoned(z.columns * z.stride);
            let partials = bench.poisoned((splits + 1) * count);
            let stored = weights
                .as_ref()
                .map(|weights| bench.filled(&flat_weights(weights)));
            let builder = case.builder.weighted(stored.as_ref());
            let dispatch = builder.base_backward(&gradient, &partials).unwrap();
            bench.run(&dispatch, case.step);
            let mut expected_parameters = vec![0.0; count];
            let expected: Vec<Vec<Column<f64>>> = starts(rows)
                .map(|first| {
                    let weight = weights_of(weights.as_ref(), first, rows);
                    let weight = weight.map(|weight| -weight / rows as f64);
                    let mut out = vec![[0.0; BLOCK_ROWS]; z.columns];
                    let sums = &mut expected_parameters[base.location.start..base.raw_spread.end];
                    let z = z.block(first);
                    base::backward(Scalar, base, case.values, &z, &weight, &mut out, sums);
                    out
                })
                .collect();
            check_columns(what, bench, &gradient, z, 0, &expected);
            check_filling(what, bench, &gradient, z);
            let got = bench.gpu.read(&partials, (splits + 1) * count).unwrap();
            for (p, &expected) in expected_parameters.iter().enumerate() {
                let at = |split: usize| got[split * count + p];
                if base.location.contains(&p) || base.raw_spread.contains(&p) {
                    let sum = (0..splits).map(|s| f64::from(at(s))).sum::<f64>();
                    close(&format!("{what}: gradient {p}"), sum as f32, expected);
                } else {
                    assert_eq!(at(0).to_bits(), POISON, "{what}: wrote to parameter {p}");
                }
                assert_eq!(at(splits).to_bits(), POISON, "{what}: a split too many");
            }
        }
    });
}

/// Rows across 2^32.
#[test]
fn base_sample() {
    for_each_case(|case| {
        let (bench, z, rows) = (case.bench, &case.z, case.rows);
        bench.run(&case.builder.sample().unwrap(), case.step);
        let latent = &case.buffers[case.plan.latent()];
        let got = bench.gpu.read(latent, z.columns * z.stride).unwrap();
        let first_row = u64::from(case.step.sample_row_low);
        for first in starts(rows) {
            let mut out = vec![[0.0; BLOCK_ROWS]; z.columns];
            let requested =
                first_row + first as u64..first_row + (first + BLOCK_ROWS).min(rows) as u64;
            base::sample(&case.plan.base, case.values, 9, requested, &mut out);
            for (d, column) in out.iter().enumerate() {
                for (lane, &expected) in column.iter().enumerate().take(rows - first) {
                    let value = got[d * z.stride + first + lane];
                    let index = format!("{}: noise {d}, row {}", case.what, first + lane);
                    close(&index, value, expected);
                }
            }
        }
    });
}
