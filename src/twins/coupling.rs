use pulp::Scalar;

use super::*;

use crate::cpu::coupling;
use crate::flow::{Columns, Coupling, Op};

fn coupling_of(plan: &Plan, layer: usize) -> &Coupling {
    plan.forward
        .iter()
        .filter_map(|op| match op {
            Op::Coupling(op) => Some(op),
            _ => None,
        })
        .nth(layer)
        .expect("a coupling a layer")
}

#[test]
fn coupling_forward_inverse_and_backward() {
    let bench = Bench::new();
    let bounded = Transform::Affine { scale_bound: 1.5 };
    let free = Transform::Affine { scale_bound: 0.0 };
    for (transform, separate) in [
        (free, true),
        (bounded, false),
        (bounded, true),
        (Transform::Additive, true),
    ] {
        for (dims, layer) in [(2, 0), (5, 0), (5, 1), (31, 1)] {
            let plan = plan(dims, transform, separate, Base::ALL[0]);
            let op = coupling_of(&plan, layer);
            let inverse_op = plan.inverse.iter().find_map(|inverse| match inverse {
                Op::Coupling(inverse) if inverse.layer == layer => Some(inverse),
                _ => None,
            });
            let inverse_op = inverse_op.expect("each layer has an inverse");
            for rows in ROWS {
                let what = format!(
                    "{transform:?}, separate {separate}, D {dims}, layer {layer}, {rows} rows"
                );
                let lanes: Vec<Lanes> = plan
                    .widths
                    .iter()
                    .enumerate()
                    .map(|(k, &width)| Lanes::new(rows, width, 10 + k as u64))
                    .collect();
                let filled = |except: usize| -> Vec<wgpu::Buffer> {
                    lanes
                        .iter()
                        .enumerate()
                        .map(|(k, lanes)| {
                            if k == except {
                                bench.poisoned(lanes.columns * lanes.stride)
                            } else {
                                bench.filled(&lanes.flat())
                            }
                        })
                        .collect()
                };
                let parameters = bench.parameters(&[0.0]);
                let builder = |buffers| bench.builder(&plan, &parameters, buffers);
                let step = Step {
                    rows: rows as u32,
                    stride: lanes[0].stride as u32,
                    share: 1.0 / rows as f32,
                    ..Step::default()
                };
                let columns =
                    |c: Columns, first: usize| lanes[c.buffer].block(first)[c.range()].to_vec();

                // Forward adds to the log-determinant that is there.
                let gains = Lanes::new(rows, 1, 77);
                let (expected, expected_gains): (Vec<_>, Vec<_>) = starts(rows)
                    .map(|first| {
                        let mut z = vec![[0.0; LANES]; dims];
                        let mut log_det = gains.block(first)[0];
                        coupling::forward(
                            Scalar,
                            op,
                            &lanes[op.input].block(first),
                            op.log_scale.map(|s| columns(s, first)).as_deref(),
                            &columns(op.shift, first),
                            &mut z,
                            &mut log_det,
                        );
                        (z, vec![log_det])
                    })
                    .unzip();
                let buffers = filled(op.output);
                let log_det = bench.filled(&gains.flat());
                bench.run(
                    &builder(&buffers).coupling_forward(op, &log_det).unwrap(),
                    step,
                );
                check_columns(
                    &what,
                    &bench,
                    &buffers[op.output],
                    &lanes[op.output],
                    0,
                    &expected,
                );
                let got = bench.gpu.read(&log_det, rows).unwrap();
                for (row, &value) in got.iter().enumerate() {
                    let expected: &Vec<Column<f64>> = &expected_gains[row / LANES];
                    close(
                        &format!("{what}: log-det of row {row}"),
                        value,
                        expected[0][row % LANES],
                    );
                }

                let expected: Vec<_> = starts(rows)
                    .map(|first| {
                        let mut x = vec![[0.0; LANES]; dims];
                        coupling::inverse(
                            Scalar,
                            inverse_op,
                            &lanes[inverse_op.input].block(first),
                            inverse_op.log_scale.map(|s| columns(s, first)).as_deref(),
                            &columns(inverse_op.shift, first),
                            &mut x,
                        );
                        x
                    })
                    .collect();
                let out = inverse_op.output;
                let buffers = filled(out);
                bench.run(
                    &builder(&buffers).coupling_inverse(inverse_op).unwrap(),
                    step,
                );
                check_columns(&what, &bench, &buffers[out], &lanes[out], 0, &expected);

                // Backward.
                let z_gradient = Lanes::new(rows, dims, 50).zero_filled();
                let share = [-1.0 / rows as f64; LANES];
                let mut expected = Vec::new();
                let (mut expected_scale, mut expected_shift) = (Vec::new(), Vec::new());
                for first in starts(rows) {
                    let active = op.active.len();
                    let mut x = vec![[0.0; LANES]; dims];
                    let (mut scale, mut shift) =
                        (vec![[0.0; LANES]; active], vec![[0.0; LANES]; active]);
                    coupling::backward(
                        Scalar,
                        op,
                        &lanes[op.input].block(first),
                        op.log_scale.map(|s| columns(s, first)).as_deref(),
                        &z_gradient.block(first),
                        &share,
                        &mut x,
                        Some(&mut scale),
                        &mut shift,
                    );
                    expected.push(x);
                    expected_scale.push(scale);
                    expected_shift.push(shift);
                }
                let buffers = filled(usize::MAX);
                let gradients: Vec<wgpu::Buffer> = plan
                    .gradient_widths
                    .iter()
                    .enumerate()
                    .map(|(slot, width)| {
                        if slot == plan.gradient_slots[op.output] {
                            bench.filled(&z_gradient.flat())
                        } else {
                            bench.poisoned(width * z_gradient.stride)
                        }
                    })
                    .collect();
                let gradient_of = |buffer: usize| &gradients[plan.gradient_slots[buffer]];
                let dispatch = builder(&buffers)
                    .coupling_backward(op, &gradient_of)
                    .unwrap();
                bench.run(&dispatch, step);
                let x_lanes = Lanes::new(rows, dims, 0);
                check_columns(&what, &bench, gradient_of(op.input), &x_lanes, 0, &expected);
                let mut heads = expected_shift;
                let head_lanes = Lanes::new(rows, plan.widths[op.shift.buffer], 0);
                if let Some(s) = op.log_scale {
                    if s.buffer == op.shift.buffer {
                        // One buffer: s, then t.
                        for (both, scale) in heads.iter_mut().zip(expected_scale) {
                            both.splice(0..0, scale);
                        }
                    } else {
                        let buffer = gradient_of(s.buffer);
                        check_columns(&what, &bench, buffer, &head_lanes, 0, &expected_scale);
                    }
                }
                check_columns(
                    &what,
                    &bench,
                    gradient_of(op.shift.buffer),
                    &head_lanes,
                    0,
                    &heads,
                );
                for buffer in op.log_scale.iter().chain([&op.shift]).map(|c| c.buffer) {
                    check_filling(&what, &bench, gradient_of(buffer), &head_lanes);
                }
                check_filling(&what, &bench, gradient_of(op.input), &x_lanes);
            }
        }
    }
}
