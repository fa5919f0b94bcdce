use crate::error::Result;
use crate::executor::KernelTime;

use super::device::Gpu;
use super::dispatch::Dispatch;
use super::kernels::Step;
use super::readback::Readback;
use super::ring::Ring;

/// Dispatches timed in one submission: two timestamps each, of the 4,096 that a query set may hold.
const MOST: usize = 2048;

/// Runs dispatches, each with its step record's place in the ring, every one in a pass of its own between two
/// timestamps, and adds their times to those of their kernels, in the order in which kernels first run.
pub fn add(
    gpu: &Gpu,
    ring: &Ring,
    dispatches: &[(usize, &Step, &Dispatch)],
    times: &mut Vec<KernelTime>,
) -> Result<()> {
    for dispatches in dispatches.chunks(MOST) {
        let ticks = ticks(gpu, ring, dispatches)?;
        for ((_, _, dispatch), ticks) in dispatches.iter().zip(ticks) {
            let kernel = dispatch.kernel.name();
            let seconds = ticks as f64 * f64::from(gpu.queue().get_timestamp_period()) * 1e-9;
            match times.iter_mut().find(|time| time.kernel == kernel) {
                Some(time) => {
                    time.dispatches += 1;
                    time.seconds += seconds;
                    time.bytes += dispatch.bytes as f64;
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
fn ticks(gpu: &Gpu, ring: &Ring, dispatches: &[(usize, &Step, &Dispatch)]) -> Result<Vec<u64>> {
    let count = 2 * dispatches.len() as u32;
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
    for (number, &(place, step, dispatch)) in dispatches.iter().enumerate() {
        let first = 2 * number as u32;
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some(dispatch.kernel.name()),
            timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                query_set: &queries,
                beginning_of_pass_write_index: Some(first),
                end_of_pass_write_index: Some(first + 1),
            }),
        });
        ring.bind(&mut pass, place);
        dispatch.record(&mut pass, step);
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
