use web_time::Instant;

use crate::error::Result;
use crate::executor::KernelTime;

use super::device::Gpu;
use super::dispatch::Dispatch;
use super::kernels::Step;
use super::queue::{SUBMISSION, learning_groups};
use super::readback::Readback;
use super::ring::{RING, Ring};

/// A dispatch to be timed, or some of its groups, from `step.first_group` on.
pub struct Timed<'a> {
    pub step: Step,
    pub dispatch: &'a Dispatch,
    pub groups: Option<u32>,
}

impl<'a> Timed<'a> {
    /// A dispatch, in parts where it may be divided and the device is slow: each part's time is added to the others'.
    pub fn parts(dispatch: &'a Dispatch, step: Step, is_software: bool) -> Vec<Self> {
        let all = dispatch.divisible(&step).filter(|_| is_software);
        let Some(all) = all else {
            return vec![Timed {
                step,
                dispatch,
                groups: None,
            }];
        };
        let each = learning_groups(&step, all);
        let part = |first_group: u32| Timed {
            step: Step {
                first_group,
                ..step
            },
            dispatch,
            groups: Some(each.min(all - first_group)),
        };
        (0..all).step_by(each as usize).map(part).collect()
    }
}

/// Runs dispatches, every one in a pass of its own between two timestamps, and adds their times to those of their kernels, in
/// the order in which kernels first run. A submission has as many as keep it short.
pub fn add(gpu: &Gpu, ring: &Ring, timed: &[Timed<'_>], times: &mut Vec<KernelTime>) -> Result<()> {
    let (mut rest, mut most) = (timed, 1);
    while !rest.is_empty() {
        let (now, later) = rest.split_at(most.min(rest.len()));
        let begin = Instant::now();
        let ticks = ticks(gpu, ring, now)?;
        most = match begin.elapsed() {
            took if took < SUBMISSION / 4 => (2 * most).min(RING),
            took if took > SUBMISSION => (most / 2).max(1),
            _ => most,
        };
        rest = later;
        for (Timed { step, dispatch, .. }, ticks) in now.iter().zip(ticks) {
            let kernel = dispatch.kernel.name();
            let seconds = ticks as f64 * f64::from(gpu.queue().get_timestamp_period()) * 1e-9;
            let goes_on = step.first_group > 0;
            match times.iter_mut().find(|time| time.kernel == kernel) {
                Some(time) => {
                    time.seconds += seconds;
                    if !goes_on {
                        time.dispatches += 1;
                        time.bytes += dispatch.bytes as f64;
                    }
                }
                None => times.push(KernelTime {
                    kernel,
                    dispatches: 1,
                    seconds,
                    bytes: dispatch.bytes as f64,
                }),
            }
        }
    }
    Ok(())
}

/// The ticks that each dispatch took.
fn ticks(gpu: &Gpu, ring: &Ring, timed: &[Timed<'_>]) -> Result<Vec<u64>> {
    let steps: Vec<Step> = timed.iter().map(|timed| timed.step).collect();
    ring.write(gpu, &steps);
    let count = 2 * timed.len() as u32;
    let queries = gpu.device().create_query_set(&wgpu::QuerySetDescriptor {
        label: Some("timestamps"),
        ty: wgpu::QueryType::Timestamp,
        count,
    });
    let bytes = 8 * u64::from(count);
    let resolved = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: Some("timestamps"),
        size: bytes,
        usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
        mapped_at_creation: false,
    });
    // Numbers of four bytes, two to a timestamp.
    let numbers = 2 * count as usize;
    let back = Readback::new(gpu, numbers)?;
    let mut encoder = gpu.encoder();
    for (index, timed) in timed.iter().enumerate() {
        let (first, dispatch) = (2 * index as u32, timed.dispatch);
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some(dispatch.kernel.name()),
            timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                query_set: &queries,
                beginning_of_pass_write_index: Some(first),
                end_of_pass_write_index: Some(first + 1),
            }),
        });
        ring.bind(&mut pass, index);
        match timed.groups {
            None => dispatch.record(&mut pass, &timed.step),
            Some(groups) => dispatch.record_groups(&mut pass, &timed.step, groups),
        }
    }
    encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
    let pending = back.submit(gpu, encoder, &[(&resolved, numbers)]);
    let stamps = back.finish(gpu, pending)?;
    let stamps: Vec<u64> = bytemuck::pod_collect_to_vec(&stamps);
    // A driver's clock may step back.
    Ok(stamps
        .chunks_exact(2)
        .map(|pair| pair[1].saturating_sub(pair[0]))
        .collect())
}
