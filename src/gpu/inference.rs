use std::ops::Range;

use crate::error::{Error, Result};
use crate::matrix::Matrix;

use super::GpuPath;
use super::builder::Builder;
use super::device::Gpu;
use super::fused::Fused;
use super::kernels::Pass;
use super::kernels::Step;
use super::program::Program;
use super::queue::{Queue, Submission};
use super::readback::{Pending, Readback};
use super::sizes::{Sizes, rows_through_all};

/// Rows that go through the device together when scoring and sampling. Each row is on its own: its numbers do not depend on
/// how many there are.
pub fn rows(is_software: bool) -> usize {
    // Fewer on a software adapter, which is slow.
    if is_software { 4096 } else { 16_384 }
}

/// Scoring and sampling.
pub struct Inference {
    program: Program,
    queue: Queue,
    /// How it runs, in words.
    pub path: String,
}

impl Inference {
    /// Fused or staged, as `path` has it and the flow's shape.
    ///
    /// # Errors
    /// [`Error::GpuLimit`] where the flow does not fit.
    pub fn new(builder: Builder<'_>, path: GpuPath) -> Result<Self> {
        let Builder { gpu, plan, .. } = builder;
        let limits = gpu.limits();
        let fused = |pass| Fused::to_infer(plan, &limits, gpu.is_software, pass);
        let fused = path.fused(
            || Ok((fused(Pass::Forward)?, fused(Pass::Inverse)?)),
            |(forward, _)| forward.suits(gpu.is_software),
        )?;
        let rows = rows(gpu.is_software);
        let (program, path) = match fused {
            Ok((forward, inverse)) => {
                let rows = rows_through_all(plan, gpu.is_software, rows);
                (
                    Program::fused(builder, &forward, &inverse, rows)?,
                    format!("fused ({})", forward.describe()),
                )
            }
            Err(why) => {
                let sizes = Sizes::new(plan, &limits, gpu.is_software, rows, false)?;
                let program = Program::staged(builder, sizes.rows)?;
                (program, format!("staged ({why})"))
            }
        };
        Ok(Inference {
            queue: Queue::new(program.dispatches.len()),
            program,
            path,
        })
    }

    /// Puts runs of rows into the state `input`, takes each through `dispatches`, and copies the first columns of each of
    /// `outputs` back: one matrix an output.
    pub fn map_rows(
        &mut self,
        gpu: &Gpu,
        rows: usize,
        mut fill: impl FnMut(&Gpu, &Program, Range<usize>, usize) -> Step,
        dispatches: impl Fn(&Program) -> Range<usize>,
        outputs: impl Fn(&Program) -> Vec<(&wgpu::Buffer, usize)>,
    ) -> Result<Vec<Matrix<f64>>> {
        let Inference { program, queue, .. } = self;
        let dispatches = dispatches(program);
        let outputs = outputs(program);
        let columns: usize = outputs.iter().map(|(_, columns)| columns).sum();
        let mut matrices: Vec<Matrix<f64>> = outputs
            .iter()
            .map(|&(_, columns)| Matrix::zeros(rows, columns))
            .collect();
        let mut take = |values: Vec<f32>, indices: Range<usize>| {
            let mut values = &values[..];
            for (matrix, &(_, columns)) in matrices.iter_mut().zip(&outputs) {
                for column in 0..columns {
                    let (source, rest) = values.split_at(stride(indices.len()));
                    let target = &mut matrix.column_mut(column)[indices.clone()];
                    for (target, &value) in target.iter_mut().zip(source) {
                        *target = f64::from(value);
                    }
                    values = rest;
                }
            }
        };
        // While the device has one submission, the host takes what came of the one before it and sends the one behind it.
        let readbacks = (0..rows.div_ceil(program.rows).min(2))
            .map(|_| Readback::new(gpu, columns * stride(rows.min(program.rows))))
            .collect::<Result<Vec<_>>>()?;
        let mut sent: Option<Sent<'_>> = None;
        let mut finish = |queue: &mut Queue, sent: Option<Sent<'_>>| {
            let Some(Sent { submission, way }) = sent else {
                return Ok(());
            };
            match way {
                Way::On(index) => gpu.wait(index)?,
                Way::Back(readback, pending, indices) => {
                    take(readback.finish(gpu, pending)?, indices)
                }
            }
            queue.done(&submission);
            Ok::<(), Error>(())
        };
        queue.begin();
        for (run, first) in (0..rows).step_by(program.rows).enumerate() {
            let indices = first..rows.min(first + program.rows);
            let stride = stride(indices.len());
            let mut step = fill(gpu, program, indices.clone(), stride);
            step.rows = indices.len() as u32;
            step.stride = stride as u32;
            queue.push(step, dispatches.clone());
            let mut is_first = true;
            while let Some(submission) = queue.next(&program.dispatches) {
                let mut encoder = gpu.encoder();
                if std::mem::take(&mut is_first) {
                    encoder.clear_buffer(&program.log_det, 0, None);
                }
                submission.record(gpu, &mut encoder, &program.ring, &program.dispatches);
                let way = if queue.is_empty() {
                    let sources: Vec<(&wgpu::Buffer, usize)> = outputs
                        .iter()
                        .map(|&(buffer, columns)| (buffer, columns * stride))
                        .collect();
                    let readback = &readbacks[run % readbacks.len()];
                    let pending = readback.submit(gpu, encoder, &sources);
                    Way::Back(readback, pending, indices.clone())
                } else {
                    Way::On(gpu.submit(encoder))
                };
                finish(queue, sent.replace(Sent { submission, way }))?;
            }
        }
        finish(queue, sent)?;
        Ok(matrices)
    }
}

/// A submission that the device has.
struct Sent<'a> {
    submission: Submission,
    way: Way<'a>,
}

/// Where its rows go from there.
enum Way<'a> {
    /// To the next submission.
    On(wgpu::SubmissionIndex),
    /// To these rows of the result.
    Back(&'a Readback, Pending, Range<usize>),
}

/// How far apart the columns of so many rows lie on the device: kernels take four rows together.
fn stride(rows: usize) -> usize {
    rows.next_multiple_of(4)
}

/// Some columns of some rows of a table.
pub struct Part<'a> {
    pub table: &'a Matrix<f64>,
    pub columns: Range<usize>,
    pub rows: Range<usize>,
}

/// Uploads a part of a table into a buffer of the flow, from column `first` on.
pub fn upload(gpu: &Gpu, stride: usize, buffer: &wgpu::Buffer, first: usize, part: Part<'_>) {
    if part.columns.is_empty() {
        return;
    }
    let mut values = vec![0f32; part.columns.len() * stride];
    for (j, column) in part.columns.zip(values.chunks_exact_mut(stride)) {
        let source = &part.table.column(j)[part.rows.clone()];
        for (value, &x) in column.iter_mut().zip(source) {
            *value = x as f32;
        }
    }
    let offset = (4 * first * stride) as u64;
    gpu.queue()
        .write_buffer(buffer, offset, bytemuck::cast_slice(&values));
}
