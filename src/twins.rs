//! Rung 3: each kernel alone against its CPU twin in f64. Every buffer is poisoned first, and whatever a kernel should
//! not write must still be poison afterwards. Sizes are 1, a prime, and each side of a tile.

use crate::cpu::block::{Column, LANES};
use crate::cpu::{adamw, base, coupling, linear};
use crate::executor::{AdamW, Batches};
use crate::flow::{
    Activation, Base, Columns, Conditioner, Coupling, FlowSpec, InputGradient, Linear, Op, Plan,
    Transform,
};
use crate::gpu::kernels::{Form, Segment, Step};
use crate::gpu::pipelines::Pipelines;
use crate::gpu::program::{Builder, Data, Dispatch, Optimizer, Program, Sizes};
use crate::gpu::{Gpu, adapters};
use crate::matrix::Matrix;
use crate::random::{Purpose, normal_at};

const ROWS: [usize; 7] = [1, 61, 63, 64, 65, 256, 257];
/// A NaN with a payload, as bits: what was never written.
const POISON: u32 = 0x7FC0_DEAD;

/// A device and its kernels.
struct Bench {
    gpu: Gpu,
    pipelines: Pipelines,
}

impl Bench {
    fn new() -> Self {
        let adapter = adapters()
            .into_iter()
            .next()
            .expect("the kernel tests need a GPU adapter; scripts/test installs one");
        let gpu = Gpu::open(&adapter, wgpu::Limits::default()).unwrap();
        let pipelines = Pipelines::new(&gpu);
        Bench { gpu, pipelines }
    }

    fn poisoned(&self, numbers: usize) -> wgpu::Buffer {
        let buffer = self.gpu.buffer("poisoned", numbers);
        let bits = vec![POISON; numbers];
        self.gpu
            .queue
            .write_buffer(&buffer, 0, bytemuck::cast_slice(&bits));
        buffer
    }

    fn filled(&self, numbers: &[f32]) -> wgpu::Buffer {
        let buffer = self.gpu.buffer("filled", numbers.len());
        self.gpu
            .queue
            .write_buffer(&buffer, 0, bytemuck::cast_slice(numbers));
        buffer
    }

    fn parameters(&self, numbers: &[f32]) -> wgpu::Buffer {
        let buffer = self.gpu.parameters(numbers.len());
        self.gpu
            .queue
            .write_buffer(&buffer, 0, bytemuck::cast_slice(numbers));
        buffer
    }

    /// Runs one dispatch with a step record.
    fn run(&self, dispatch: &Dispatch, step: Step) {
        let record = self.gpu.uniform("step", &step);
        let bindings = self
            .gpu
            .device
            .create_bind_group(&wgpu::BindGroupDescriptor {
                label: None,
                layout: &self.pipelines.step,
                entries: &[wgpu::BindGroupEntry {
                    binding: 0,
                    resource: record.as_entire_binding(),
                }],
            });
        let mut encoder = self.gpu.encoder();
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_bind_group(0, &bindings, &[0]);
            dispatch.record(&mut pass, &step);
        }
        self.gpu.run(encoder).unwrap();
    }
}

/// Some columns of numbers, as a buffer of `stride` rows a column holds them. Rows beyond the last repeat it.
struct Lanes {
    rows: usize,
    stride: usize,
    columns: usize,
    seed: u64,
    /// What the rows beyond the last hold: the last row again, or zero.
    repeats: bool,
}

impl Lanes {
    fn new(rows: usize, columns: usize, seed: u64) -> Self {
        Lanes {
            rows,
            stride: (rows + 5).next_multiple_of(4),
            columns,
            seed,
            repeats: true,
        }
    }

    fn zero_filled(self) -> Self {
        Lanes {
            repeats: false,
            ..self
        }
    }

    fn number(&self, column: usize, row: usize) -> f32 {
        if row >= self.rows && !self.repeats {
            return 0.0;
        }
        let row = row.min(self.rows - 1) as u64;
        normal_at(self.seed, Purpose::TargetRows, row, column)
    }

    fn flat(&self) -> Vec<f32> {
        (0..self.columns * self.stride)
            .map(|k| self.number(k / self.stride, k % self.stride))
            .collect()
    }

    /// The block of rows that begins at `first`, in f64.
    fn block(&self, first: usize) -> Vec<Column<f64>> {
        (0..self.columns)
            .map(|j| std::array::from_fn(|lane| f64::from(self.number(j, first + lane))))
            .collect()
    }
}

/// Compares columns `first..` of a buffer with expected blocks, and everything else in it with poison.
fn check_columns(
    what: &str,
    bench: &Bench,
    buffer: &wgpu::Buffer,
    lanes: &Lanes,
    first: usize,
    expected: &[Vec<Column<f64>>],
) {
    let got = bench
        .gpu
        .read(buffer, lanes.columns * lanes.stride)
        .unwrap();
    let count = expected[0].len();
    for (k, &value) in got.iter().enumerate() {
        let (column, row) = (k / lanes.stride, k % lanes.stride);
        if column < first || column >= first + count || row >= lanes.rows.next_multiple_of(4) {
            assert_eq!(
                value.to_bits(),
                POISON,
                "{what}: wrote to column {column}, row {row}"
            );
        } else if row < lanes.rows {
            let expected = expected[row / LANES][column - first][row % LANES];
            close(
                &format!("{what}: column {column}, row {row}"),
                value,
                expected,
            );
        }
    }
}

/// The rows that fill up the last four must have gradient zero: sums do not mask them.
fn check_filling(what: &str, bench: &Bench, gradient: &wgpu::Buffer, lanes: &Lanes) {
    let got = bench
        .gpu
        .read(gradient, lanes.columns * lanes.stride)
        .unwrap();
    for (k, &value) in got.iter().enumerate() {
        let (column, row) = (k / lanes.stride, k % lanes.stride);
        if (lanes.rows..lanes.rows.next_multiple_of(4)).contains(&row) && value.to_bits() != POISON
        {
            assert_eq!(value, 0.0, "{what}: column {column}, filling row {row}");
        }
    }
}

/// Sums of up to some hundred products of numbers around 1, rounded at 6e-8 each: 1e-5 leaves a factor of a few.
fn close(what: &str, got: f32, expected: f64) {
    let error = (f64::from(got) - expected).abs();
    assert!(
        error <= 1e-5 + 1e-5 * expected.abs(),
        "{what}: {got}, expected {expected}"
    );
}

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    (0..count)
        .map(|k| 0.3 * normal_at(seed, Purpose::Target, k as u64, 0))
        .collect()
}

fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

fn starts(rows: usize) -> impl Iterator<Item = usize> {
    (0..rows).step_by(LANES)
}

fn plan(dims: usize, transform: Transform, separate: bool, base: Base) -> Plan {
    Plan::new(&FlowSpec {
        dims,
        layers: 2,
        transform,
        conditioner: Conditioner::Mlp {
            hidden: vec![5],
            activation: Activation::Tanh,
            separate,
        },
        base,
    })
    .unwrap()
}

const SHAPES: [(usize, usize); 8] = [
    (1, 1),
    (2, 32),
    (32, 2),
    (3, 5),
    (7, 19),
    (63, 64),
    (65, 33),
    (130, 129),
];

/// A linear map whose input starts at column 2 of buffer 0, and whose parameters start at 3.
fn linear_op(inputs: usize, outputs: usize, activation: Option<Activation>) -> Linear {
    let weight = 3..3 + inputs * outputs;
    Linear {
        input: Columns {
            buffer: 0,
            first: 2,
            count: inputs,
        },
        output: Columns {
            buffer: 1,
            first: 1,
            count: outputs,
        },
        bias: weight.end..weight.end + outputs,
        weight,
        activation,
        saved: match activation {
            Some(Activation::Silu) => 2,
            _ => 1,
        },
        input_gradient: InputGradient::Add,
    }
}

fn forms(parameters: usize) -> Vec<Form> {
    let mut forms = vec![Form::Tiled, Form::Narrow];
    if parameters <= crate::gpu::kernels::UNIFORM_PARAMETERS as usize {
        forms.push(Form::NarrowUniform);
    }
    forms
}

#[test]
fn linear_forward() {
    let bench = Bench::new();
    let plan = plan(2, Transform::Additive, true, Base::Normal);
    let activations = [
        None,
        Some(Activation::Tanh),
        Some(Activation::Relu),
        Some(Activation::Silu),
    ];
    for (k, (inputs, outputs)) in SHAPES.into_iter().enumerate() {
        let activation = activations[k % 4];
        for activation in [activation, None] {
            let op = linear_op(inputs, outputs, activation);
            let values = numbers(op.bias.end, 1);
            let wide = widen(&values);
            for rows in ROWS {
                let input = Lanes::new(rows, inputs + 3, 2);
                let output = Lanes::new(rows, outputs + 2, 0);
                let expected: Vec<(Vec<Column<f64>>, Vec<Column<f64>>)> = starts(rows)
                    .map(|first| {
                        let mut out = vec![[0.0; LANES]; outputs];
                        let mut saved = out.clone();
                        linear::forward(
                            &wide[op.weight.clone()],
                            &wide[op.bias.clone()],
                            activation,
                            &input.block(first)[op.input.range()],
                            &mut out,
                            Some(&mut saved),
                        );
                        (out, saved)
                    })
                    .collect();
                let (expected, expected_saved): (Vec<_>, Vec<_>) = expected.into_iter().unzip();
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
                    let builder = Builder {
                        gpu: &bench.gpu,
                        pipelines: &bench.pipelines,
                        plan: &plan,
                        parameters: &parameters,
                        buffers: &buffers,
                    };
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

#[test]
fn linear_backward() {
    let bench = Bench::new();
    let plan = plan(2, Transform::Additive, true, Base::Normal);
    let activations = [
        None,
        Some(Activation::Tanh),
        Some(Activation::Relu),
        Some(Activation::Silu),
    ];
    for (k, (inputs, outputs)) in SHAPES.into_iter().enumerate() {
        let mut op = linear_op(inputs, outputs, None);
        // What the input's own activation saved: the input itself will do.
        op.input_gradient = match activations[k % 4] {
            None => InputGradient::Add,
            Some(activation) => InputGradient::Write {
                activation,
                saved: 0,
            },
        };
        let values = numbers(op.bias.end, 1);
        let wide = widen(&values);
        for rows in ROWS {
            let input = Lanes::new(rows, inputs + 3, 2);
            let gradient = Lanes::new(rows, outputs + 2, 3).zero_filled();
            let before = Lanes::new(rows, inputs + 3, 4);
            let mut expected_weights = vec![0.0; op.bias.end];
            let expected_input: Vec<Vec<Column<f64>>> = starts(rows)
                .map(|first| {
                    let (x, g) = (input.block(first), gradient.block(first));
                    let g = &g[op.output.range()];
                    let (weights, bias) =
                        expected_weights[op.weight.start..].split_at_mut(op.weight.len());
                    linear::backward_weights(&x[op.input.range()], g, weights, bias);
                    let mut out = before.block(first)[op.input.range()].to_vec();
                    let into = match op.input_gradient {
                        InputGradient::Write { activation, .. } => linear::Into::Hidden {
                            activation,
                            saved: &x[op.input.range()],
                        },
                        _ => linear::Into::State,
                    };
                    linear::backward_input(&wide[op.weight.clone()], g, &mut out, into);
                    out
                })
                .collect();
            for form in forms(values.len()) {
                let what = format!(
                    "{inputs} to {outputs}, {:?}, {form:?}, {rows} rows",
                    op.input_gradient
                );
                let parameters = bench.parameters(&values);
                let buffers = [bench.filled(&input.flat())];
                let builder = Builder {
                    gpu: &bench.gpu,
                    pipelines: &bench.pipelines,
                    plan: &plan,
                    parameters: &parameters,
                    buffers: &buffers,
                };
                let output_gradient = bench.filled(&gradient.flat());
                // Splits of 48 rows: several, and the last one short.
                let splits = rows.div_ceil(48);
                let step = Step {
                    rows: rows as u32,
                    stride: input.stride as u32,
                    rows_per_split: 48,
                    parameters: op.bias.end as u32,
                    ..Step::default()
                };
                let partials = bench.poisoned((splits + 1) * op.bias.end);
                let dispatch = builder
                    .linear_backward_weights(&op, form, &output_gradient, &partials)
                    .unwrap();
                bench.run(&dispatch, step);
                let got = bench
                    .gpu
                    .read(&partials, (splits + 1) * op.bias.end)
                    .unwrap();
                for (p, &expected) in expected_weights.iter().enumerate() {
                    let at = |split: usize| got[split * op.bias.end + p];
                    if p < op.weight.start {
                        assert_eq!(at(0).to_bits(), POISON, "{what}: wrote before its weights");
                    } else {
                        let sum = (0..splits).map(|s| f64::from(at(s))).sum::<f64>();
                        close(&format!("{what}: gradient {p}"), sum as f32, expected);
                    }
                    assert_eq!(at(splits).to_bits(), POISON, "{what}: a split too many");
                }

                // Added to a state; but a hidden layer's gradient is written, whatever was there.
                let size = before.columns * before.stride;
                let input_gradient = match op.input_gradient {
                    InputGradient::Add => bench.filled(&before.flat()),
                    _ => bench.poisoned(size),
                };
                // The slope is read where the gradient goes: `saved` must lie alike.
                let dispatch = builder
                    .linear_backward_input(&op, form, &output_gradient, &input_gradient)
                    .unwrap()
                    .expect("an input with a gradient");
                bench.run(&dispatch, step);
                if op.input_gradient == InputGradient::Add {
                    let got = bench.gpu.read(&input_gradient, size).unwrap();
                    for (k, value) in got.into_iter().enumerate() {
                        let (column, row) = (k / before.stride, k % before.stride);
                        if op.input.range().contains(&column) && row < rows {
                            let expected =
                                expected_input[row / LANES][column - op.input.first][row % LANES];
                            close(
                                &format!("{what}: column {column}, row {row}"),
                                value,
                                expected,
                            );
                        } else if !op.input.range().contains(&column) {
                            assert_eq!(
                                value,
                                before.number(column, row),
                                "{what}: column {column}"
                            );
                        }
                    }
                } else {
                    check_columns(&what, &bench, &input_gradient, &before, 2, &expected_input);
                }
            }
        }
    }
}

fn coupling_of(plan: &Plan, layer: usize) -> &Coupling {
    plan.forward
        .iter()
        .filter_map(|op| match op {
            Op::Coupling(op) => Some(op),
            Op::Linear(_) => None,
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
            let plan = plan(dims, transform, separate, Base::Normal);
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
                let builder = |buffers| Builder {
                    gpu: &bench.gpu,
                    pipelines: &bench.pipelines,
                    plan: &plan,
                    parameters: &parameters,
                    buffers,
                };
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

#[test]
fn base_log_prob_backward_and_sample() {
    let bench = Bench::new();
    for kind in [Base::Normal, Base::TrainableNormal] {
        for dims in [2, 7, 65] {
            let plan = plan(dims, Transform::Additive, true, kind);
            let count = plan.layout.len();
            let mut values = numbers(count, 1);
            // Small and large variances too.
            for (k, p) in plan.base.raw_variance.clone().enumerate() {
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
                let builder = Builder {
                    gpu: &bench.gpu,
                    pipelines: &bench.pipelines,
                    plan: &plan,
                    parameters: &parameters,
                    buffers: &buffers,
                };
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
                        base::log_prob(&plan.base, &wide, &z.block(first), &log_det, &mut out);
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
                        base::backward(
                            &plan.base,
                            &wide,
                            &z,
                            &share,
                            &mut out,
                            &mut expected_parameters,
                        );
                        out
                    })
                    .collect();
                check_columns(&what, &bench, &z_gradient, &z, 0, &expected);
                check_filling(&what, &bench, &z_gradient, &z);
                let got = bench.gpu.read(&partials, (splits + 1) * count).unwrap();
                for (p, &expected) in expected_parameters.iter().enumerate() {
                    let at = |split: usize| got[split * count + p];
                    if plan.base.mean.contains(&p) || plan.base.raw_variance.contains(&p) {
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

/// The rows that a step visits, with and without a shuffle, from data in two segments.
#[test]
fn gather_rows() {
    let bench = Bench::new();
    let plan = plan(3, Transform::Additive, true, Base::Normal);
    let total = 157;
    let data = Matrix::from_fn(total, 3, |row, column| (10 * row + column) as f32);
    let segment = |first: usize, rows: usize| {
        let values: Vec<f32> = (0..3)
            .flat_map(|j| data.column(j)[first..first + rows].to_vec())
            .collect();
        let record = Segment {
            dims: 3,
            first: first as u32,
            rows: rows as u32,
        };
        (record, bench.filled(&values))
    };
    let segments = Data {
        segments: vec![segment(0, 100), segment(100, 57)],
    };
    for size in [0, 1, 64, 101] {
        for number in [0, 1, 5] {
            let batch = Batches::new(total, size, 3).batch(number);
            let stride = total.next_multiple_of(4) + 4;
            let buffers = [bench.poisoned(3 * stride)];
            let log_det = bench.poisoned(stride);
            let parameters = bench.parameters(&[0.0]);
            let builder = Builder {
                gpu: &bench.gpu,
                pipelines: &bench.pipelines,
                plan: &plan,
                parameters: &parameters,
                buffers: &buffers,
            };
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
                let (column, place) = (k / stride, (k % stride) as u32);
                if place < filled {
                    let row = batch.row(place.min(batch.rows - 1)) as usize;
                    assert_eq!(value, data.get(row, column), "size {size}, place {place}");
                    assert_eq!(zeros[place as usize].to_bits(), 0);
                } else {
                    assert_eq!(value.to_bits(), POISON);
                }
            }
        }
    }
}

/// Loss, sum of the splits, and AdamW over three steps.
#[test]
fn sums_and_adamw() {
    let bench = Bench::new();
    for (dims, rows) in [(2, 1usize), (2, 61), (9, 257), (40, 64)] {
        let plan = plan(dims, Transform::Additive, true, Base::TrainableNormal);
        let count = plan.layout.len();
        let start = numbers(count, 1);
        let parameters = bench.parameters(&start);
        let builder = Builder {
            gpu: &bench.gpu,
            pipelines: &bench.pipelines,
            plan: &plan,
            parameters: &parameters,
            buffers: &[],
        };
        let splits = rows.div_ceil(48);
        let shares = Lanes::new(splits, count, 8);
        let partials: Vec<f32> = (0..splits * count)
            .map(|k| shares.number(k % count, k / count))
            .collect();
        let log_prob = Lanes::new(rows, 1, 9);
        let optimizer = Optimizer {
            gradient: bench.poisoned(count),
            first_moment: bench.filled(&vec![0.0; count]),
            second_moment: bench.filled(&vec![0.0; count]),
            losses: bench.poisoned(5),
        };
        let loss_partials = bench.poisoned(splits);
        let partial_buffer = bench.filled(&partials);
        let log_probs = bench.filled(&log_prob.flat());
        let (mut p, mut m, mut v) = (widen(&start), vec![0.0; count], vec![0.0; count]);
        let settings = AdamW {
            learning_rate: 1e-2,
            weight_decay: 0.1,
        };
        for number in 0..3u32 {
            let at = settings.at(u64::from(number));
            let mut step = Step {
                rows: rows as u32,
                stride: log_prob.stride as u32,
                rows_per_split: 48,
                parameters: count as u32,
                share: 1.0 / rows as f32,
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
            bench.run(&builder.update(&optimizer).unwrap(), step);
            let gradient: Vec<f64> = (0..count)
                .map(|k| {
                    2.0 * (0..splits)
                        .map(|s| f64::from(partials[s * count + k]))
                        .sum::<f64>()
                })
                .collect();
            adamw::update(&at, &mut p, &gradient, &mut m, &mut v);
            let got = bench.gpu.read(&optimizer.gradient, count).unwrap();
            for (k, (&got, expected)) in got.iter().zip(gradient).enumerate() {
                close(&format!("gradient {k}"), got, expected);
            }
        }
        let got = bench.gpu.read(&parameters, count).unwrap();
        for (k, (&got, &expected)) in got.iter().zip(&p).enumerate() {
            close(&format!("parameter {k}"), got, expected);
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

/// The comparison above can fail: a number that is off by a little more than the tolerance, or not a number.
#[test]
fn the_comparison_can_fail() {
    for wrong in [1.0 + 3e-5, f32::NAN, f32::INFINITY] {
        assert!(std::panic::catch_unwind(|| close("", wrong, 1.0)).is_err());
    }
}

/// Sizes follow the limits, and say what does not fit.
#[test]
fn sizes_follow_limits() {
    let plan = plan(4, Transform::Additive, true, Base::TrainableNormal);
    let limits = wgpu::Limits::default();
    for wanted in [1, 5, 1000, 50_000, 10_000_000, 4_000_000_000] {
        let sizes = Sizes::new(&plan, &limits, wanted, true).unwrap();
        let binding = limits.max_storage_buffer_binding_size as usize;
        assert!(sizes.rows.is_multiple_of(4) && sizes.rows_per_split.is_multiple_of(16));
        assert!(sizes.splits * sizes.rows_per_split >= sizes.rows);
        assert!(4 * sizes.splits * plan.layout.len() <= binding);
        assert!(4 * sizes.rows * 5 <= binding && sizes.rows <= 64 * 65_535);
    }
    // A program can be made at each side of a split.
    let bench = Bench::new();
    let parameters = bench.parameters(&numbers(plan.layout.len(), 1));
    let sizes = Sizes::new(&plan, &limits, 1, false).unwrap();
    Program::new(
        &bench.gpu,
        &bench.pipelines,
        &plan,
        &parameters,
        sizes,
        None,
    )
    .unwrap();
}
