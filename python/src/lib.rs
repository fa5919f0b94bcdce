//! The native half of the Python package: what `couplet/*.py` calls. It converts, and lets Python's threads run while couplet
//! works.

mod error;
mod fit;
mod flow;
mod pictures;
mod rows;
mod settings;
mod table;
mod threads;

use pyo3::prelude::*;

/// What the package imports as `couplet._couplet`.
#[pymodule(gil_used = false)]
mod _couplet {
    use std::ffi::OsString;

    use couplet::fit::{Device, DeviceChoice};
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::fit::fit;
    #[pymodule_export]
    use super::flow::Flow;
    #[pymodule_export]
    use super::pictures::{Picture, calibration, pictures};
    #[pymodule_export]
    use super::settings::settings;
    #[pymodule_export]
    use super::table::{Reader, Table};

    /// The version of the package.
    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "Python's name for it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    /// Whether there is a hardware GPU.
    #[pyfunction]
    fn has_gpu(py: Python<'_>) -> bool {
        let auto = DeviceChoice::default();
        py.detach(|| Device::choose(&auto).is_ok_and(|device| device.adapter().is_some()))
    }

    /// The command line: returns its exit code.
    #[pyfunction]
    fn run_command(py: Python<'_>, args: Vec<OsString>, stdout_is_closed: bool) -> u8 {
        if stdout_is_closed {
            couplet::cli::stdout_is_closed();
        }
        py.detach(|| couplet::cli::run(args))
    }
}

/// A value of a module of the package.
fn of_package<'py>(py: Python<'py>, module: &str, name: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import(module)?.getattr(name)
}
