//! Each kernel alone against its CPU version in f64. Every buffer is poisoned first, and whatever a kernel should
//! not write must still be poison afterwards. Sizes are 1, a prime, and each side of a tile.

mod base;
mod basis;
mod concat;
mod coupling;
mod linear;
mod steps;
mod triangular;

use couplet::flow::{Activation, Base, Conditioner, FlowSpec, Mixing, Plan, Transform};
use couplet::gpu::Gpu;
use couplet::testing::cpu::{BLOCK_ROWS, Column};
use couplet::testing::gpu::Pipelines;
use couplet::testing::gpu::builder::Builder;
use couplet::testing::gpu::dispatch::Dispatch;
use couplet::testing::gpu::kernels::Step;

use crate::adapter;
use couplet::random::{Purpose, normal_at};

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
        let gpu = Gpu::open(&adapter(), wgpu::Limits::default()).unwrap();
        let pipelines = Pipelines::new(&gpu);
        Bench { gpu, pipelines }
    }

    /// Makes dispatches of a plan's kernels on these buffers.
    fn builder<'a>(
        &'a self,
        plan: &'a Plan,
        parameters: &'a wgpu::Buffer,
        buffers: &'a [wgpu::Buffer],
    ) -> Builder<'a> {
        Builder {
            gpu: &self.gpu,
            pipelines: &self.pipelines,
            plan,
            parameters,
            buffers,
            row_weights: None,
        }
    }

    fn poisoned(&self, numbers: usize) -> wgpu::Buffer {
        let buffer = self.gpu.buffer("poisoned", numbers);
        let bits = vec![POISON; numbers];
        self.gpu
            .queue()
            .write_buffer(&buffer, 0, bytemuck::cast_slice(&bits));
        buffer
    }

    fn filled(&self, numbers: &[f32]) -> wgpu::Buffer {
        let buffer = self.gpu.buffer("filled", numbers.len());
        self.gpu
            .queue()
            .write_buffer(&buffer, 0, bytemuck::cast_slice(numbers));
        buffer
    }

    fn parameters(&self, numbers: &[f32]) -> wgpu::Buffer {
        let buffer = self.gpu.parameters(numbers.len());
        self.gpu
            .queue()
            .write_buffer(&buffer, 0, bytemuck::cast_slice(numbers));
        buffer
    }

    /// Runs one dispatch with a step record.
    fn run(&self, dispatch: &Dispatch, step: Step) {
        let record = self.gpu.uniform("step", &step);
        let bindings = self
            .gpu
            .device()
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

/// The weights of the first rows of a buffer, in f64; or 1 for each where they have none.
fn weights_of(weights: Option<&TestMatrix>, first: usize, rows: usize) -> Column<f64> {
    std::array::from_fn(|lane| match (first + lane < rows, weights) {
        (false, _) => 0.0,
        (true, None) => 1.0,
        (true, Some(weights)) => f64::from(weight(weights.number(0, first + lane))),
    })
}

/// A weight, which is above 0, from any number.
fn weight(number: f32) -> f32 {
    0.25 + number.abs()
}

/// The weights as a buffer has them.
fn flat_weights(weights: &TestMatrix) -> Vec<f32> {
    weights.flat().into_iter().map(weight).collect()
}

/// Without weights, and with some.
fn with_and_without_weights(rows: usize) -> [Option<TestMatrix>; 2] {
    [None, Some(TestMatrix::new(rows, 1, 81))]
}

/// Some columns of numbers, as a buffer of `stride` rows a column holds them. Rows beyond the last repeat it.
struct TestMatrix {
    rows: usize,
    stride: usize,
    columns: usize,
    seed: u64,
    /// What the rows beyond the last hold: the last row again, or zero.
    repeats: bool,
}

impl TestMatrix {
    fn new(rows: usize, columns: usize, seed: u64) -> Self {
        TestMatrix {
            rows,
            stride: (rows + 5).next_multiple_of(4),
            columns,
            seed,
            repeats: true,
        }
    }

    fn zero_filled(self) -> Self {
        TestMatrix {
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
    lanes: &TestMatrix,
    first: usize,
    expected: &[Vec<Column<f64>>],
) {
    check_columns_by(what, bench, buffer, lanes, first, expected, TOLERANCE);
}

/// As [`check_columns`], with a tolerance.
fn check_columns_by(
    what: &str,
    bench: &Bench,
    buffer: &wgpu::Buffer,
    lanes: &TestMatrix,
    first: usize,
    expected: &[Vec<Column<f64>>],
    tolerance: f64,
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
            let expected = expected[row / BLOCK_ROWS][column - first][row % BLOCK_ROWS];
            let what = format!("{what}: column {column}, row {row}");
            close_by(&what, value, expected, [tolerance; 2]);
        }
    }
}

/// The rows that fill up the last four must have gradient zero: sums do not mask them.
fn check_filling(what: &str, bench: &Bench, gradient: &wgpu::Buffer, lanes: &TestMatrix) {
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
const TOLERANCE: f64 = 1e-5;

fn close(what: &str, got: f32, expected: f64) {
    close_within(what, got, expected, 1.0);
}

/// As [`close`], for sums of numbers around `scale`.
fn close_within(what: &str, got: f32, expected: f64, scale: f64) {
    close_by(what, got, expected, [TOLERANCE * scale, TOLERANCE]);
}

fn close_by(what: &str, got: f32, expected: f64, [absolute, relative]: [f64; 2]) {
    let error = (f64::from(got) - expected).abs();
    assert!(
        error <= absolute + relative * expected.abs(),
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
    (0..rows).step_by(BLOCK_ROWS)
}

fn plan(dims: usize, transform: Transform, separate: bool, base: Base) -> Plan {
    Plan::new(&FlowSpec {
        dims,
        context: 0,
        layers: 2,
        transform,
        conditioner: Conditioner::Mlp {
            hidden: vec![5],
            activation: Activation::Tanh,
            separate,
        },
        mixing: Mixing::None,
        base,
    })
    .unwrap()
}

/// The comparison above can fail: a number that is off by a little more than the tolerance, or not a number.
#[test]
fn the_comparison_can_fail() {
    for wrong in [1.0 + 3e-5, f32::NAN, f32::INFINITY] {
        assert!(std::panic::catch_unwind(|| close("", wrong, 1.0)).is_err());
    }
}
