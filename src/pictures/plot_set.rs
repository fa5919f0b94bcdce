use crate::data::take;
use crate::error::{Error, Result};
use crate::fit::Flow;
use crate::flow::Density;
use crate::kinds::NumberColumn;
use crate::matrix::Matrix;
use crate::train::LossCurve;

use super::axes::{Interval, evenly};
use super::column_axis::ColumnAxis;
use super::conditional::MOST_CONTEXTS;
use super::{
    Curve, Field, Latent, PROBABILITIES, Picture, Prediction, calibration, conditional, corner,
    density, latent, loss, prediction, scores, spread, spread_map,
};

/// What to draw.
#[derive(Default)]
pub struct PlotRequest<'a> {
    /// Rows to hold the model against, in the columns of [`Flow::all_columns`] and their units.
    pub data: Option<&'a Matrix<f64>>,
    /// Rows to judge it by, which it was not trained on: their latents and scores are drawn. Without them it is by `data`.
    pub held_out: Option<&'a Matrix<f64>>,
    /// How it was trained.
    pub loss_curve: Option<&'a LossCurve>,
    /// The modelled columns to draw, by their indices; none are the first few.
    pub columns: Vec<usize>,
    /// Rows of context to draw the model for. Without them some of the data are chosen.
    pub contexts: Option<&'a Matrix<f64>>,
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

/// Rows whose latents are drawn, at most, and whose quantiles.
const LATENTS: usize = 100_000;
const PREDICTIONS: usize = 20_000;

/// The fewest held-out rows that are judged by themselves.
const ENOUGH: usize = 100;

impl PlotSet {
    /// Samples, scores, and draws.
    ///
    /// # Errors
    /// As [`Flow::log_prob`] and [`Flow::sample`]; [`Error::Spec`] for a flow with context where there are neither data nor contexts.
    pub fn new(flow: &Flow, request: &PlotRequest<'_>) -> Result<Self> {
        let (names, axes) = (&flow.model().columns[..], ColumnAxis::of(flow.model()));
        let has_levels = !flow.model().categories().is_empty();
        let is_conditional = !flow.model().given().is_empty();
        let shown: Vec<usize> = match request.columns.is_empty() {
            true => {
                let order = flow.model().modelled_order().into_iter();
                order.take(COLUMNS).collect()
            }
            false => request.columns.clone(),
        };
        let mut pictures: Vec<Picture> = request.loss_curve.map(loss).into_iter().collect();

        let context = match is_conditional {
            true => context_of_sample(flow, request)?,
            false => Matrix::zeros(SAMPLE as usize, 0),
        };
        let sample = flow.sample_given(&context, 0..SAMPLE, SEED)?;
        let among = |rows: &Matrix<f64>| -> Matrix<f64> {
            Matrix::from_fn(rows.rows(), shown.len(), |row, j| rows.get(row, shown[j]))
        };
        let few: Vec<ColumnAxis> = shown.iter().map(|&j| axes[j].clone()).collect();
        let data = request.data.map(among);
        let mut of_columns = corner(&few, data.as_ref(), &among(&sample));
        if is_conditional {
            of_columns.caption += match request.data {
                Some(_) => " Each of them is drawn given the context of a row of data.",
                None => " All of them are drawn given the same context.",
            };
        }
        pictures.push(of_columns);

        // Between whole numbers there is no density to draw.
        let kinds = &flow.model().preprocessing.kinds;
        let is_discrete = kinds.iter().any(NumberColumn::is_discrete);
        let is_plane = names.len() == 2 && !is_conditional && !has_levels && !is_discrete;
        let is_one = names.len() == 1 && is_conditional && !has_levels;
        let is_ensemble = flow.model().flows.len() > 1;
        if is_plane {
            let field = Field::over(&axes, request.data.unwrap_or(&sample));
            let log_prob = flow.log_prob(&field.points())?;
            pictures.push(density(names, &field, &log_prob, request.data));
            if is_ensemble {
                let spread = flow.spread(&field.points())?;
                pictures.push(spread_map(names, &field, &spread, request.data));
            }
        }

        let enough = |rows: &&Matrix<f64>| rows.rows() >= ENOUGH;
        let judged_by = request.held_out.filter(enough).or(request.data);
        if let Some(rows) = judged_by
            && is_one
        {
            pictures.extend(predictions(flow, rows)?);
        }
        if is_one {
            let contexts = match (request.contexts, judged_by) {
                (Some(contexts), _) => contexts.clone(),
                (None, Some(rows)) => typical_contexts(flow, rows)?,
                (None, None) => return Err(no_context()),
            };
            pictures.push(conditional(&names[0], &curves(flow, &contexts)?));
        }
        if let Some(rows) = judged_by {
            // Members of a stack have no latent in common.
            if let Some(density) = flow.model().latent_density() {
                let of_numbers = shown.iter().copied().filter(|&j| j < names.len());
                let of_numbers: Vec<usize> = of_numbers.collect();
                if !of_numbers.is_empty() {
                    pictures.push(latent(&latents(flow, rows, density, of_numbers)?));
                }
            }
            let log_prob = flow.log_prob(rows)?;
            pictures.push(scores(&log_prob));
            if is_ensemble && !is_plane {
                pictures.push(spread(&log_prob, &flow.spread(rows)?));
            }
        }
        Ok(PlotSet { pictures })
    }
}

fn no_context() -> Error {
    Error::spec(
        "a density given context is drawn for rows of data, or for a context that is chosen",
    )
}

/// The context of rows of [`Flow::all_columns`].
fn context_of(flow: &Flow, rows: &Matrix<f64>) -> Matrix<f64> {
    rows.select_columns(flow.columns().len()..rows.columns())
}

/// What each row of the sample is given: the context of the rows of data, evenly, or the first of those that were chosen.
fn context_of_sample(flow: &Flow, request: &PlotRequest<'_>) -> Result<Matrix<f64>> {
    let contexts = match (request.data, request.contexts) {
        (Some(rows), _) => context_of(flow, rows),
        (None, Some(contexts)) => take(contexts, &[0]),
        (None, None) => return Err(no_context()),
    };
    let rows = (0..SAMPLE).map(|k| (k * contexts.rows() as u64 / SAMPLE) as u32);
    Ok(take(&contexts, &rows.collect::<Vec<_>>()))
}

/// At most so many rows, evenly from all of them.
fn some_of(rows: &Matrix<f64>, most: usize) -> Matrix<f64> {
    let indices: Vec<u32> = evenly(rows.rows(), most).map(|row| row as u32).collect();
    take(rows, &indices)
}

/// What a flow over one column predicts for rows, and whether it is calibrated.
fn predictions(flow: &Flow, rows: &Matrix<f64>) -> Result<[Picture; 2]> {
    let few = some_of(rows, PREDICTIONS);
    let quantiles = flow.quantiles(&context_of(flow, &few), &PROBABILITIES)?;
    Ok([
        prediction(&Prediction {
            column: &flow.columns()[0],
            truth: few.column(0),
            quantiles: &quantiles,
        }),
        calibration(&flow.cdf(&some_of(rows, LATENTS))?),
    ])
}

/// Contexts of rows whose medians are spread over those of all rows.
fn typical_contexts(flow: &Flow, rows: &Matrix<f64>) -> Result<Matrix<f64>> {
    const ROWS: usize = 1000;
    const FRACTIONS: [f64; 5] = [0.1, 0.3, 0.5, 0.7, 0.9];
    let contexts = context_of(flow, &some_of(rows, ROWS));
    let medians = flow.quantiles(&contexts, &[0.5])?;
    let mut order: Vec<u32> = (0..contexts.rows() as u32).collect();
    let median = |row: u32| medians.get(row as usize, 0);
    order.sort_by(|&a, &b| median(a).total_cmp(&median(b)));
    let mut chosen = FRACTIONS
        .map(|fraction| order[(fraction * (order.len() - 1) as f64) as usize])
        .to_vec();
    chosen.dedup();
    Ok(take(&contexts, &chosen))
}

/// The density of the one column for each context.
fn curves(flow: &Flow, contexts: &Matrix<f64>) -> Result<Vec<Curve>> {
    const POINTS: usize = 400;
    if contexts.rows() > MOST_CONTEXTS {
        return Err(Error::spec(format!(
            "{} contexts are more than a picture has room for; {MOST_CONTEXTS} are the most",
            contexts.rows()
        )));
    }
    let ends = flow.quantiles(contexts, &[0.001, 0.999])?;
    let span = Interval::of(ends.values().iter().copied(), 0.0);
    let x = Matrix::from_fn(POINTS, 1, |k, _| span.middle(k, POINTS));
    // Of whole numbers the probabilities of those.
    let x = flow.model().preprocessing.images(x);
    let each = (0..contexts.rows()).map(|row| {
        let context = take(contexts, &[row as u32]);
        let log_prob = flow.log_prob_given(&x, &context)?;
        let x = x.column(0).iter().copied();
        Ok(Curve {
            given: flow.model().context_to_text(&context),
            points: x.zip(log_prob.iter().map(|p| p.exp())).collect(),
        })
    });
    each.collect()
}

/// The latents of rows, less the base's location and over its spread.
fn latents(flow: &Flow, rows: &Matrix<f64>, density: Density, shown: Vec<usize>) -> Result<Latent> {
    let (z, _) = flow.forward(&some_of(rows, LATENTS))?;
    let mut z = z.select_columns(0..flow.model().columns.len());
    for j in 0..z.columns() {
        let (location, spread) = flow.model().base_at(0, j)?;
        for z in z.column_mut(j) {
            *z = (*z - location) / spread;
        }
    }
    Ok(Latent {
        standardized: z,
        density,
        shown,
    })
}
