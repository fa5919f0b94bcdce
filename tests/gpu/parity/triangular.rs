use pulp::Scalar;

use super::*;

use couplet::flow::{Op, Triangular};
use couplet::testing::cpu::triangular;

/// The triangular maps of a flow's mixing, upper and lower.
fn maps(ops: &[Op]) -> Vec<&Triangular> {
    let maps = ops.iter().filter_map(|op| match op {
        Op::Triangular(op) => Some(op),
        _ => None,
    });
    maps.collect()
}

/// A triangular map of a plan, with parameters and rows.
struct Case<'a> {
    bench: &'a Bench,
    what: String,
    plan: &'a Plan,
    rows: usize,
    parameters: Vec<f32>,
    step: Step,
}

impl Case<'_> {
    fn state(&self, seed: u64) -> TestMatrix {
        TestMatrix::new(self.rows, self.plan.dims(), seed)
    }

    /// The plan's buffers: those of `filled` with rows, all others with poison.
    fn buffers(&self, filled: usize, lanes: &TestMatrix) -> Vec<wgpu::Buffer> {
        let widths = self.plan.widths.iter().enumerate();
        widths
            .map(|(k, width)| match k == filled {
                true => self.bench.filled(&lanes.flat()),
                false => self.bench.poisoned(width * lanes.stride),
            })
            .collect()
    }

    fn check(&self, buffer: &wgpu::Buffer, expected: &[Vec<Column<f64>>]) {
        check_columns(&self.what, self.bench, buffer, &self.state(0), 0, expected);
    }

    fn forward(&self, op: &Triangular) {
        let (x, gains) = (self.state(1), TestMatrix::new(self.rows, 1, 77));
        let wide = widen(&self.parameters);
        let (expected, expected_gains): (Vec<_>, Vec<_>) = starts(self.rows)
            .map(|first| {
                let mut y = vec![[0.0; BLOCK_ROWS]; self.plan.dims()];
                let mut log_det = gains.block(first)[0];
                let x = x.block(first);
                triangular::forward(Scalar, op, &wide, &x, &mut y, &mut log_det);
                (y, log_det)
            })
            .unzip();
        let parameters = self.bench.parameters(&self.parameters);
        let buffers = self.buffers(op.input, &x);
        let log_det = self.bench.filled(&gains.flat());
        let builder = self.bench.builder(self.plan, &parameters, &buffers);
        let dispatch = builder.triangular_forward(op, &log_det).unwrap();
        self.bench.run(&dispatch, self.step);
        self.check(&buffers[op.output], &expected);
        let got = self.bench.gpu.read(&log_det, self.rows).unwrap();
        for (row, &value) in got.iter().enumerate() {
            let what = format!("{}: log-det of row {row}", self.what);
            close(
                &what,
                value,
                expected_gains[row / BLOCK_ROWS][row % BLOCK_ROWS],
            );
        }
    }

    fn inverse(&self, op: &Triangular) {
        let y = self.state(2);
        let wide = widen(&self.parameters);
        let expected: Vec<_> = starts(self.rows)
            .map(|first| {
                let mut x = vec![[0.0; BLOCK_ROWS]; self.plan.dims()];
                triangular::inverse(Scalar, op, &wide, &y.block(first), &mut x);
                x
            })
            .collect();
        let parameters = self.bench.parameters(&self.parameters);
        let buffers = self.buffers(op.input, &y);
        let builder = self.bench.builder(self.plan, &parameters, &buffers);
        self.bench
            .run(&builder.triangular_inverse(op).unwrap(), self.step);
        self.check(&buffers[op.output], &expected);
    }

    fn backward(&self, op: &Triangular, weights: Option<&TestMatrix>) {
        let (plan, count) = (self.plan, self.parameters.len());
        let x = self.state(3);
        let y_gradient = self.state(4).zero_filled();
        let wide = widen(&self.parameters);
        let own = op.matrix.start..op.matrix.end + op.log_diagonal.len();
        let mut expected_parameters = vec![0.0; count];
        let expected: Vec<_> = starts(self.rows)
            .map(|first| {
                let weight = weights_of(weights, first, self.rows);
                let weight = weight.map(|weight| -weight / self.rows as f64);
                let gradient = y_gradient.block(first);
                let mut out = vec![[0.0; BLOCK_ROWS]; plan.dims()];
                triangular::backward_input(Scalar, op, &wide, &gradient, &mut out);
                let sums = &mut expected_parameters[own.clone()];
                let x = x.block(first);
                triangular::backward_weights(Scalar, op, &wide, &x, &gradient, &weight, sums);
                out
            })
            .collect();
        let parameters = self.bench.parameters(&self.parameters);
        let buffers = self.buffers(op.input, &x);
        let splits = self.rows.div_ceil(self.step.rows_per_split as usize);
        let gradient = self.bench.filled(&y_gradient.flat());
        let x_gradient = self.bench.poisoned(x.columns * x.stride);
        let partials = self.bench.poisoned((splits + 1) * count);
        let stored = weights.map(|weights| self.bench.filled(&flat_weights(weights)));
        let builder = self.bench.builder(plan, &parameters, &buffers);
        let builder = builder.weighted(stored.as_ref());
        let dispatches = builder.triangular_backward(op, &gradient, &x_gradient, &partials);
        for dispatch in dispatches.unwrap() {
            self.bench.run(&dispatch, self.step);
        }
        self.check(&x_gradient, &expected);
        check_filling(&self.what, self.bench, &x_gradient, &x);
        let got = self
            .bench
            .gpu
            .read(&partials, (splits + 1) * count)
            .unwrap();
        for (p, &expected) in expected_parameters.iter().enumerate() {
            let at = |split: usize| got[split * count + p];
            let what = format!("{}: gradient {p}", self.what);
            if own.contains(&p) {
                let sum: f64 = (0..splits).map(|split| f64::from(at(split))).sum();
                close_within(&what, sum as f32, expected, (self.rows as f64).sqrt());
            } else {
                assert_eq!(at(0).to_bits(), POISON, "{what}: written");
            }
            assert_eq!(at(splits).to_bits(), POISON, "{what}: a split too many");
        }
    }
}

#[test]
fn triangular_forward_inverse_and_backward() {
    let bench = Bench::new();
    for dims in [2, 5, 33] {
        let plan = Plan::new(&FlowSpec {
            mixing: Mixing::Lu,
            ..plan(dims, Transform::Additive, true, Base::ALL[0]).spec
        });
        let plan = plan.unwrap();
        for rows in ROWS {
            let case = Case {
                bench: &bench,
                what: format!("D {dims}, {rows} rows"),
                plan: &plan,
                rows,
                // What lies outside the triangles is not zero, and must count for nothing.
                parameters: numbers(plan.layout.len(), 5)
                    .into_iter()
                    .map(|number| number / (dims as f32).sqrt())
                    .collect(),
                step: Step {
                    rows: rows as u32,
                    stride: TestMatrix::new(rows, 1, 0).stride as u32,
                    rows_per_split: 48,
                    parameters: plan.layout.len() as u32,
                    inv_batch_size: 1.0 / rows as f32,
                    ..Step::default()
                },
            };
            for op in maps(&plan.forward) {
                case.forward(op);
                for weights in with_and_without_weights(rows) {
                    case.backward(op, weights.as_ref());
                }
            }
            for op in maps(&plan.inverse) {
                case.inverse(op);
            }
        }
    }
}
