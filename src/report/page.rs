//! Builds the page of a fit from its report.

use crate::data::{Part, resample, take};
use crate::error::{Message, Result, Setting};
use crate::fit::{Flow, Prepared, Report, Scored, Scores, TwoSample};
use crate::matrix::Matrix;
use crate::pictures::{PlotRequest, PlotSet};

use super::Page;

/// Rows that are listed.
const LISTED: usize = 10;

/// What a page says of where its rows came from.
pub struct Origin {
    /// What was fitted, as a title.
    pub title: String,
    /// The same within a sentence.
    pub name: String,
    /// The model file.
    pub model: String,
    /// Commands that do it again, and use the model.
    pub commands: Vec<String>,
}

/// The pictures of a fit.
///
/// # Errors
/// As [`PlotSet::new`].
pub fn pictures(flow: &Flow, prepared: &Prepared, report: &Report) -> Result<PlotSet> {
    let rows = Rows::of(prepared);
    let data = by_weight(rows.all, &rows.weights);
    let held_out = held_out(prepared);
    PlotSet::new(
        flow,
        &PlotRequest {
            data: Some(&data),
            held_out: held_out.as_ref(),
            loss_curve: Some(&report.loss_curve),
            ..PlotRequest::default()
        },
    )
}

/// The rows held out, as many where they weigh more.
fn held_out(prepared: &Prepared) -> Option<Matrix<f64>> {
    let rows = prepared.validation.as_ref()?;
    Some(by_weight(
        prepared.in_table(rows),
        &prepared.validation_weights,
    ))
}

/// A fit on a page. Settings are shown as `show` has them.
///
/// # Errors
/// Those of the flow's device.
pub fn page(
    flow: &Flow,
    prepared: &Prepared,
    report: &Report,
    origin: Origin,
    pictures: &PlotSet,
    show: impl Fn(&Setting) -> String,
) -> Result<String> {
    let (columns, levels) = (flow.all_columns(), flow.model().row_levels());
    let two_sample = match held_out(prepared) {
        None => None,
        Some(rows) => flow.two_sample_test(&rows)?,
    };
    let page = Page {
        lead: lead(prepared, &origin, &show),
        verdict: verdict(report),
        advice: report.advice().map(|advice| advice.to_sentence(&show)),
        judged_by: judged_by(report),
        scores: scores(report),
        pictures: &pictures.pictures,
        columns: &columns,
        levels: &levels,
        lowest: lowest(flow, prepared)?,
        facts: facts(prepared, report, &origin, two_sample),
        settings: report.config.to_toml(),
        title: origin.title,
        commands: origin.commands,
    };
    Ok(page.html())
}

/// A run's rows in the units of the table.
struct Rows {
    /// In the order of the table.
    all: Matrix<f64>,
    /// The number of each in the table, from 1 on, and its weight; no weights where all count the same.
    numbers: Vec<u64>,
    weights: Vec<f64>,
}

impl Rows {
    fn of(prepared: &Prepared) -> Self {
        let some = prepared.some_rows();
        let trained_on = prepared.in_table(&some.rows);
        let held_out = prepared.validation.as_ref();
        let held_out = held_out.map(|rows| prepared.in_table(rows));
        let both = match &held_out {
            None => trained_on,
            Some(rows) => trained_on.followed_by(rows),
        };
        let held_out = &prepared.split.held_out;
        let numbers: Vec<u32> = some.numbers.iter().chain(held_out).copied().collect();
        let mut order: Vec<u32> = (0..both.rows() as u32).collect();
        order.sort_unstable_by_key(|&index| numbers[index as usize]);
        let weights = [some.weights, prepared.validation_weights.clone()].concat();
        Rows {
            all: take(&both, &order),
            numbers: order
                .iter()
                .map(|&index| u64::from(numbers[index as usize]) + 1)
                .collect(),
            weights: match weights.is_empty() {
                true => weights,
                false => order.iter().map(|&index| weights[index as usize]).collect(),
            },
        }
    }
}

/// Rows that are as many where they weigh more, for pictures.
fn by_weight(rows: Matrix<f64>, weights: &[f64]) -> Matrix<f64> {
    match weights.is_empty() {
        true => rows,
        false => take(&rows, &resample(rows.rows(), weights, rows.rows())),
    }
}

/// The rows of the lowest density.
fn lowest(flow: &Flow, prepared: &Prepared) -> Result<Vec<Scored>> {
    let Rows { all, numbers, .. } = Rows::of(prepared);
    let log_prob = flow.log_prob(&all)?;
    let mut scores = Scores::new(LISTED, false);
    let last = numbers.last().copied().unwrap_or(0);
    let part = Part {
        values: all,
        rows: 1..last + 1,
        numbers,
        texts: Vec::new(),
        table: None,
    };
    scores.note(&part, &log_prob);
    Ok(scores.into_lowest())
}

fn lead(prepared: &Prepared, origin: &Origin, show: &impl Fn(&Setting) -> String) -> Vec<String> {
    let columns = &prepared.model.columns;
    let held_out = match &prepared.validation {
        Some(rows) => format!("; {} more were held out to judge it by", rows.rows()),
        None => String::new(),
    };
    let mut lead = vec![format!(
        "A normalizing flow, fitted to {} rows and {} of {}{held_out}.",
        prepared.row_count(),
        match columns.len() {
            1 => "1 column".into(),
            count => format!("{count} columns"),
        },
        origin.name
    )];
    let given = prepared.model.context_names();
    if columns.len() + given.len() <= 40 {
        let given = match given.is_empty() {
            true => String::new(),
            false => format!(", given {}", given.join(", ")),
        };
        lead.push(format!("Columns: {}{given}.", columns.join(", ")));
    }
    let sentence = |message: &Message| format!("Warning: {}.", message.to_sentence(show));
    let warnings = prepared.warnings.iter();
    lead.extend(warnings.map(|warning| sentence(&warning.message)));
    lead
}

pub(super) fn verdict(report: &Report) -> Option<String> {
    let verdict = report.verdict()?;
    Some(match &report.ground_truth {
        None => verdict,
        Some(truth) => format!(
            "{verdict}: {:.4} ± {:.4} nats from it",
            truth.kl.mean, truth.kl.standard_error
        ),
    })
}

pub(super) fn judged_by(report: &Report) -> String {
    let (rows, kind) = match &report.validation {
        Some(validation) => (validation.rows, "held out"),
        None => (report.nll_rows, "trained on"),
    };
    format!("over the {rows} rows {kind}, in the units of the table")
}

/// The flow first, then what it is compared with.
pub(super) fn scores(report: &Report) -> Vec<(String, f64)> {
    let own = report.validation_nll().unwrap_or(report.nll);
    let mut scores = vec![("this flow".to_string(), own)];
    let others = report.baseline_scores().into_iter();
    scores.extend(others.map(|(words, _, nll)| (words.to_string(), nll)));
    if let Some(truth) = &report.ground_truth {
        scores.push(("the truth (its entropy)".into(), truth.entropy));
    }
    scores
}

fn facts(
    prepared: &Prepared,
    report: &Report,
    origin: &Origin,
    two_sample: Option<TwoSample>,
) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("flow", prepared.model.spec.to_string()),
        ("parameters", prepared.parameters().len().to_string()),
        ("model file", origin.model.clone()),
        (
            "NLL of rows trained on",
            format!("{:.4} nats, over {} rows", report.nll, report.nll_rows),
        ),
    ];
    if let Some(truth) = &report.ground_truth {
        let kl = &truth.kl;
        facts.push((
            "KL divergence from the truth",
            format!(
                "{:.4} ± {:.4} nats, on {} new rows",
                kl.mean, kl.standard_error, kl.rows
            ),
        ));
    }
    if let Some(size) = report.effective_sample_size {
        facts.push((
            "row weights",
            format!("tell as much as {size:.0} rows of equal weight"),
        ));
    }
    if let Some(distance) = report.calibration {
        facts.push((
            "calibration",
            format!("{distance:.4} from uniform, by Kolmogorov's distance"),
        ));
    }
    if let Some(TwoSample {
        accuracy,
        error,
        rows,
    }) = two_sample
    {
        facts.push((
            "two-sample test",
            format!(
                "a classifier tells {rows} rows held out from as many of the model in {:.1}% of the cases; 50% \u{b1} {:.1}% by chance",
                100.0 * accuracy,
                100.0 * error
            ),
        ));
    }
    if report.validation.is_some() {
        let step = report.best_step;
        facts.push((
            "kept",
            format!("the parameters of step {step}, the best on held-out rows"),
        ));
    }
    let each = report.per_step().map_or(String::new(), |each| {
        format!(", {:.2} ms a step", 1e3 * each.as_secs_f64())
    });
    facts.extend([
        ("steps", report.steps.to_string()),
        ("time", format!("{:.1} s{each}", report.took.as_secs_f64())),
        ("device", report.device.clone()),
        ("seed", report.config.train.seed.to_string()),
        ("couplet", env!("CARGO_PKG_VERSION").to_string()),
    ]);
    facts
}
