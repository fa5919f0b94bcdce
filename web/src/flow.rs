use couplet::Matrix;
use couplet::model::Model;
use serde_json::json;
use wasm_bindgen::prelude::*;

use crate::error::thrown;
use crate::table::{Table, matrix, rows, whole_rows};

/// A trained flow, on the CPU. Rows have its columns in their order, then those of its context.
#[wasm_bindgen]
pub struct Flow(pub(crate) couplet::Flow);

#[wasm_bindgen]
impl Flow {
    /// Reads the bytes of a model file.
    pub fn load(bytes: Vec<u8>) -> Result<Flow, JsError> {
        let model = Model::from_bytes(bytes).map_err(thrown)?;
        Ok(Flow(couplet::Flow::new(model).map_err(thrown)?))
    }

    /// The bytes of its model file.
    pub fn save(&self) -> Result<Vec<u8>, JsError> {
        self.0.model().to_bytes().map_err(thrown)
    }

    /// Its columns, those of its context, the levels of all of them, and what it is made of, as JSON.
    pub fn describe(&self) -> Result<String, JsError> {
        let model = self.0.model();
        let plain = model.preprocessing.kinds.is_empty() && model.categories().is_empty();
        let all = json!({
            "columns": self.0.columns(),
            "given": self.0.context_columns(),
            "levels": model.row_levels(),
            "isSmooth": plain && model.given().is_empty(),
            "text": model.to_text().map_err(thrown)?,
        });
        Ok(all.to_string())
    }

    /// The log-density of each row of numbers that follow row after row.
    #[wasm_bindgen(js_name = logProb)]
    pub fn log_prob(&self, values: &[f64]) -> Result<Vec<f64>, JsError> {
        self.0.log_prob(&self.rows(values)?).map_err(thrown)
    }

    /// The same in 64-bit arithmetic.
    #[wasm_bindgen(js_name = logProbInF64)]
    pub fn log_prob_in_f64(&self, values: &[f64]) -> Result<Vec<f64>, JsError> {
        let flow = couplet::Flow::new(self.0.model().clone()).and_then(couplet::Flow::in_f64);
        let log_prob = flow.and_then(|flow| flow.log_prob(&self.rows(values)?));
        log_prob.map_err(thrown)
    }

    /// The log-density of each row of a table that was read for the flow.
    #[wasm_bindgen(js_name = score)]
    pub fn score(&self, table: &Table) -> Result<Vec<f64>, JsError> {
        self.0.log_prob(&table.0.values).map_err(thrown)
    }

    /// Rows drawn from the density, each given the same row of `context` or its only one, in the precision of the table.
    pub fn sample(&self, count: u32, seed: u32, context: &[f64]) -> Result<Vec<f64>, JsError> {
        let context = self.context(context, count as usize);
        let sample = self
            .0
            .sample_given(&context, 0..u64::from(count), u64::from(seed))
            .map_err(thrown)?;
        let rounding = self.0.model().sample_rounding();
        let numbers = self.0.spec().dims;
        let rounded = Matrix::from_fn(sample.rows(), sample.columns(), |row, j| {
            match j < numbers {
                true => rounding.round(sample.get(row, j), j),
                // The index of a level.
                false => sample.get(row, j),
            }
        });
        Ok(rows(&rounded))
    }

    /// The latent of each row, row after row, then the log-determinants.
    pub fn forward(&self, values: &[f64]) -> Result<Vec<f64>, JsError> {
        let (z, log_det) = self.0.forward(&self.rows(values)?).map_err(thrown)?;
        Ok([rows(&z), log_det].concat())
    }

    /// The rows that latents come from, each given the same row of `context` or its only one.
    pub fn inverse(&self, latents: &[f64], context: &[f64]) -> Result<Vec<f64>, JsError> {
        let z = matrix(latents, self.0.columns().len());
        let context = self.context(context, z.rows());
        let x = self.0.inverse_given(&z, &context).map_err(thrown)?;
        Ok(rows(&x))
    }
}

impl Flow {
    fn rows(&self, values: &[f64]) -> couplet::Result<Matrix<f64>> {
        whole_rows(values, self.0.all_columns().len())
    }

    /// Rows of what is given: as many as asked for where nothing is.
    fn context(&self, values: &[f64], rows: usize) -> Matrix<f64> {
        match self.0.context_columns().len() {
            0 => Matrix::zeros(rows, 0),
            given => matrix(values, given),
        }
    }
}
