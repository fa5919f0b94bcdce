use pulp::Scalar;

use super::*;

use couplet::flow::{Columns, Coupling, Op, TransformKind};
use couplet::testing::cpu::coupling;

use crate::common::flows;

/// A coupling of a plan, with numbers in all buffers.
struct Case<'a> {
    bench: &'a Bench,
    what: String,
    plan: &'a Plan,
    rows: usize,
    /// The numbers in each of the plan's buffers.
    lanes: Vec<TestMatrix>,
    step: Step,
    tolerance: f64,
}

fn coupling_of(ops: &[Op], layer: usize) -> &Coupling {
    let mut couplings = ops.iter().filter_map(|op| match op {
        Op::Coupling(op) if op.layer == layer => Some(op),
        _ => None,
    });
    couplings.next().expect("a coupling in each layer")
}

impl<'a> Case<'a> {
    fn new(bench: &'a Bench, what: String, plan: &'a Plan, rows: usize) -> Self {
        let widths = plan.widths.iter().enumerate();
        let lanes: Vec<TestMatrix> = widths
            .map(|(k, &width)| TestMatrix::new(rows, width, 10 + k as u64))
            .collect();
        let step = Step {
            rows: rows as u32,
            stride: lanes[0].stride as u32,
            inv_batch_size: 1.0 / rows as f32,
            ..Step::default()
        };
        Case {
            bench,
            what,
            plan,
            rows,
            lanes,
            step,
            tolerance: match plan.spec.transform {
                // A place in a bin a hundredth wide has two digits less than the number.
                Transform::Spline { .. } => 100.0 * TOLERANCE,
                _ => TOLERANCE,
            },
        }
    }

    /// The plan's buffers with their numbers, and poison in one.
    fn buffers(&self, poisoned: Option<usize>) -> Vec<wgpu::Buffer> {
        let lanes = self.lanes.iter().enumerate();
        lanes
            .map(|(k, lanes)| match Some(k) == poisoned {
                true => self.bench.poisoned(lanes.columns * lanes.stride),
                false => self.bench.filled(&lanes.flat()),
            })
            .collect()
    }

    fn state(&self, buffer: usize, first: usize) -> Vec<Column<f64>> {
        self.lanes[buffer].block(first)
    }

    /// What the coupling reads of its heads.
    fn heads(&self, op: &Coupling, first: usize) -> [Vec<Column<f64>>; 2] {
        [0, 1].map(|head| match op.heads.get(head) {
            Some(&Columns { buffer, .. }) => self.state(buffer, first),
            None => Vec::new(),
        })
    }

    fn forward(&self, op: &Coupling) {
        // It adds to the log-determinant that is there.
        let gains = TestMatrix::new(self.rows, 1, 77);
        let (expected, expected_gains): (Vec<_>, Vec<_>) = starts(self.rows)
            .map(|first| {
                let mut z = vec![[0.0; BLOCK_ROWS]; self.plan.dims()];
                let mut log_det = gains.block(first)[0];
                let heads = self.heads(op, first);
                let [a, b] = &heads;
                let x = self.state(op.input, first);
                coupling::forward(Scalar, op, &x, [a, b], &mut z, &mut log_det);
                (z, log_det)
            })
            .unzip();
        let parameters = self.bench.parameters(&[0.0]);
        let buffers = self.buffers(Some(op.output));
        let log_det = self.bench.filled(&gains.flat());
        let builder = self.bench.builder(self.plan, &parameters, &buffers);
        let dispatch = builder.coupling_forward(op, &log_det).unwrap();
        self.bench.run(&dispatch, self.step);
        self.check(&buffers[op.output], &self.lanes[op.output], &expected);
        let got = self.bench.gpu.read(&log_det, self.rows).unwrap();
        for (row, &value) in got.iter().enumerate() {
            let what = format!("{}: log-det of row {row}", self.what);
            let expected = expected_gains[row / BLOCK_ROWS][row % BLOCK_ROWS];
            close_by(&what, value, expected, [self.tolerance; 2]);
        }
    }

    fn inverse(&self, op: &Coupling) {
        let expected: Vec<_> = starts(self.rows)
            .map(|first| {
                let mut x = vec![[0.0; BLOCK_ROWS]; self.plan.dims()];
                let heads = self.heads(op, first);
                let [a, b] = &heads;
                coupling::inverse(Scalar, op, &self.state(op.input, first), [a, b], &mut x);
                x
            })
            .collect();
        let parameters = self.bench.parameters(&[0.0]);
        let buffers = self.buffers(Some(op.output));
        let builder = self.bench.builder(self.plan, &parameters, &buffers);
        let dispatch = builder.coupling_inverse(op).unwrap();
        self.bench.run(&dispatch, self.step);
        self.check(&buffers[op.output], &self.lanes[op.output], &expected);
    }

    fn backward(&self, op: &Coupling, weights: Option<&TestMatrix>) {
        let (plan, rows) = (self.plan, self.rows);
        let z_gradient = TestMatrix::new(rows, plan.dims(), 50).zero_filled();
        let mut expected = Vec::new();
        let mut expected_heads = [Vec::new(), Vec::new()];
        for first in starts(rows) {
            let mut x = vec![[0.0; BLOCK_ROWS]; plan.dims()];
            let weight = weights_of(weights, first, rows).map(|weight| -weight / rows as f64);
            let heads = self.heads(op, first);
            let mut gradients = heads
                .clone()
                .map(|columns| vec![[0.0; BLOCK_ROWS]; columns.len()]);
            let ([a, b], [a_gradient, b_gradient]) = (&heads, &mut gradients);
            coupling::backward(
                Scalar,
                op,
                &self.state(op.input, first),
                [a, b],
                &z_gradient.block(first),
                &weight,
                &mut x,
                [a_gradient, b_gradient],
            );
            expected.push(x);
            for (expected, gradient) in expected_heads.iter_mut().zip(gradients) {
                expected.push(gradient);
            }
        }
        let parameters = self.bench.parameters(&[0.0]);
        let buffers = self.buffers(None);
        let widths = plan.gradient_widths.iter().enumerate();
        let gradients: Vec<wgpu::Buffer> = widths
            .map(
                |(slot, width)| match slot == plan.gradient_slots[op.output] {
                    true => self.bench.filled(&z_gradient.flat()),
                    false => self.bench.poisoned(width * z_gradient.stride),
                },
            )
            .collect();
        let gradient_of = |buffer: usize| &gradients[plan.gradient_slots[buffer]];
        let stored = weights.map(|weights| self.bench.filled(&flat_weights(weights)));
        let builder = self.bench.builder(plan, &parameters, &buffers);
        let builder = builder.weighted(stored.as_ref());
        let dispatch = builder.coupling_backward(op, &gradient_of).unwrap();
        self.bench.run(&dispatch, self.step);
        let x_lanes = TestMatrix::new(rows, plan.dims(), 0);
        self.check(gradient_of(op.input), &x_lanes, &expected);
        check_filling(&self.what, self.bench, gradient_of(op.input), &x_lanes);
        for (head, expected) in op.heads.iter().zip(&expected_heads) {
            let lanes = TestMatrix::new(rows, plan.widths[head.buffer], 0);
            self.check(gradient_of(head.buffer), &lanes, expected);
            check_filling(&self.what, self.bench, gradient_of(head.buffer), &lanes);
        }
    }

    fn check(&self, buffer: &wgpu::Buffer, lanes: &TestMatrix, expected: &[Vec<Column<f64>>]) {
        let tolerance = self.tolerance;
        check_columns_by(
            &self.what, self.bench, buffer, lanes, 0, expected, tolerance,
        );
    }
}

#[test]
fn coupling_forward_inverse_and_backward() {
    let bench = Bench::new();
    // Each transform of the common flows, and the affine one with a network for each of its parameters, too.
    let mut transforms: Vec<(Transform, bool)> = Vec::new();
    for (_, spec) in flows() {
        let separate = matches!(spec.transform, Transform::Affine { .. });
        for case in [(spec.transform, false), (spec.transform, separate)] {
            if !transforms.contains(&case) {
                transforms.push(case);
            }
        }
    }
    for kind in TransformKind::ALL {
        let mut all = transforms.iter();
        assert!(
            all.any(|(transform, _)| transform.kind() == *kind),
            "flows() lacks {kind:?}"
        );
    }
    for (transform, separate) in transforms {
        for (dims, layer) in [(2, 0), (5, 0), (5, 1), (31, 1)] {
            let plan = plan(dims, transform, separate, Base::ALL[0]);
            for rows in ROWS {
                let what = format!(
                    "{transform:?}, separate {separate}, D {dims}, layer {layer}, {rows} rows"
                );
                let case = Case::new(&bench, what, &plan, rows);
                case.forward(coupling_of(&plan.forward, layer));
                case.inverse(coupling_of(&plan.inverse, layer));
                for weights in with_and_without_weights(rows) {
                    case.backward(coupling_of(&plan.forward, layer), weights.as_ref());
                }
            }
        }
    }
}
