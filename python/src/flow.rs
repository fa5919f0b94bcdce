use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use couplet::fit::{Device, DeviceChoice, DeviceName, Purpose};
use couplet::kinds::Kind;
use couplet::model::Model;
use couplet::{Matrix, Result};
use numpy::PyArray1;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rayon::ThreadPool;

use crate::error::raise;
use crate::rows::{Array, Numbers, Rows, array, matrix};
use crate::settings;
use crate::threads::pool;

/// A trained flow. Rows are of float64, one column a modelled column.
#[pyclass(frozen, module = "couplet._couplet")]
pub struct Flow {
    /// Only who is attached to Python locks it, so that no fork finds it locked.
    opened: Mutex<Opened>,
    /// The threads to compute with on the CPU.
    threads: Option<usize>,
}

struct Opened {
    flow: Arc<couplet::Flow>,
    on_gpu: bool,
    /// The process that it was opened in.
    pid: u32,
}

/// The process that a GPU was first opened in; 0 before.
static GPU_PROCESS: AtomicU32 = AtomicU32::new(0);

/// Remembers that a GPU is open.
fn note_gpu(is_on_gpu: bool) {
    if is_on_gpu {
        let pid = process::id();
        let _ = GPU_PROCESS.compare_exchange(0, pid, Ordering::SeqCst, Ordering::SeqCst);
    }
}

/// Refuses to open a GPU in a process that was forked from one that has: no driver survives that.
pub fn check_fork(choice: &DeviceChoice) -> PyResult<()> {
    let first = GPU_PROCESS.load(Ordering::SeqCst);
    if first == 0 || first == process::id() || choice.device == DeviceName::Cpu {
        return Ok(());
    }
    Err(PyRuntimeError::new_err(
        "a GPU was in use when this process was forked, and no driver survives that; start processes by \"spawn\" \
         (multiprocessing.set_start_method), or set device=\"cpu\"",
    ))
}

impl Flow {
    pub fn of(flow: couplet::Flow, on_gpu: bool, threads: Option<usize>) -> Self {
        note_gpu(on_gpu);
        Flow {
            opened: Mutex::new(Opened {
                flow: Arc::new(flow),
                on_gpu,
                pid: process::id(),
            }),
            threads,
        }
    }

    fn open(py: Python<'_>, model: Model, device: &str, threads: Option<usize>) -> PyResult<Self> {
        let (_, choice) = raise(settings::parse(device))?;
        let pool = pool(py, threads)?;
        check_fork(&choice)?;
        let opened = py.detach(|| pool.install(|| open(model, &choice)));
        let (flow, on_gpu) = raise(opened)?;
        Ok(Self::of(flow, on_gpu, threads))
    }

    /// The flow, and the threads to compute with.
    fn ready(&self, py: Python<'_>) -> PyResult<(Arc<couplet::Flow>, Arc<ThreadPool>)> {
        let pool = pool(py, self.threads)?;
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.pid != process::id() {
            if opened.on_gpu {
                check_fork(&DeviceChoice::default())?;
            }
            // A thread of the parent may have held the executor.
            let model = opened.flow.model().clone();
            let flow = Arc::new(raise(pool.install(|| couplet::Flow::new(model)))?);
            std::mem::forget(std::mem::replace(&mut opened.flow, flow));
            opened.pid = process::id();
        }
        Ok((opened.flow.clone(), pool))
    }

    /// Calls `work` with the flow, while Python's threads run.
    pub fn compute<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&couplet::Flow) -> Result<T> + Send,
    ) -> PyResult<T> {
        let (flow, pool) = self.ready(py)?;
        raise(py.detach(|| pool.install(|| work(&flow))))
    }

    /// A number for each row, whose context is given.
    fn of_rows<'py>(
        &self,
        py: Python<'py>,
        rows: &Rows<'py>,
        given: &Rows<'py>,
        work: impl FnOnce(&couplet::Flow, &Matrix<f64>) -> Result<Vec<f64>> + Send,
    ) -> PyResult<Numbers<'py>> {
        let (rows, given) = (matrix(rows), matrix(given));
        let numbers = self.compute(py, |flow| work(flow, &flow.rows_given(&rows, &given)?))?;
        Ok(PyArray1::from_vec(py, numbers))
    }

    /// What a model file holds.
    pub fn model(&self) -> PyResult<Model> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(opened.flow.model().clone())
    }
}

/// The flow, and whether it is on a GPU.
fn open(model: Model, choice: &DeviceChoice) -> Result<(couplet::Flow, bool)> {
    let device = Device::choose(choice)?;
    let fallback = choice.fallback_to_cpu;
    let flow = couplet::Flow::ready_for(Purpose::Score, model, &device, fallback)?;
    Ok((flow, device.adapter().is_some()))
}

#[pymethods]
impl Flow {
    /// Reads a model file.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf, device: &str, threads: Option<usize>) -> PyResult<Self> {
        let model = raise(py.detach(|| Model::load(&path)))?;
        Self::open(py, model, device, threads)
    }

    /// Of the bytes of a model file.
    #[staticmethod]
    fn from_bytes(
        py: Python<'_>,
        file: Vec<u8>,
        device: &str,
        threads: Option<usize>,
    ) -> PyResult<Self> {
        Self::open(py, raise(Model::from_bytes(file))?, device, threads)
    }

    /// The bytes of its model file.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &raise(self.model()?.to_bytes())?))
    }

    /// Writes the model file atomically.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        let model = self.model()?;
        raise(py.detach(|| model.save(&path)))
    }

    /// The names of the modelled columns.
    #[getter]
    fn columns(&self) -> PyResult<Vec<String>> {
        Ok(self.model()?.modelled())
    }

    /// Where they stand in the table that it was fitted to: its first column, its second, ...
    #[getter]
    fn order(&self) -> PyResult<Vec<usize>> {
        Ok(self.model()?.modelled_order())
    }

    /// The levels of each of them, none of one of numbers, and its kind.
    #[getter]
    fn kinds(&self) -> PyResult<Vec<(Vec<String>, String)>> {
        let model = self.model()?;
        let kind = |j: usize| {
            let column = model.preprocessing.kinds.get(j);
            column.map_or_else(Kind::default, |column| column.kind)
        };
        let numbers = (0..model.columns.len()).map(|j| (Vec::new(), kind(j).to_string()));
        let categories = model.categories().iter();
        let categories =
            categories.map(|column| (column.levels.clone(), Kind::Categorical.to_string()));
        Ok(numbers.chain(categories).collect())
    }

    /// The names of the columns of context.
    #[getter]
    fn context_columns(&self) -> PyResult<Vec<String>> {
        Ok(self.model()?.context_names())
    }

    /// Whether the names come from the table that it was fitted to.
    #[getter]
    fn named(&self) -> PyResult<bool> {
        Ok(self.model()?.named)
    }

    /// The settings that it was trained with, as JSON: `model`, and `train` where that is known.
    fn settings(&self) -> PyResult<String> {
        let model = self.model()?;
        let config = couplet::config::ModelConfig::of(&model.spec);
        let steps = model.preprocessing.steps();
        let settings = serde_json::json!({
            "model": config,
            "train": model.training,
            "data": { "standardize": steps.standardize, "whiten": steps.whiten, "robust": steps.robust },
        });
        Ok(settings.to_string())
    }

    /// The log-density of each row, in nats.
    fn log_prob<'py>(
        &self,
        py: Python<'py>,
        rows: Rows<'py>,
        given: Rows<'py>,
    ) -> PyResult<Numbers<'py>> {
        let (rows, given) = (matrix(&rows), matrix(&given));
        let scores = self.compute(py, |flow| flow.log_prob_given(&rows, &given))?;
        Ok(PyArray1::from_vec(py, scores))
    }

    /// Rows `first` to `end` of the sample of a seed, given a row of context each, or one for all.
    fn sample<'py>(
        &self,
        py: Python<'py>,
        first: u64,
        end: u64,
        seed: u64,
        given: Rows<'py>,
    ) -> PyResult<Array<'py>> {
        let given = matrix(&given);
        let rows = self.compute(py, |flow| flow.sample_given(&given, first..end, seed))?;
        array(py, rows)
    }

    /// The latent of each row, and log |det dz/dx|.
    fn forward<'py>(
        &self,
        py: Python<'py>,
        rows: Rows<'py>,
        given: Rows<'py>,
    ) -> PyResult<(Array<'py>, Numbers<'py>)> {
        let (rows, given) = (matrix(&rows), matrix(&given));
        let (z, log_det) = self.compute(py, |flow| flow.forward_given(&rows, &given))?;
        Ok((array(py, z)?, PyArray1::from_vec(py, log_det)))
    }

    /// The rows that latents come from.
    fn inverse<'py>(
        &self,
        py: Python<'py>,
        z: Rows<'py>,
        given: Rows<'py>,
    ) -> PyResult<Array<'py>> {
        let (z, given) = (matrix(&z), matrix(&given));
        let rows = self.compute(py, |flow| flow.inverse_given(&z, &given))?;
        array(py, rows)
    }

    /// The standard deviation of each row's log-density over the flows of an ensemble.
    fn spread<'py>(
        &self,
        py: Python<'py>,
        rows: Rows<'py>,
        given: Rows<'py>,
    ) -> PyResult<Numbers<'py>> {
        self.of_rows(py, &rows, &given, couplet::Flow::spread)
    }

    /// The probability below each number, of a flow over one column.
    fn cdf<'py>(
        &self,
        py: Python<'py>,
        rows: Rows<'py>,
        given: Rows<'py>,
    ) -> PyResult<Numbers<'py>> {
        self.of_rows(py, &rows, &given, couplet::Flow::cdf)
    }

    /// A row of quantiles for each row of context, of a flow over one column.
    fn quantiles<'py>(
        &self,
        py: Python<'py>,
        given: Rows<'py>,
        probabilities: Vec<f64>,
    ) -> PyResult<Array<'py>> {
        let given = matrix(&given);
        array(
            py,
            self.compute(py, |flow| flow.quantiles(&given, &probabilities))?,
        )
    }

    /// The mean given each row of context, of a flow over one column.
    fn mean<'py>(&self, py: Python<'py>, given: Rows<'py>) -> PyResult<Numbers<'py>> {
        let given: Matrix<f64> = matrix(&given);
        Ok(PyArray1::from_vec(
            py,
            self.compute(py, |flow| flow.mean(&given))?,
        ))
    }
}
