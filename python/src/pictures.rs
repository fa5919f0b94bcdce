use std::path::PathBuf;

use couplet::pictures::{PlotRequest, PlotSet, uniform};
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::raise;
use crate::flow::Flow;
use crate::rows::{Rows, matrix};

/// A picture of a flow. A notebook shows it.
#[pyclass(frozen, module = "couplet")]
pub struct Picture(couplet::pictures::Picture);

#[pymethods]
impl Picture {
    /// A word for what it is: corner, density, latent, ...
    #[getter]
    fn name(&self) -> &str {
        self.0.name
    }

    /// What it shows, in a sentence or two.
    #[getter]
    fn caption(&self) -> &str {
        &self.0.caption
    }

    /// The picture as an SVG document.
    fn svg(&self) -> String {
        self.0.svg()
    }

    /// The picture as a PNG file, with `scale` pixels for each unit of the SVG.
    #[pyo3(signature = (scale=2.0))]
    fn png<'py>(&self, py: Python<'py>, scale: f32) -> PyResult<Bound<'py, PyBytes>> {
        let png = raise(py.detach(|| self.0.png(scale)))?;
        Ok(PyBytes::new(py, &png))
    }

    /// Writes it to a file, which is a PNG if its name ends so, with `scale` pixels for each unit of the SVG.
    #[pyo3(signature = (path, *, scale=2.0))]
    fn save(&self, py: Python<'_>, path: PathBuf, scale: f32) -> PyResult<()> {
        let is_png = path
            .extension()
            .is_some_and(|it| it.eq_ignore_ascii_case("png"));
        py.detach(|| {
            let bytes = match is_png {
                true => raise(self.0.png(scale))?,
                false => self.0.svg().into_bytes(),
            };
            raise(std::fs::write(&path, bytes).map_err(couplet::Error::io(&path)))
        })
    }

    fn _repr_svg_(&self) -> String {
        self.0.svg()
    }

    fn __repr__(&self) -> String {
        format!("<couplet.Picture {}: {}>", self.0.name, self.0.caption)
    }
}

/// The pictures that there can be of a flow, in the order to look at them.
#[pyfunction]
#[pyo3(signature = (flow, rows, contexts, columns))]
pub fn pictures(
    py: Python<'_>,
    flow: &Flow,
    rows: Option<Rows<'_>>,
    contexts: Option<Rows<'_>>,
    columns: Vec<usize>,
) -> PyResult<Vec<Picture>> {
    let data = rows.as_ref().map(matrix);
    let contexts = contexts.as_ref().map(matrix);
    let set = flow.compute(py, |flow| {
        let request = PlotRequest {
            data: data.as_ref(),
            contexts: contexts.as_ref(),
            columns,
            ..PlotRequest::default()
        };
        PlotSet::new(flow, &request)
    })?;
    Ok(set.pictures.into_iter().map(Picture).collect())
}

/// A picture of probabilities that are uniform where a model is calibrated.
#[pyfunction]
pub fn calibration(
    label: &str,
    caption: &str,
    probabilities: PyReadonlyArray1<'_, f64>,
) -> PyResult<Picture> {
    let probabilities = probabilities.as_array().to_vec();
    Ok(Picture(uniform(label, caption, &probabilities)))
}
