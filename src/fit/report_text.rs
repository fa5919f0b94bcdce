use std::fmt;

use serde_json::{Value, json};

use crate::error::Setting;

use super::Report;

/// As [`Report::to_text`], with settings by their keys.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text(Setting::to_string))
    }
}

impl Report {
    /// The report in lines of text: losses in nats, what they are compared with, the verdict, the advice and the time. `show`
    /// writes a setting that the advice names.
    pub fn to_text(&self, show: impl Fn(&Setting) -> String) -> String {
        let nll = self.nll;
        let mut lines = vec![match self.nll_error {
            None => format!(
                "final NLL       {nll:.4} nats, over all {} rows trained on",
                self.rows
            ),
            Some(error) => format!(
                "final NLL       {nll:.4} +- {error:.4} nats, over {} of the {} rows trained on",
                self.nll_rows, self.rows
            ),
        }];
        if let Some(size) = self.effective_sample_size {
            lines.push(format!(
                "row weights     tell as much as {size:.0} rows of equal weight (Kish's effective sample size)"
            ));
        }
        let verdict = self.verdict();
        if let Some(truth) = &self.ground_truth {
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
        if let Some(members) = &self.members {
            lines.push(format!("model           {members}"));
        }
        if let Some(validation) = &self.validation {
            let rows = validation.rows;
            let on = match validation.by_folds {
                true => format!("on {rows} rows, each judged by what was not fitted to it"),
                false => format!("on the {rows} rows held out"),
            };
            lines.push(format!("validation NLL  {:.4} nats, {on}", validation.nll));
            let (best, last) = (self.best_step, validation.last_nll);
            if validation.by_folds {
                // No step was taken.
            } else if self.out_of_patience {
                lines.push(format!(
                    "stopped         at step {}: nothing better since step {best}; kept are the parameters of step {best}\n\
                     \x20               (those of the last step: {last:.4})",
                    self.steps
                ));
            } else if best < self.steps {
                lines.push(format!(
                    "kept            the parameters of step {best}, the best on held-out rows (those of the last step: {last:.4})"
                ));
            }
        }
        let baselines: Vec<String> = self
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
        if let Some(distance) = self.calibration {
            lines.push(format!(
                "calibration     {distance:.4} from uniform: the Kolmogorov distance of the probabilities below held-out numbers"
            ));
        }
        if let Some(advice) = self.advice() {
            lines.push(format!("note            {}", advice.to_sentence(show)));
        }
        let each = self.per_step().map_or(String::new(), |each| {
            format!(", {:.2} ms a step", 1e3 * each.as_secs_f64())
        });
        let seconds = self.took.as_secs_f64();
        lines.push(format!("time            {seconds:.1} s{each}"));
        lines.join("\n")
    }

    /// The report as a JSON object, with the keys of a log's last line.
    pub fn to_json(&self) -> Value {
        let thousandths = |number: f64| json!((number * 1e3).round() / 1e3);
        let mut summary = json!({
            "device": self.device,
            "nll": self.nll,
            "steps": self.steps,
            "seconds": thousandths(self.took.as_secs_f64()),
        });
        if let Some(error) = self.nll_error {
            summary["nll_standard_error"] = json!(error);
            summary["nll_rows"] = json!(self.nll_rows);
        }
        if let Some(truth) = &self.ground_truth {
            if let (Some(mean), Some(cov)) = (truth.metrics.mean_error, truth.metrics.cov_error) {
                summary["mean_error"] = json!(mean);
                summary["cov_error"] = json!(cov);
            }
            summary["entropy"] = json!(truth.entropy);
            summary["kl"] = json!(self.nll - truth.entropy);
            summary["kl_held_out"] = json!(truth.kl.mean);
            summary["kl_standard_error"] = json!(truth.kl.standard_error);
        }
        if let Some(validation) = &self.validation {
            summary["validation_nll"] = json!(validation.nll);
            summary["last_validation_nll"] = json!(validation.last_nll);
            summary["best_step"] = json!(self.best_step);
        }
        if let Some(members) = &self.members {
            summary["members"] = json!(members);
        }
        for (_, key, nll) in self.baseline_scores() {
            summary["baselines"][key] = json!(nll);
        }
        if let Some(size) = self.effective_sample_size {
            summary["effective_sample_size"] = json!(size);
        }
        if let Some(worth) = self.worth_of_context() {
            summary["worth_of_context"] = json!(worth);
        }
        if let Some(distance) = self.calibration {
            summary["calibration"] = json!(distance);
        }
        if let Some(each) = self.per_step() {
            summary["ms_per_step"] = thousandths(1e3 * each.as_secs_f64());
        }
        summary
    }
}
