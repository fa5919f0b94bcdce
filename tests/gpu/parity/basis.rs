use pulp::Scalar;

use super::*;

use couplet::flow::{Basis, Columns, Family, InputGradient, terms};
use couplet::testing::cpu::basis;

#[test]
fn basis_forward_and_backward() {
    let bench = Bench::new();
    let plan = plan(2, Transform::Additive, true, Base::ALL[0]);
    let parameters = bench.parameters(&[0.0]);
    // Columns, degree, total degree, bound.
    let cases = [
        (1, 0, 0, 0.0),
        (1, 8, 8, 1.0),
        (3, 3, 3, 0.0),
        (2, 2, 4, 2.0),
        (5, 4, 4, 1.0),
    ];
    for family in [Family::Hermite, Family::Legendre] {
        // All inputs need a gradient, or the first alone: the others are context.
        let cases = cases.iter().flat_map(|&case| [(case, case.0), (case, 1)]);
        for ((dims, degree, total_degree, input_bound), frozen) in cases {
            let terms = terms(dims, degree, total_degree);
            let op = Basis {
                input: Columns {
                    buffer: 0,
                    first: 1,
                    count: dims,
                },
                output: Columns {
                    buffer: 1,
                    first: 0,
                    count: terms.len(),
                },
                family,
                terms,
                input_bound,
                input_gradient: Some(InputGradient::Add),
                gradient_target: Columns {
                    buffer: 0,
                    first: 1 + dims - frozen,
                    count: frozen,
                },
            };
            for rows in ROWS {
                let what = format!(
                    "{family:?} of {dims} columns to {degree}, total {total_degree}, bound {input_bound}, {frozen} frozen, {rows} rows"
                );
                let input = TestMatrix::new(rows, dims + 2, 3);
                let output = TestMatrix::new(rows, op.terms.len(), 4).zero_filled();
                let before = TestMatrix::new(rows, dims + 2, 5);
                let buffers = [
                    bench.filled(&input.flat()),
                    bench.poisoned(output.columns * output.stride),
                ];
                let builder = bench.builder(&plan, &parameters, &buffers);
                let step = Step {
                    rows: rows as u32,
                    stride: input.stride as u32,
                    ..Step::default()
                };
                bench.run(&builder.basis_forward(&op).unwrap(), step);
                let expected: Vec<_> = starts(rows)
                    .map(|first| {
                        let mut out = vec![[0.0; BLOCK_ROWS]; op.terms.len()];
                        basis::forward(
                            Scalar,
                            &op,
                            &input.block(first)[op.input.range()],
                            &mut out,
                        );
                        out
                    })
                    .collect();
                check_columns(&what, &bench, &buffers[1], &output, 0, &expected);

                let gradient = bench.filled(&output.flat());
                let input_gradient = bench.filled(&before.flat());
                let dispatch = builder.basis_backward(&op, &gradient, &input_gradient);
                bench.run(&dispatch.unwrap().expect("wanted"), step);
                let size = before.columns * before.stride;
                let got = bench.gpu.read(&input_gradient, size).unwrap();
                for first in starts(rows) {
                    let mut expected = before.block(first);
                    basis::backward(
                        Scalar,
                        &op,
                        &input.block(first)[op.input.range()],
                        &output.block(first),
                        &mut expected[op.gradient_target.range()],
                    );
                    for (column, expected) in expected.iter().enumerate() {
                        for lane in 0..BLOCK_ROWS.min(rows - first) {
                            let value = got[column * before.stride + first + lane];
                            let what = format!("{what}: column {column}, row {}", first + lane);
                            // A hundred products of four polynomials, up to 3 each, and their derivatives.
                            close_within(&what, value, expected[lane], 10.0);
                        }
                    }
                }
            }
        }
    }
}
