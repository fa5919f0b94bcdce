//! The GPU executor: hand-written WGSL kernels (`shaders/`) on wgpu, one kernel an op or, for small flows, one for all. Data,
//! parameters, gradients, moments and losses stay on the device; many steps go into one submission, and losses come back
//! together.
//!
//! A batch whose activations do not fit goes through in runs of rows, whose gradients are added in order. Every sum has
//! a fixed order and there are no float atomics: the same binary on the same device with the same seed gives the same
//! bits.

mod adapter;
pub(crate) mod builder;
mod device;
pub(crate) mod dispatch;
#[cfg(feature = "testing")]
pub(crate) mod fault_injection;
mod fused;
mod inference;
pub(crate) mod kernels;
mod memory;
pub mod peak;
pub(crate) mod pipelines;
pub(crate) mod program;
mod queue;
mod readback;
mod ring;
mod session;
pub(crate) mod shader;
pub(crate) mod sizes;
mod terms;
mod timestamps;
pub(crate) mod wait;

use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;

use crate::error::{Error, Message, Remedy, Result};
use crate::executor::{
    Batch, Batches, Executor, Fault, KernelTime, StepsOutcome, Training, TrainingState,
    check_context, check_count, check_training_rows, check_width, nan_to_neg_infinity, not_started,
    sample_count,
};
use crate::flow::Plan;
use crate::matrix::Matrix;

pub use adapter::{Adapter, adapters};
pub use device::Gpu;
pub use memory::memory;
#[cfg(target_arch = "wasm32")]
pub use wait::pause;

use pipelines::Pipelines;

use builder::Builder;
use inference::{Inference, Part, upload};
use kernels::Step;
use readback::widen;
use session::{LOSSES, Session};
use sizes::Sizes;

/// Runs a plan on a GPU.
pub struct GpuExecutor {
    gpu: Gpu,
    pipelines: Pipelines,
    plan: Plan,
    parameters: wgpu::Buffer,
    path: GpuPath,
    inference: Option<Inference>,
    session: Option<Session>,
}

/// How a step runs on the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum GpuPath {
    /// Fused where the flow fits, else staged.
    #[default]
    Auto,
    /// One kernel takes rows through the whole flow and back.
    Fused,
    /// One kernel an op.
    Staged,
}

impl GpuPath {
    /// The fused form of a flow, if this path is to take it; else why not. `suits` says whether it is the faster one.
    ///
    /// # Errors
    /// [`Error::GpuLimit`] where it is asked for and the flow has none.
    fn fused<T>(
        self,
        form: impl FnOnce() -> Result<T, String>,
        suits: impl FnOnce(&T) -> Result<(), String>,
    ) -> Result<Result<T, String>> {
        match self {
            GpuPath::Staged => Ok(Err("as asked".into())),
            GpuPath::Auto => Ok(form().and_then(|form| suits(&form).map(|()| form))),
            GpuPath::Fused => form().map(Ok).map_err(|why| {
                let text = format!("this flow does not fit the fused path: {why}");
                let remedy = Remedy::new("leave the choice to the flow", "gpu_path", "auto");
                Error::GpuLimit(Message::new(text).remedy(remedy))
            }),
        }
    }
}

impl GpuExecutor {
    /// An executor on an adapter, with the given parameters (flat, in the order of the plan's layout). The device is
    /// opened with the WebGPU default limits, which is all that the kernels need: what runs on one adapter runs on every
    /// one.
    ///
    /// # Errors
    /// As [`Gpu::open`]; [`crate::Error::GpuLimit`] where the model does not fit the device's limits.
    ///
    /// # Panics
    /// If the number of parameters is not that of the layout.
    pub fn new(adapter: &Adapter, plan: Plan, parameters: &[f32]) -> Result<Self> {
        Self::with_limits(adapter, plan, parameters, wgpu::Limits::default())
    }

    /// As [`GpuExecutor::new`], with other limits. Smaller bindings make batches and data go through in more pieces.
    ///
    /// # Errors
    /// As [`GpuExecutor::new`].
    ///
    /// # Panics
    /// As [`GpuExecutor::new`].
    pub fn with_limits(
        adapter: &Adapter,
        plan: Plan,
        parameters: &[f32],
        limits: wgpu::Limits,
    ) -> Result<Self> {
        assert_eq!(
            parameters.len(),
            plan.layout.len(),
            "parameters of the layout"
        );
        let gpu = Gpu::open(adapter, limits)?;
        // Refuses what cannot run before anything is allocated.
        Sizes::new(&plan, &gpu.limits(), gpu.is_software, 1, true)?;
        if gpu.is_software {
            sizes::check_loops(&plan)?;
        }
        let pipelines = Pipelines::new(&gpu);
        let buffer = gpu.allocate("the parameters", || gpu.parameters(parameters.len()))?;
        gpu.queue()
            .write_buffer(&buffer, 0, bytemuck::cast_slice(parameters));
        Ok(GpuExecutor {
            gpu,
            pipelines,
            plan,
            parameters: buffer,
            path: GpuPath::Auto,
            inference: None,
            session: None,
        })
    }

    /// Destroys the device, as when its driver is reset, for tests.
    #[doc(hidden)]
    #[cfg(feature = "testing")]
    pub fn destroy_for_test(&self) -> impl Fn() + use<> {
        self.gpu.destroy_for_test()
    }

    /// Has the next [`Executor::start`] take this path, and scoring and sampling as well.
    pub fn set_path(&mut self, path: GpuPath) {
        self.path = path;
        self.inference = None;
    }

    fn builder(&self) -> Builder<'_> {
        Builder {
            gpu: &self.gpu,
            pipelines: &self.pipelines,
            plan: &self.plan,
            parameters: &self.parameters,
            buffers: &[],
            row_weights: None,
        }
    }

    /// What scores and samples, made when it is first needed.
    fn inference(&mut self) -> Result<(&Gpu, &mut Inference)> {
        if self.inference.is_none() {
            let inference = Inference::new(self.builder(), self.path)?;
            self.inference = Some(inference);
        }
        Ok((&self.gpu, self.inference.as_mut().expect("just made")))
    }
}

impl Executor for GpuExecutor {
    fn describe(&self) -> String {
        let device = &self.gpu.description;
        match (&self.session, &self.inference) {
            (Some(Session { path, .. }), _) | (None, Some(Inference { path, .. })) => {
                format!("{device}, {path}")
            }
            (None, None) => device.clone(),
        }
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn parameters(&mut self) -> Result<Vec<f64>> {
        let count = self.plan.layout.len();
        Ok(widen(&self.gpu.read(&self.parameters, count)?))
    }

    fn set_parameters(&mut self, parameters: &[f64]) -> Result<()> {
        check_count(&self.plan, parameters.len())?;
        self.gpu.write(&self.parameters, parameters)
    }

    fn start_weighted(
        &mut self,
        rows: Arc<Matrix<f32>>,
        weights: Arc<Vec<f32>>,
        training: &Training,
    ) -> Result<()> {
        check_training_rows(&self.plan, &rows, &weights)?;
        self.session = None;
        let session = Session::new(self.builder(), self.path, &rows, &weights, training)?;
        self.session = Some(session);
        Ok(())
    }

    fn replace_rows(
        &mut self,
        rows: Arc<Matrix<f32>>,
        weights: Arc<Vec<f32>>,
        batches: &Batches,
    ) -> Result<()> {
        check_training_rows(&self.plan, &rows, &weights)?;
        started(&mut self.session)?.replace_rows(&self.gpu, &rows, &weights, batches)
    }

    fn train(&mut self, steps: usize) -> Result<StepsOutcome> {
        let session = started(&mut self.session)?;
        let mut losses = Vec::with_capacity(steps);
        let mut fault = None;
        while losses.len() < steps && fault.is_none() {
            let some = LOSSES.min(steps - losses.len());
            let taken = session.train(&self.gpu, &self.plan, some)?;
            losses.extend(taken.losses);
            fault = taken.fault;
        }
        Ok(StepsOutcome { losses, fault })
    }

    fn timed_step(&mut self) -> Result<Vec<KernelTime>> {
        if !self.gpu.has_clock() {
            self.train(1)?;
            return Ok(Vec::new());
        }
        let session = started(&mut self.session)?;
        session.timed_step(&self.gpu, &self.plan)
    }

    fn loss_and_gradient(&mut self) -> Result<(f64, Vec<f64>)> {
        let batch = started(&mut self.session)?.batch();
        self.gradient(&batch)
    }

    fn gradient(&mut self, batch: &Batch) -> Result<(f64, Vec<f64>)> {
        started(&mut self.session)?.gradient(&self.gpu, &self.plan, batch)
    }

    fn apply(&mut self, gradient: &[f64]) -> Result<Option<Fault>> {
        started(&mut self.session)?.apply(&self.gpu, &self.plan, gradient)
    }

    fn state(&mut self) -> Result<TrainingState> {
        let session = started(&mut self.session)?;
        session.state(&self.gpu, &self.plan, &self.parameters)
    }

    fn set_state(&mut self, state: &TrainingState) -> Result<()> {
        let session = started(&mut self.session)?;
        session.set_state(&self.gpu, &self.plan, &self.parameters, state)
    }

    fn forward(&mut self, x: &Matrix<f64>) -> Result<(Matrix<f64>, Vec<f64>)> {
        check_width(&self.plan, x.columns())?;
        let dims = self.plan.dims();
        let (gpu, inference) = self.inference()?;
        let out = inference.map_rows(
            gpu,
            x.rows(),
            |gpu, program, rows, stride| {
                upload(gpu, stride, &program.data, 0, part(x, 0..x.columns(), rows));
                Step::default()
            },
            |program| program.forward.clone(),
            |program| vec![(&program.latent, dims), (&program.log_det, 1)],
        )?;
        let [z, log_det] = <[_; 2]>::try_from(out).expect("two outputs");
        Ok((z, log_det.into_values()))
    }

    fn inverse(&mut self, z: &Matrix<f64>) -> Result<Matrix<f64>> {
        check_width(&self.plan, z.columns())?;
        let dims = self.plan.dims();
        let (gpu, inference) = self.inference()?;
        let out = inference.map_rows(
            gpu,
            z.rows(),
            |gpu, program, rows, stride| {
                let latent = part(z, 0..dims, rows.clone());
                upload(gpu, stride, &program.latent, 0, latent);
                let context = part(z, dims..z.columns(), rows);
                upload(gpu, stride, &program.data, dims, context);
                Step::default()
            },
            |program| program.inverse.clone(),
            |program| vec![(&program.data, dims)],
        )?;
        let [x] = <[_; 1]>::try_from(out).expect("one output");
        Ok(x)
    }

    fn log_prob(&mut self, x: &Matrix<f64>) -> Result<Vec<f64>> {
        check_width(&self.plan, x.columns())?;
        let (gpu, inference) = self.inference()?;
        let out = inference.map_rows(
            gpu,
            x.rows(),
            |gpu, program, rows, stride| {
                upload(gpu, stride, &program.data, 0, part(x, 0..x.columns(), rows));
                Step::default()
            },
            |program| program.forward.clone(),
            |program| vec![(&program.log_prob, 1)],
        )?;
        let [log_prob] = <[_; 1]>::try_from(out).expect("one output");
        Ok(nan_to_neg_infinity(log_prob.into_values()))
    }

    fn sample_given(
        &mut self,
        seed: u64,
        rows: Range<u64>,
        context: &Matrix<f64>,
    ) -> Result<Matrix<f64>> {
        let dims = self.plan.dims();
        let count = sample_count(&self.plan, &rows)?;
        check_context(&self.plan, count, context)?;
        let (gpu, inference) = self.inference()?;
        let out = inference.map_rows(
            gpu,
            count,
            |gpu, program, indices, stride| {
                let given = part(context, 0..context.columns(), indices.clone());
                upload(gpu, stride, &program.data, dims, given);
                let first = rows.start + indices.start as u64;
                Step {
                    seed_low: seed as u32,
                    seed_high: (seed >> 32) as u32,
                    sample_row_low: first as u32,
                    sample_row_high: (first >> 32) as u32,
                    ..Step::default()
                }
            },
            |program| program.sample.clone(),
            |program| vec![(&program.data, dims)],
        )?;
        let [x] = <[_; 1]>::try_from(out).expect("one output");
        Ok(x)
    }
}

fn part(table: &Matrix<f64>, columns: Range<usize>, rows: Range<usize>) -> Part<'_> {
    Part {
        table,
        columns,
        rows,
    }
}

/// The training session, which the caller was told to start.
fn started(session: &mut Option<Session>) -> Result<&mut Session> {
    session.as_mut().ok_or_else(not_started)
}
