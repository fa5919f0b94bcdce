//! A report as a piece of a page: what a notebook shows of a fit.

use maud::{PreEscaped, html};

use crate::error::Setting;
use crate::fit::Report;
use crate::pictures::loss;

use super::page::{judged_by, scores, verdict};
use super::{capital, comparison};

const STYLE: &str = include_str!("summary.css");

/// The verdict, what the flow is compared with, the advice and the loss curve, as HTML without scripts, whose style changes
/// nothing around it. Settings are shown as `show` has them.
pub fn summary(report: &Report, show: impl Fn(&Setting) -> String) -> String {
    let advice = report.advice().map(|advice| advice.to_sentence(&show));
    let picture = (!report.loss_curve.losses.is_empty()).then(|| loss(&report.loss_curve));
    let html = html! {
        div.couplet {
            style { (PreEscaped(STYLE)) }
            @for warning in &report.warnings {
                p.soft { "Warning: " (warning.message.to_sentence(&show)) "." }
            }
            @if let Some(verdict) = verdict(report) { p.verdict { (capital(&verdict)) "." } }
            (comparison(&scores(report), &judged_by(report)))
            @if let Some(advice) = advice { p { (capital(&advice)) "." } }
            @if let Some(picture) = picture {
                figure {
                    div.wide.loss role="img" aria-label=(picture.caption) { (PreEscaped(picture.svg())) }
                    figcaption { (picture.caption) }
                }
            }
            p.soft {
                (report.steps) " steps in " (format!("{:.1} s", report.took.as_secs_f64())) " on " (report.device) "."
            }
        }
    };
    html.into_string()
}
