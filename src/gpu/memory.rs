use crate::error::Result;
use crate::flow::Plan;

use super::adapter::Adapter;
use super::inference;
use super::kernels::UNIFORM_PARAMETERS;
use super::session::LOSSES;
use super::sizes::Sizes;

/// Bytes that a [`GpuExecutor`](super::GpuExecutor) on this adapter takes of its memory, about, one kernel an op; fused, it takes
/// less. `training` has the rows to train on and the batch size.
///
/// # Errors
/// [`Error::GpuLimit`](crate::Error::GpuLimit) where the flow does not fit the device's limits.
pub fn memory(adapter: &Adapter, plan: &Plan, training: Option<(usize, usize)>) -> Result<u64> {
    let limits = wgpu::Limits::default();
    let is_software = adapter.is_software();
    let sizes = |rows, training| Sizes::new(plan, &limits, is_software, rows, training);
    let to_infer = sizes(inference::rows(is_software), false)?;
    let columns = plan.width() as u64 + 1;
    let mut numbers = to_infer.numbers(plan, false) + 2 * columns * to_infer.rows as u64;
    let parameters = plan.layout.len() as u64;
    numbers += parameters.max(u64::from(UNIFORM_PARAMETERS));
    if let Some((rows, batch)) = training {
        numbers += sizes(batch.min(rows), true)?.numbers(plan, true);
        // The gradient, two moments, an average; and all of the state on its way back.
        numbers += 8 * parameters + 2 * LOSSES as u64;
        // Once more while they are on their way there.
        numbers += 2 * (rows as u64).saturating_mul(plan.width() as u64);
    }
    Ok(numbers.saturating_mul(4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::executor::Executor;
    use crate::flow::initial_parameters;
    use crate::gpu::{GpuExecutor, GpuPath, adapters};
    use crate::matrix::Matrix;

    /// What is said beforehand is what is taken, or a little more.
    #[test]
    fn what_it_says_is_what_it_takes() {
        let adapter = adapters().into_iter().next().expect("a GPU adapter");
        for (hidden, dims, rows, batch) in [
            (vec![8], 3, 5000, 40),
            (vec![64, 64], 4, 2000, 700),
            (vec![300], 7, 100, 100),
            (vec![16], 2, 400_000, 60_000),
        ] {
            let mut config = Config::default();
            config.model.hidden = hidden;
            config.train.batch_size = batch;
            config.train.average = 0.9;
            let plan = Plan::new(&config.model.spec(dims).unwrap()).unwrap();
            let parameters = initial_parameters(&plan.layout, 1);
            let table = Matrix::from_fn(rows, dims, |row, column| {
                (0.7 * (row * (column + 1)) as f32).sin()
            });
            for training in [None, Some((rows, batch))] {
                let said = memory(&adapter, &plan, training).unwrap() as f64;
                let mut executor = GpuExecutor::new(&adapter, plan.clone(), &parameters).unwrap();
                executor.set_path(GpuPath::Staged);
                if training.is_some() {
                    executor.start(&table, &config.training()).unwrap();
                    executor.state().unwrap();
                }
                executor.forward(&table.map(f64::from)).unwrap();
                let taken = executor.gpu.taken.get() as f64;
                let ratio = said / taken;
                let what = format!("{} rows of {}, {training:?}", rows, plan.spec);
                assert!((0.9..1.5).contains(&ratio), "{what}: {said}, {taken}");
            }
        }
    }
}
