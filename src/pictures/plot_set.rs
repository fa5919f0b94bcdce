use crate::cpu::Real;
use crate::data::take;
use crate::error::Result;
use crate::fit::Flow;
use crate::flow::Density;
use crate::matrix::Matrix;
use crate::train::LossCurve;

use super::axes::evenly;
use super::{Field, Latent, Picture, corner, density, latent, loss, scores};

/// What to draw.
#[derive(Default)]
pub struct PlotRequest<'a> {
    /// Rows to hold the model against, in the model's columns and units.
    pub data: Option<&'a Matrix<f64>>,
    /// Rows to judge it by, which it was not trained on: their latents and scores are drawn. Without them it is by `data`.
    pub held_out: Option<&'a Matrix<f64>>,
    /// How it was trained.
    pub loss_curve: Option<&'a LossCurve>,
    /// The columns to draw, by their indices; none are the first few.
    pub columns: Vec<usize>,
}

/// All pictures that there can be of a flow.
pub struct PlotSet {
    /// In the order to look at them.
    pub pictures: Vec<Picture>,
}

/// Columns that a picture has room for.
const COLUMNS: usize = 8;

/// Rows drawn from the model, and their seed.
const SAMPLE: u64 = 50_000;
const SEED: u64 = 0;

/// Rows whose latents are drawn, at most.
const LATENTS: usize = 100_000;

/// The fewest held-out rows that are judged by themselves.
const ENOUGH: usize = 100;

impl PlotSet {
    /// Samples, scores, and draws.
    ///
    /// # Errors
    /// As [`Flow::log_prob`] and [`Flow::sample`].
    pub fn new(flow: &Flow, request: &PlotRequest<'_>) -> Result<Self> {
        let names = flow.columns();
        let shown: Vec<usize> = match request.columns.is_empty() {
            true => (0..names.len().min(COLUMNS)).collect(),
            false => request.columns.clone(),
        };
        let mut pictures: Vec<Picture> = request.loss_curve.map(loss).into_iter().collect();

        let sample = flow.sample(0..SAMPLE, SEED)?;
        let among = |rows: &Matrix<f64>| -> Matrix<f64> {
            Matrix::from_fn(rows.rows(), shown.len(), |row, j| rows.get(row, shown[j]))
        };
        let few: Vec<String> = shown.iter().map(|&j| names[j].clone()).collect();
        let data = request.data.map(among);
        pictures.push(corner(&few, data.as_ref(), &among(&sample)));

        if names.len() == 2 {
            let field = Field::over(request.data.unwrap_or(&sample));
            let log_prob = flow.log_prob(&field.points())?;
            pictures.push(density(names, &field, &log_prob, request.data));
        }

        let enough = |rows: &&Matrix<f64>| rows.rows() >= ENOUGH;
        let judged_by = request.held_out.filter(enough).or(request.data);
        if let Some(rows) = judged_by {
            pictures.push(latent(&latents(flow, rows, shown)?));
            pictures.push(scores(&flow.log_prob(rows)?));
        }
        Ok(PlotSet { pictures })
    }
}

/// The latents of rows, less the base's location and over its spread.
fn latents(flow: &Flow, rows: &Matrix<f64>, shown: Vec<usize>) -> Result<Latent> {
    let indices: Vec<u32> = evenly(rows.rows(), LATENTS).map(|row| row as u32).collect();
    let (mut z, _) = flow.forward(&take(rows, &indices))?;
    let model = flow.model();
    let base = model.plan()?.base;
    if base.kind.trained {
        for j in 0..z.columns() {
            let location = f64::from(model.parameters[base.location.start + j]);
            let raw = f64::from(model.parameters[base.raw_spread.start + j]);
            let spread = match base.kind.density {
                // The file keeps a normal base's variance.
                Density::Normal => raw.softplus().sqrt(),
                Density::Logistic => raw.softplus(),
            };
            for z in z.column_mut(j) {
                *z = (*z - location) / spread;
            }
        }
    }
    Ok(Latent {
        standardized: z,
        density: base.kind.density,
        shown,
    })
}
