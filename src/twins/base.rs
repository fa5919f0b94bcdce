use pulp::Scalar;

use super::*;

use crate::cpu::base;

#[test]
fn base_log_prob_backward_and_sample() {
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
            let wide = widen(&values);
            let parameters = bench.parameters(&values);
            for rows in ROWS {
                let what = format!("{kind:?}, D {dims}, {rows} rows");
                let z = Lanes::new(rows, dims, 5);
                let log_det = Lanes::new(rows, 1, 6);
                let size = dims * z.stride;
                let buffers: Vec<wgpu::Buffer> = (0..=plan.latent())
                    .map(|_| bench.filled(&z.flat()))
                    .collect();
                let builder = bench.builder(&plan, &parameters, &buffers);
                let step = Step {
                    rows: rows as u32,
                    stride: z.stride as u32,
                    rows_per_split: 48,
                    parameters: count as u32,
                    share: 1.0 / rows as f32,
                    seed_low: 9,
                    sample_row_low: u32::MAX - 30,
                    ..Step::default()
                };
                let log_dets = bench.filled(&log_det.flat());
                let log_probs = bench.poisoned(z.stride);
                bench.run(&builder.base_log_prob(&log_dets, &log_probs).unwrap(), step);
                let expected: Vec<_> = starts(rows)
                    .map(|first| {
                        let mut out = [0.0; LANES];
                        let log_det = log_det.block(first)[0];
                        base::log_prob(
                            Scalar,
                            &plan.base,
                            &wide,
                            &z.block(first),
                            &log_det,
                            &mut out,
                        );
                        vec![out]
                    })
                    .collect();
                // A variance of 1e-4 makes log-densities of some thousands.
                let one = Lanes::new(rows, 1, 0);
                check_columns(&what, &bench, &log_probs, &one, 0, &expected);

                let splits = rows.div_ceil(48);
                let (z_gradient, partials) =
                    (bench.poisoned(size), bench.poisoned((splits + 1) * count));
                bench.run(
                    &builder.base_backward(&z_gradient, &partials).unwrap(),
                    step,
                );
                let mut expected_parameters = vec![0.0; count];
                let expected: Vec<_> = starts(rows)
                    .map(|first| {
                        let mut share = [0.0; LANES];
                        share[..LANES.min(rows - first)].fill(-1.0 / rows as f64);
                        let mut out = vec![[0.0; LANES]; dims];
                        let z = z.block(first);
                        let of_base = plan.base.location.start..plan.base.raw_spread.end;
                        base::backward(
                            Scalar,
                            &plan.base,
                            &wide,
                            &z,
                            &share,
                            &mut out,
                            &mut expected_parameters[of_base],
                        );
                        out
                    })
                    .collect();
                check_columns(&what, &bench, &z_gradient, &z, 0, &expected);
                check_filling(&what, &bench, &z_gradient, &z);
                let got = bench.gpu.read(&partials, (splits + 1) * count).unwrap();
                for (p, &expected) in expected_parameters.iter().enumerate() {
                    let at = |split: usize| got[split * count + p];
                    if plan.base.location.contains(&p) || plan.base.raw_spread.contains(&p) {
                        let sum = (0..splits).map(|s| f64::from(at(s))).sum::<f64>();
                        close(&format!("{what}: gradient {p}"), sum as f32, expected);
                    } else {
                        assert_eq!(at(0).to_bits(), POISON, "{what}: wrote to parameter {p}");
                    }
                    assert_eq!(at(splits).to_bits(), POISON, "{what}: a split too many");
                }

                // Rows across 2^32.
                bench.run(&builder.sample().unwrap(), step);
                let got = bench.gpu.read(&buffers[plan.latent()], size).unwrap();
                let first_row = u64::from(step.sample_row_low);
                for first in starts(rows) {
                    let mut out = vec![[0.0; LANES]; dims];
                    let wanted =
                        first_row + first as u64..first_row + (first + LANES).min(rows) as u64;
                    base::sample(&plan.base, &wide, 9, wanted, &mut out);
                    for d in 0..dims {
                        for lane in 0..LANES.min(rows - first) {
                            let value = got[d * z.stride + first + lane];
                            close(
                                &format!("{what}: noise {d}, row {}", first + lane),
                                value,
                                out[d][lane],
                            );
                        }
                    }
                }
            }
        }
    }
}
