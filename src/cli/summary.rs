//! Prints the report of a run as text and as JSON.

use serde_json::{Value, json};

use crate::fit::Report;

use super::with_flags;

pub fn text(report: &Report) -> String {
    let nll = report.nll;
    let mut lines = vec![format!(
        "final NLL       {nll:.4} nats, over all {} rows trained on",
        report.rows
    )];
    let verdict = report.verdict();
    if let Some(truth) = &report.ground_truth {
        let (entropy, kl) = (truth.entropy, &truth.kl);
        lines.push(format!(
            "entropy         {entropy:.4} nats, exact: no model can do better"
        ));
        lines.push(format!(
            "KL divergence   {:.4} +- {:.4} nats, on {} rows that training never saw: {}",
            kl.mean,
            kl.standard_error,
            kl.rows,
            verdict.as_deref().unwrap_or_default()
        ));
        lines.push(format!(
            "                {:.4} = NLL - entropy, which includes sampling noise of the training rows",
            nll - entropy
        ));
        if let (Some(mean), Some(cov)) = (truth.metrics.mean_error, truth.metrics.cov_error) {
            lines.push(format!(
                "sample errors   mean {mean:.4}, covariance {cov:.4} (relative, 1,000 samples)"
            ));
        }
    }
    if let Some(validation) = &report.validation {
        lines.push(format!(
            "validation NLL  {:.4} nats, on the {} rows held out",
            validation.nll, validation.rows
        ));
        let (best, last) = (report.best_step, validation.last_nll);
        if report.out_of_patience {
            lines.push(format!(
                "stopped         at step {}: nothing better since step {best}; kept are the parameters of step {best}\n\
                 \x20               (those of the last step: {last:.4})",
                report.steps
            ));
        } else if best < report.steps {
            lines.push(format!(
                "kept            the parameters of step {best}, the best on held-out rows (those of the last step: {last:.4})"
            ));
        }
    }
    let baselines: Vec<String> = report
        .baseline_scores()
        .iter()
        .map(|(words, _, nll)| format!("{nll:.4} by {words}"))
        .collect();
    if let Some(verdict) = verdict.filter(|_| !baselines.is_empty()) {
        lines.push(format!(
            "for comparison  {};\n                {verdict}",
            baselines.join(", ")
        ));
    }
    if let Some(advice) = report.advice() {
        lines.push(format!("note            {}", with_flags(&advice)));
    }
    let each = report.per_step().map_or(String::new(), |each| {
        format!(", {:.2} ms a step", 1e3 * each.as_secs_f64())
    });
    let seconds = report.took.as_secs_f64();
    lines.push(format!("time            {seconds:.1} s{each}"));
    lines.join("\n")
}

/// The last line of a log. `agrees` is the result of a comparison of executors.
pub fn json(report: &Report, model: &str, agrees: Option<bool>) -> Value {
    let thousandths = |number: f64| json!((number * 1e3).round() / 1e3);
    let mut summary = json!({
        "event": "done",
        "device": report.device,
        "nll": report.nll,
        "model": model,
        "steps": report.steps,
        "seconds": thousandths(report.took.as_secs_f64()),
    });
    if let Some(truth) = &report.ground_truth {
        if let (Some(mean), Some(cov)) = (truth.metrics.mean_error, truth.metrics.cov_error) {
            summary["mean_error"] = json!(mean);
            summary["cov_error"] = json!(cov);
        }
        summary["entropy"] = json!(truth.entropy);
        summary["kl"] = json!(report.nll - truth.entropy);
        summary["kl_held_out"] = json!(truth.kl.mean);
        summary["kl_standard_error"] = json!(truth.kl.standard_error);
    }
    if let Some(validation) = &report.validation {
        summary["validation_nll"] = json!(validation.nll);
        summary["last_validation_nll"] = json!(validation.last_nll);
        summary["best_step"] = json!(report.best_step);
    }
    for (_, key, nll) in report.baseline_scores() {
        summary["baselines"][key] = json!(nll);
    }
    if let Some(agrees) = agrees {
        summary["agrees"] = json!(agrees);
    }
    if let Some(each) = report.per_step() {
        summary["ms_per_step"] = thousandths(1e3 * each.as_secs_f64());
    }
    summary
}
