//! The HTML report: one self-contained page with inline pictures and no scripts.

mod page;
mod summary;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::data::rounded;
use crate::fit::Scored;
use crate::pictures::Picture;

pub use page::{Origin, page, pictures};
pub use summary::summary;

/// The content of the page, from top to bottom.
struct Page<'a> {
    /// What was fitted.
    title: String,
    /// What was fitted to what, a sentence each.
    lead: Vec<String>,
    /// How good the fit is, in a sentence.
    verdict: Option<String>,
    /// What might make it better, in a sentence.
    advice: Option<String>,
    /// What the mean of -log_prob was taken over.
    judged_by: String,
    /// The mean of -log_prob by this model and by others, in nats: the flow's own comes first.
    scores: Vec<(String, f64)>,
    /// All pictures.
    pictures: &'a [Picture],
    /// The columns' names, and the levels of each, if it has any.
    columns: &'a [String],
    levels: &'a [Vec<String>],
    /// The rows of the lowest density, the lowest first.
    lowest: Vec<Scored>,
    /// Further facts, by name.
    facts: Vec<(&'static str, String)>,
    /// The settings, as a configuration.
    settings: String,
    /// Commands that do it again, and continue from it.
    commands: Vec<String>,
}

const STYLE: &str = include_str!("style.css");

/// Columns of the lowest rows that are shown.
const COLUMNS: usize = 8;

impl Page<'_> {
    /// The page.
    fn html(&self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (self.title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    h1 { (self.title) }
                    @for sentence in &self.lead { p.soft { (sentence) } }
                    @if let Some(verdict) = &self.verdict { p.verdict { (capital(verdict)) "." } }
                    (comparison(&self.scores, &self.judged_by))
                    @if let Some(advice) = &self.advice { p { (capital(advice)) "." } }
                    @for picture in self.pictures { (figure(picture, self.columns.len() > 3)) }
                    @if !self.lowest.is_empty() { (self.lowest_rows()) }
                    h2 { "The run" }
                    table {
                        @for (name, fact) in &self.facts {
                            tr { th scope="row" { (name) } td { (fact) } }
                        }
                    }
                    h2 { "Again" }
                    pre { @for command in &self.commands { (command) "\n" } }
                    details {
                        summary { "All settings, as a file for " code { "--config" } }
                        pre { (self.settings) }
                    }
                }
            }
        };
        page.into_string()
    }

    /// What a row has in a column.
    fn value(&self, column: usize, value: f64) -> String {
        match self.levels[column].get(value as usize) {
            Some(level) => level.clone(),
            None => short(value),
        }
    }

    fn lowest_rows(&self) -> Markup {
        let shown = self.columns.len().min(COLUMNS);
        html! {
            h2 { "The lowest rows" }
            p.soft {
                "What the model finds least likely: anomalies, or mistakes in the table. Rows are counted from 1."
                @if shown < self.columns.len() { " Of " (self.columns.len()) " columns, " (shown) " are shown." }
            }
            div.wide {
                table {
                    tr {
                        th.number scope="col" { "row" }
                        th.number scope="col" { "log_prob" }
                        @for name in &self.columns[..shown] { th.number scope="col" { (name) } }
                    }
                    @for row in &self.lowest {
                        tr {
                            td.number { (row.number) }
                            td.number { (format!("{:.3}", row.log_prob)) }
                            @for (j, value) in row.values[..shown].iter().enumerate() {
                                td.number { (self.value(j, *value)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The mean of -log_prob by models, of which the first is the flow.
fn comparison(scores: &[(String, f64)], judged_by: &str) -> Markup {
    html! {
        div.wide {
            table {
                tr {
                    th scope="col" { "model" }
                    th.number scope="col" { "mean of -log_prob, nats" }
                }
                @for (index, (name, nll)) in scores.iter().enumerate() {
                    tr.flow[index == 0] { td { (name) } td.number { (format!("{nll:.4}")) } }
                }
            }
        }
        p.soft { "Lower is better; " (judged_by) "." }
    }
}

fn figure(picture: &Picture, is_many: bool) -> Markup {
    let title = match picture.name {
        "loss" => "How training went",
        "corner" => "Data and model",
        "density" => "Density",
        "spread" => "Where are rows too few?",
        "prediction" => "Predicted and true",
        "calibration" => "Is each density calibrated?",
        "conditional" => "The density for some contexts",
        "latent" => "Is the latent what it should be?",
        _ => "Scores",
    };
    html! {
        h2 { (title) }
        figure {
            div.wide.many[is_many].(picture.name) role="img" aria-label=(picture.caption) { (PreEscaped(picture.svg())) }
            figcaption { (picture.caption) }
        }
    }
}

/// Six digits of a number.
fn short(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let digits = 5 - value.abs().log10().floor() as i32;
    match (1e-5..1e15).contains(&value.abs()) {
        true => rounded(value, digits).to_string(),
        false => format!("{value:.5e}"),
    }
}

/// A sentence begins with a capital.
fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    match letters.next() {
        None => String::new(),
        Some(first) => first.to_uppercase().chain(letters).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let all = [
            0.0,
            1234.56789,
            -0.000123456789,
            1e300,
            -2.5e-300,
            f64::INFINITY,
        ];
        let expected = [
            "0",
            "1234.57",
            "-0.000123457",
            "1.00000e300",
            "-2.50000e-300",
            "inf",
        ];
        assert_eq!(all.map(short), expected);
    }

    #[test]
    fn what_the_user_names_is_no_markup() {
        let columns = ["<b>".to_string()];
        let report = Page {
            title: "<script>alert(1)</script>".into(),
            lead: vec!["a & b".into()],
            verdict: None,
            advice: None,
            judged_by: "over <i>".into(),
            scores: vec![("the flow".into(), 1.0)],
            pictures: &[],
            columns: &columns,
            levels: &[Vec::new()],
            lowest: vec![Scored {
                log_prob: -3.0,
                number: 7,
                values: vec![0.5],
            }],
            facts: Vec::new(),
            settings: "</pre>".into(),
            commands: vec!["couplet '<'".into()],
        };
        let html = report.html();
        for tag in ["<script>", "<b>", "<i>", "</pre></pre>", "a & b", "'<'"] {
            assert!(!html.contains(tag), "{tag} in {html}");
        }
        assert!(html.contains("&lt;script&gt;") && html.contains(">-3.000<"));
    }
}
