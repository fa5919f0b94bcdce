use pulp::Scalar;

use super::*;

use couplet::flow::{Columns, InputGradient, Linear};
use couplet::testing::cpu::activation::activate;
use couplet::testing::cpu::linear;
use couplet::testing::gpu::kernels::{Form, WeightForm};

const SHAPES: [(usize, usize); 9] = [
    // The parameters of a layer that is conditioned on nothing.
    (0, 5),
    (1, 1),
    (2, 32),
    (32, 2),
    (3, 5),
    (7, 19),
    (63, 64),
    (65, 33),
    (130, 129),
];

/// As polynomials have them: the weight transposed, and no bias.
fn coefficients(op: Linear) -> Linear {
    Linear {
        transposed: true,
        bias: op.weight.end..op.weight.end,
        ..op
    }
}

/// A linear map whose input starts at column 2 of buffer 0, and whose parameters start at 3.
fn linear_op(inputs: usize, outputs: usize, activation: Option<Activation>) -> Linear {
    let weight = 3..3 + inputs * outputs;
    let input = Columns {
        buffer: 0,
        first: 2,
        count: inputs,
    };
    Linear {
        input,
        gradient_target: input,
        output: Columns {
            buffer: 1,
            first: 1,
            count: outputs,
        },
        bias: weight.end..weight.end + outputs,
        weight,
        transposed: false,
        activation,
        saved: match activation {
            Some(activation) if !activation.derivative_from_output() => 2,
            _ => 1,
        },
        input_gradient: Some(InputGradient::Add),
    }
}

fn forms(parameters: usize) -> Vec<Form> {
    let mut forms = vec![Form::Tiled, Form::Narrow];
    if parameters <= couplet::testing::gpu::kernels::UNIFORM_PARAMETERS as usize {
        forms.push(Form::NarrowUniform);
    }
    forms
}

#[test]
fn linear_forward() {
    let bench = Bench::new();
    let plan = plan(2, Transform::Additive, true, Base::ALL[0]);
    let activations: Vec<_> = Activation::ALL
        .map(Some)
        .into_iter()
        .chain([None])
        .collect();
    for (inputs, outputs) in SHAPES {
        // Every activation at every edge of the tiles, and coefficients, which have none.
        let activated = activations.iter();
        let activated = activated.map(|&activation| linear_op(inputs, outputs, activation));
        for op in activated.chain([coefficients(linear_op(inputs, outputs, None))]) {
            let activation = op.activation;
            let values = numbers(op.bias.end, 1);
            let wide = widen(&values);
            for rows in ROWS {
                let input = TestMatrix::new(rows, inputs + 3, 2);
                let output = TestMatrix::new(rows, outputs + 2, 0);
                let (expected, expected_saved): (Vec<_>, Vec<_>) = starts(rows)
                    .map(|first| {
                        let mut out = vec![[0.0; BLOCK_ROWS]; outputs];
                        let mut pre = out.clone();
                        let x = input.block(first);
                        let x = &x[op.input.range()];
                        linear::forward(Scalar, &op, &wide, x, &mut out, None);
                        let plain = Linear {
                            activation: None,
                            ..op.clone()
                        };
                        linear::forward(Scalar, &plain, &wide, x, &mut pre, None);
                        (out, pre)
                    })
                    .unzip();
                for form in forms(values.len()) {
                    let what =
                        format!("{inputs} to {outputs}, {activation:?}, {form:?}, {rows} rows");
                    let parameters = bench.parameters(&values);
                    let size = output.columns * output.stride;
                    let buffers = [
                        bench.filled(&input.flat()),
                        bench.poisoned(size),
                        bench.poisoned(size),
                    ];
                    let builder = bench.builder(&plan, &parameters, &buffers);
                    let dispatch = builder.linear_forward(&op, form).unwrap();
                    let step = Step {
                        rows: rows as u32,
                        stride: input.stride as u32,
                        ..Step::default()
                    };
                    bench.run(&dispatch, step);
                    check_columns(&what, &bench, &buffers[1], &output, 1, &expected);
                    if op.saved == 2 {
                        check_columns(&what, &bench, &buffers[2], &output, 1, &expected_saved);
                    }
                }
            }
        }
    }
}

/// A linear map's backward pass on some rows, and what the CPU makes of it.
struct Backward<'a> {
    bench: &'a Bench,
    builder: Builder<'a>,
    op: &'a Linear,
    step: Step,
    rows: usize,
    /// The gradient of what comes out.
    output_gradient: wgpu::Buffer,
    /// What stands where the gradient of the input goes.
    before: &'a TestMatrix,
    expected_weights: &'a [f64],
    expected_input: &'a [Vec<Column<f64>>],
}

/// Rows of a split: several splits, and the last one short.
const SPLIT: usize = 48;

impl Backward<'_> {
    fn check_weights(&self, what: &str, form: WeightForm) {
        let (op, splits) = (self.op, self.rows.div_ceil(SPLIT));
        let count = (splits + 1) * op.bias.end;
        let partials = self.bench.poisoned(count);
        let dispatch = self
            .builder
            .linear_backward_weights(op, form, &self.output_gradient, &partials)
            .unwrap();
        self.bench.run(&dispatch, self.step);
        let got = self.bench.gpu.read(&partials, count).unwrap();
        for (p, &expected) in self.expected_weights.iter().enumerate() {
            let at = |split: usize| got[split * op.bias.end + p];
            if p < op.weight.start {
                assert_eq!(at(0).to_bits(), POISON, "{what}: wrote before its weights");
            } else {
                let sum = (0..splits).map(|s| f64::from(at(s))).sum::<f64>();
                close(&format!("{what}: gradient {p}"), sum as f32, expected);
            }
            assert_eq!(at(splits).to_bits(), POISON, "{what}: a split too many");
        }
    }

    /// It is added to a state; but a hidden layer's gradient is written, whatever was there.
    fn check_input(&self, what: &str, form: Form) {
        let (op, before) = (self.op, self.before);
        let size = before.columns * before.stride;
        let is_added = op.input_gradient == Some(InputGradient::Add);
        let target = op.gradient_target;
        let gradient = match is_added {
            true => self.bench.filled(&before.flat()),
            false => self.bench.poisoned(size),
        };
        // The derivative is read where the gradient goes: `saved` must lie alike.
        let dispatch = self
            .builder
            .linear_backward_input(op, form, &self.output_gradient, &gradient)
            .unwrap()
            .expect("an input with a gradient");
        self.bench.run(&dispatch, self.step);
        if !is_added {
            return check_columns(what, self.bench, &gradient, before, 2, self.expected_input);
        }
        let got = self.bench.gpu.read(&gradient, size).unwrap();
        for (k, value) in got.into_iter().enumerate() {
            let (column, row) = (k / before.stride, k % before.stride);
            let index = format!("{what}: column {column}, row {row}");
            if !target.range().contains(&column) {
                assert_eq!(value, before.number(column, row), "{index}");
            } else if row < self.rows {
                let block = &self.expected_input[row / BLOCK_ROWS];
                let expected = block[column - target.first][row % BLOCK_ROWS];
                close(&index, value, expected);
            }
        }
    }
}

#[test]
fn linear_backward() {
    let bench = Bench::new();
    let plan = plan(2, Transform::Additive, true, Base::ALL[0]);
    // What the input's own activation saved: the input itself will do.
    let through = Activation::ALL.map(|activation| InputGradient::Through {
        activation,
        saved: 0,
    });
    let ways = [InputGradient::Add, InputGradient::Write]
        .into_iter()
        .chain(through);
    let cases = SHAPES
        .into_iter()
        .flat_map(|shape| ways.clone().map(move |way| (shape, way, shape.0)));
    // Of some maps the first inputs alone need a gradient: the others are context.
    let with_context = SHAPES.map(|shape| (shape, InputGradient::Add, shape.0 / 2));
    for ((inputs, outputs), way, frozen) in cases.chain(with_context) {
        let mut op = linear_op(inputs, outputs, None);
        if way == InputGradient::Write {
            op = coefficients(op);
        }
        op.input_gradient = Some(way);
        op.gradient_target.count = frozen;
        op.gradient_target.first += inputs - frozen;
        let values = numbers(op.bias.end, 1);
        let parameters = bench.parameters(&values);
        for rows in ROWS {
            let input = TestMatrix::new(rows, inputs + 3, 2);
            let gradient = TestMatrix::new(rows, outputs + 2, 3).zero_filled();
            let before = TestMatrix::new(rows, inputs + 3, 4);
            let (expected_weights, expected_input) =
                backward_on_cpu(&op, &values, &input, &gradient, &before, rows);
            let buffers = [bench.filled(&input.flat())];
            let case = Backward {
                bench: &bench,
                builder: bench.builder(&plan, &parameters, &buffers),
                op: &op,
                step: Step {
                    rows: rows as u32,
                    stride: input.stride as u32,
                    rows_per_split: SPLIT as u32,
                    parameters: op.bias.end as u32,
                    ..Step::default()
                },
                rows,
                output_gradient: bench.filled(&gradient.flat()),
                before: &before,
                expected_weights: &expected_weights,
                expected_input: &expected_input,
            };
            let way = op.input_gradient;
            let what = format!("{inputs} to {outputs}, {way:?}, {frozen} frozen, {rows} rows");
            for form in WeightForm::of(inputs, outputs) {
                case.check_weights(&format!("{what}, weights {form:?}"), form);
            }
            let forms = forms(values.len()).into_iter();
            for form in forms.filter(|_| frozen > 0) {
                case.check_input(&format!("{what}, {form:?}"), form);
            }
        }
    }
}

/// The gradients of the weights and, a block of rows after another, of the input.
fn backward_on_cpu(
    op: &Linear,
    values: &[f32],
    input: &TestMatrix,
    gradient: &TestMatrix,
    before: &TestMatrix,
    rows: usize,
) -> (Vec<f64>, Vec<Vec<Column<f64>>>) {
    let wide = widen(values);
    let mut weights = vec![0.0; op.bias.end];
    let inputs = starts(rows).map(|first| {
        let (x, g) = (input.block(first), gradient.block(first));
        let g = &g[op.output.range()];
        let sums = &mut weights[op.weight.start..op.bias.end];
        linear::backward_weights(Scalar, op, &x[op.input.range()], g, sums);
        let mut out = before.block(first)[op.gradient_target.range()].to_vec();
        // What went in is what the kernel saved; the CPU saved the derivative, which follows from it.
        let mut hidden = x[op.input.range()].to_vec();
        let mut derivatives = hidden.clone();
        if let Some(InputGradient::Through { activation, .. }) = op.input_gradient
            && !activation.derivative_from_output()
        {
            activate(Scalar, activation, &mut hidden, Some(&mut derivatives));
        }
        let way = op.input_gradient.unwrap().map(|_| linear::Hidden {
            output: &hidden,
            saved: &derivatives,
        });
        linear::backward_input(Scalar, op, &wide, g, &mut out, way);
        out
    });
    let inputs = inputs.collect();
    (weights, inputs)
}

/// A NaN among the inputs is a NaN behind every activation, on the CPU and in the kernels, and in no other row: what is
/// clamped or cut must not turn a fault into a number.
#[test]
fn activations_let_a_fault_through() {
    let bench = Bench::new();
    let plan = plan(2, Transform::Additive, true, Base::ALL[0]);
    let (inputs, outputs, rows, wrong) = (5, 3, 61, 17);
    for activation in Activation::ALL {
        let op = linear_op(inputs, outputs, Some(activation));
        let values = numbers(op.bias.end, 1);
        let input = TestMatrix::new(rows, inputs + 3, 2);
        let mut flat = input.flat();
        flat[op.input.first * input.stride + wrong] = f32::NAN;
        let mut block = input.block(0);
        block[op.input.first][wrong] = f64::NAN;
        let mut out = vec![[0.0; BLOCK_ROWS]; outputs];
        let wide = widen(&values);
        linear::forward(Scalar, &op, &wide, &block[op.input.range()], &mut out, None);
        let narrow: Vec<Column<f32>> = block[op.input.range()]
            .iter()
            .map(|column| column.map(|x| x as f32))
            .collect();
        let mut out32 = vec![[0.0f32; BLOCK_ROWS]; outputs];
        linear::forward(Scalar, &op, &values, &narrow, &mut out32, None);
        for o in 0..outputs {
            for row in 0..rows {
                assert_eq!(out[o][row].is_nan(), row == wrong, "{activation:?} in f64");
                assert_eq!(
                    out32[o][row].is_nan(),
                    row == wrong,
                    "{activation:?} in f32"
                );
            }
        }
        for form in forms(values.len()) {
            let parameters = bench.parameters(&values);
            let size = (outputs + 2) * input.stride;
            let buffers = [
                bench.filled(&flat),
                bench.poisoned(size),
                bench.poisoned(size),
            ];
            let builder = bench.builder(&plan, &parameters, &buffers);
            let step = Step {
                rows: rows as u32,
                stride: input.stride as u32,
                ..Step::default()
            };
            bench.run(&builder.linear_forward(&op, form).unwrap(), step);
            let got = bench.gpu.read(&buffers[1], size).unwrap();
            for o in 0..outputs {
                for row in 0..rows {
                    let value = got[(op.output.first + o) * input.stride + row];
                    assert_eq!(
                        value.is_nan(),
                        row == wrong,
                        "{activation:?}, {form:?}, {row}: {value}"
                    );
                }
            }
        }
    }
}
