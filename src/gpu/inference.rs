use std::ops::Range;

use crate::error::{Error, Result};
use crate::matrix::Matrix;

use super::GpuPath;
use super::device::Gpu;
use super::dispatch::{Builder, Dispatch};
use super::fused::{Fused, Lanes, Pass};
use super::kernels::Step;
use super::program::Program;
use super::readback::{Pending, Readback};
use super::sizes::Sizes;

/// Rows that go through the device together when scoring and sampling.
const ROWS: usize = 16_384;

/// Scoring and sampling.
pub struct Inference {
    program: Program,
    /// How it runs, in words.
    pub path: String,
}

impl Inference {
    /// Fused or staged, as `path` has it and the flow's shape.
    ///
    /// # Errors
    /// [`Error::GpuLimit`] where the flow does not fit.
    pub fn new(builder: Builder<'_>, path: GpuPath, lanes: Lanes) -> Result<Self> {
        let Builder { gpu, plan, .. } = builder;
        let limits = gpu.limits();
        let fused = |pass| Fused::to_infer(plan, &limits, gpu.is_software, lanes, pass);
        let fused = path.fused(
            || Ok((fused(Pass::Forward)?, fused(Pass::Inverse)?)),
            |(forward, _)| forward.suits(gpu.is_software),
        )?;
        Ok(match fused {
            Ok((forward, inverse)) => Inference {
                program: Program::fused(builder, &forward, &inverse, ROWS)?,
                path: format!("fused ({})", forward.describe()),
            },
            Err(why) => {
                let sizes = Sizes::new(plan, &limits, ROWS, false)?;
                Inference {
                    program: Program::staged(builder, sizes.rows)?,
                    path: format!("staged ({why})"),
                }
            }
        })
    }

    /// Puts runs of rows into the state `input`, runs `dispatches` on each, and copies the first columns of each of
    /// `outputs` back: one matrix an output.
    pub fn map_rows(
        &self,
        gpu: &Gpu,
        rows: usize,
        mut fill: impl FnMut(&Gpu, &Program, Range<usize>) -> Step,
        dispatches: impl Fn(&Program) -> Vec<&Dispatch>,
        outputs: impl Fn(&Program) -> Vec<(&wgpu::Buffer, usize)>,
    ) -> Result<Vec<Matrix<f64>>> {
        let program = &self.program;
        let stride = program.rows;
        let outputs = outputs(program);
        let mut matrices: Vec<Matrix<f64>> = outputs
            .iter()
            .map(|&(_, columns)| Matrix::zeros(rows, columns))
            .collect();
        let sources: Vec<(&wgpu::Buffer, usize)> = outputs
            .iter()
            .map(|&(buffer, columns)| (buffer, columns * stride))
            .collect();
        let numbers = sources.iter().map(|(_, count)| count).sum();
        // While the device has one run of rows, the host takes the one before it and sends the one behind it.
        let readbacks = (0..rows.div_ceil(stride).min(2))
            .map(|_| Readback::new(gpu, numbers))
            .collect::<Result<Vec<_>>>()?;
        let mut take = |readback: &Readback, (places, pending): (Range<usize>, Pending)| {
            let mut values = &readback.finish(gpu, pending)?[..];
            for (matrix, &(_, columns)) in matrices.iter_mut().zip(&outputs) {
                for column in 0..columns {
                    let source = &values[column * stride..][..places.len()];
                    let target = &mut matrix.column_mut(column)[places.clone()];
                    for (target, &value) in target.iter_mut().zip(source) {
                        *target = f64::from(value);
                    }
                }
                values = &values[columns * stride..];
            }
            Ok::<(), Error>(())
        };
        let mut sent = None;
        for (run, first) in (0..rows).step_by(stride).enumerate() {
            let places = first..rows.min(first + stride);
            let mut step = fill(gpu, program, places.clone());
            step.rows = places.len() as u32;
            step.stride = stride as u32;
            program.ring.write(gpu, &[step]);
            let mut encoder = gpu.encoder();
            encoder.clear_buffer(&program.log_det, 0, None);
            {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                program.ring.bind(&mut pass, 0);
                for dispatch in dispatches(program) {
                    dispatch.record(&mut pass, &step);
                }
            }
            let readback = &readbacks[run % readbacks.len()];
            let pending = readback.submit(gpu, encoder, &sources);
            if let Some((readback, sent)) = sent.replace((readback, (places, pending))) {
                take(readback, sent)?;
            }
        }
        if let Some((readback, sent)) = sent {
            take(readback, sent)?;
        }
        Ok(matrices)
    }
}

/// Uploads some rows of a table into a state of the flow.
pub fn upload(gpu: &Gpu, stride: usize, state: &wgpu::Buffer, x: &Matrix<f64>, rows: Range<usize>) {
    let mut values = vec![0f32; x.columns() * stride];
    for (j, column) in values.chunks_exact_mut(stride).enumerate() {
        for (value, &x) in column.iter_mut().zip(&x.column(j)[rows.clone()]) {
            *value = x as f32;
        }
    }
    gpu.queue()
        .write_buffer(state, 0, bytemuck::cast_slice(&values));
}
