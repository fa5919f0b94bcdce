//! What is shown of a run: its pictures, and its report.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::data::{Part, take};
use crate::files::write_whole;
use crate::fit::{Device, Flow, Prepared, Scored, Scores};
use crate::matrix::Matrix;
use crate::pictures::{Album, Wanted};
use crate::report::Report;
use crate::train::History;

use super::Result;
use super::plot;
use super::resolve::Run;
use super::summary::Summary;
use super::train_args::TrainArgs;

/// Draws a run and reports of it, as far as that is asked for.
pub fn show(
    args: &TrainArgs,
    run: &Run,
    device: &Device,
    history: &History,
    summary: &Summary,
) -> Result<()> {
    if args.plot.is_none() && args.report.is_none() {
        return Ok(());
    }
    let fit = &run.fit;
    let flow = Flow::on(fit.model.clone(), device)?;
    let rows = Rows::of(fit);
    let wanted = Wanted {
        data: Some(&rows.all),
        held_out: rows.held_out.as_ref(),
        history: Some(history),
        columns: Vec::new(),
    };
    let album = Album::new(&flow, &wanted)?;
    if let Some(folder) = &args.plot {
        plot::write_training(folder, &album.pictures)?;
    }
    let Some(path) = &args.report else {
        return Ok(());
    };
    let report = Report {
        title: title(args),
        lead: lead(args, run),
        verdict: verdict(summary),
        advice: summary.advice(),
        judged_by: judged_by(summary),
        scores: scores(summary),
        pictures: &album.pictures,
        columns: &fit.model.columns,
        lowest: lowest(&flow, rows)?,
        facts: facts(run, summary),
        settings: fit.config.to_toml(),
        commands: commands(args, run),
    };
    write_whole(path, report.html().as_bytes())?;
    say!("report written to {}", path.display());
    Ok(())
}

/// A run's rows in the units of the table.
struct Rows {
    /// In the order of the table.
    all: Matrix<f64>,
    held_out: Option<Matrix<f64>>,
}

impl Rows {
    fn of(fit: &Prepared) -> Self {
        let in_units = |rows: &Matrix<f64>| fit.model.preprocessing.undo(rows);
        let trained_on = in_units(&fit.rows.map(f64::from));
        let Some(held_out) = fit.validation.as_ref().map(in_units) else {
            return Rows {
                all: trained_on,
                held_out: None,
            };
        };
        let both = trained_on.followed_by(&held_out);
        let numbers = fit.split.training.iter().chain(&fit.split.held_out);
        let mut places = vec![0; both.rows()];
        for (place, &number) in numbers.enumerate() {
            places[number as usize] = place as u32;
        }
        Rows {
            all: take(&both, &places),
            held_out: Some(held_out),
        }
    }
}

/// Rows that are listed.
const LISTED: usize = 10;

/// The rows of the lowest density.
fn lowest(flow: &Flow, rows: Rows) -> Result<Vec<Scored>> {
    let log_prob = flow.log_prob(&rows.all)?;
    let mut scores = Scores::new(LISTED, false);
    let numbers = 1..rows.all.rows() as u64 + 1;
    let part = Part {
        values: rows.all,
        rows: numbers.clone(),
        numbers: numbers.collect(),
        table: None,
    };
    scores.note(&part, &log_prob);
    Ok(scores.into_lowest())
}

fn title(args: &TrainArgs) -> String {
    let name = |path: &Path| path.file_name().unwrap_or(path.as_os_str()).to_owned();
    match (args.data.first(), &args.target) {
        (Some(path), _) => {
            let more = match args.data.len() {
                1 => String::new(),
                files => format!(" and {} more", files - 1),
            };
            format!("{}{more}", name(path).to_string_lossy())
        }
        (None, Some(target)) => target.name().into(),
        (None, None) => "the reference experiment".into(),
    }
}

fn lead(args: &TrainArgs, run: &Run) -> Vec<String> {
    let (fit, columns) = (&run.fit, &run.fit.model.columns);
    let of = match &args.data[..] {
        [path] => path.display().to_string(),
        _ => title(args),
    };
    let held_out = match &fit.validation {
        Some(rows) => format!("; {} more were held out to judge it by", rows.rows()),
        None => String::new(),
    };
    let mut lead = vec![format!(
        "A normalizing flow, fitted to {} rows and {} columns of {of}{held_out}.",
        fit.rows.rows(),
        columns.len()
    )];
    if columns.len() <= 40 {
        lead.push(format!("Columns: {}.", columns.join(", ")));
    }
    lead.extend(
        run.warnings
            .iter()
            .map(|warning| format!("Warning: {}.", warning.message)),
    );
    lead
}

fn verdict(summary: &Summary) -> Option<String> {
    let verdict = summary.verdict()?;
    Some(match summary.truth() {
        None => verdict,
        Some(truth) => format!(
            "{verdict}: {:.4} ± {:.4} nats from it",
            truth.kl.mean, truth.kl.standard_error
        ),
    })
}

fn judged_by(summary: &Summary) -> String {
    match summary.held_out() {
        Some((_, rows)) => format!("over the {rows} rows held out, in the units of the table"),
        None => format!(
            "over the {} rows trained on, in the units of the table",
            summary.rows
        ),
    }
}

/// The flow first, then what it is compared with.
fn scores(summary: &Summary) -> Vec<(String, f64)> {
    let own = summary.held_out().map_or(summary.nll, |(nll, _)| nll);
    let mut scores = vec![("this flow".to_string(), own)];
    let others = summary.compared_with().into_iter();
    scores.extend(others.map(|(words, _, nll)| (words.to_string(), nll)));
    if let Some(truth) = summary.truth() {
        scores.push(("the truth (its entropy)".into(), truth.entropy));
    }
    scores
}

fn facts(run: &Run, summary: &Summary) -> Vec<(&'static str, String)> {
    let (took, per_step) = summary.times();
    let mut facts = vec![
        ("flow", run.fit.model.spec.to_string()),
        ("parameters", run.fit.model.parameters.len().to_string()),
        ("model file", run.out.display().to_string()),
        (
            "NLL of rows trained on",
            format!("{:.4} nats, over {} rows", summary.nll, summary.rows),
        ),
    ];
    if let Some(truth) = summary.truth() {
        let kl = &truth.kl;
        facts.push((
            "KL divergence from the truth",
            format!(
                "{:.4} ± {:.4} nats, on {} new rows",
                kl.mean, kl.standard_error, kl.rows
            ),
        ));
    }
    if let Some(step) = summary.kept() {
        facts.push((
            "kept",
            format!("the parameters of step {step}, the best on held-out rows"),
        ));
    }
    let each = per_step.map_or(String::new(), |each| {
        format!(", {:.2} ms a step", 1e3 * each.as_secs_f64())
    });
    facts.extend([
        ("steps", summary.steps.to_string()),
        ("time", format!("{:.1} s{each}", took.as_secs_f64())),
        ("device", summary.device.clone()),
        ("seed", run.fit.config.train.seed.to_string()),
        ("couplet", env!("CARGO_PKG_VERSION").to_string()),
    ]);
    facts
}

fn commands(args: &TrainArgs, run: &Run) -> Vec<String> {
    let words = args.command.iter().skip(1).map(quoted);
    let again: Vec<String> = std::iter::once("couplet".into()).chain(words).collect();
    let model = quoted(&run.out.clone().into_os_string());
    let mut commands = vec![
        "# the same model, byte for byte on the same device".to_string(),
        again.join(" "),
    ];
    let can_be_read_again = |path: &PathBuf| !super::resolve::is_stream(path);
    if !args.data.is_empty() && args.data.iter().all(can_be_read_again) {
        let data = args.data.iter();
        let data: Vec<String> = data.map(|path| quoted(&path.clone().into())).collect();
        let score = data.join(" ");
        let plot = data.join(" --data ");
        commands.push(format!("couplet score {model} {score} --summary"));
        commands.push(format!("couplet plot {model} --data {plot}"));
    } else {
        commands.push(format!("couplet plot {model}"));
    }
    commands.push(format!("couplet sample {model} -n 1000"));
    commands
}

/// A word as a shell takes it.
fn quoted(word: &OsString) -> String {
    let word = word.to_string_lossy();
    let is_plain = |c: char| c.is_alphanumeric() || "_-./=,:+@%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.into_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_change_them() {
        for (word, shown) in [
            ("stars.csv", "stars.csv"),
            ("", "''"),
            ("my stars.csv", "'my stars.csv'"),
            ("it's", "'it'\\''s'"),
        ] {
            assert_eq!(quoted(&word.into()), shown);
        }
    }
}
