use std::time::Duration;

use serde_json::{Value, json};

use crate::config::SHORTEST;
use crate::executor::Executor;
use crate::fit::{Baselines, QualityKind};
use crate::matrix::Matrix;
use crate::train::{Ending, KlEstimate, Known, Outcome};

use super::Result;
use super::resolve::Run;

/// How good a run's model is, in nats and in the units of the table.
pub struct Summary {
    pub device: String,
    model: String,
    /// Over the rows trained on.
    pub nll: f64,
    pub rows: usize,
    pub steps: usize,
    truth: Option<AgainstTruth>,
    course: Option<Course>,
    /// Targets have their entropy to compare with.
    pub baselines: Option<Baselines>,
    /// Whether the table was warned of as one without a density.
    has_no_density: bool,
    /// Whether its rows seem to lie on a curve or a surface.
    is_on_surface: bool,
    /// Columns of the table, and rows that it is worth.
    columns: usize,
    worth: usize,
    agrees: Option<bool>,
    per_step: Option<Duration>,
    took: Duration,
}

/// What is known of a target.
pub struct AgainstTruth {
    pub entropy: f64,
    pub kl: KlEstimate,
    known: Known,
}

/// How the steps went, as far as held-out rows tell.
struct Course {
    /// NLL of the parameters kept and of the last ones.
    best: f64,
    last: f64,
    rows: usize,
    kept: usize,
    most_steps: usize,
    out_of_patience: bool,
}

impl Summary {
    /// Scores the rows, and measures what is known of the target.
    pub fn new(run: &Run, executor: &mut dyn Executor) -> Result<Self> {
        let fit = &run.fit;
        let log_prob = executor.log_prob(&fit.rows.map(f64::from))?;
        warn_of_overflow(&log_prob, &fit.split.training);
        if let Some(rows) = &fit.validation {
            warn_of_overflow(&executor.log_prob(rows)?, &fit.split.held_out);
        }
        let truth = match &run.truth {
            None => None,
            Some(truth) => Some(AgainstTruth {
                known: truth.measure(executor, &fit.model.preprocessing)?,
                entropy: truth.entropy(),
                kl: truth.kl(executor, &fit.model.preprocessing)?,
            }),
        };
        Ok(Summary {
            device: executor.describe(),
            model: run.out.to_string_lossy().into_owned(),
            nll: fit.nll(&log_prob),
            rows: fit.rows.rows(),
            steps: 0,
            truth,
            course: None,
            baselines: None,
            has_no_density: (run.warnings.iter()).any(|warning| warning.kind.has_no_density()),
            is_on_surface: (run.warnings.iter())
                .any(|warning| warning.kind == QualityKind::Surface),
            columns: fit.rows.columns(),
            worth: run.worth,
            agrees: None,
            per_step: None,
            took: Duration::ZERO,
        })
    }

    /// Of a run that trained, which took so long.
    pub fn of_training(mut self, run: &Run, outcome: &Outcome, took: Duration) -> Self {
        let offset = run.fit.offsets.validation();
        let validation = outcome
            .validation
            .map(|(best, last)| (best + offset, last + offset));
        self.course = validation
            .filter(|(best, _)| best.is_finite())
            .map(|(best, last)| Course {
                best,
                last,
                rows: run.fit.validation.as_ref().map_or(0, Matrix::rows),
                kept: outcome.best_step,
                most_steps: run.fit.config.train.steps,
                out_of_patience: matches!(outcome.ending, Ending::Patience),
            });
        // Of the rows trained on a flow can learn every one: only rows held out compare it with others.
        let is_judged = run.truth.is_none() && self.course.is_some();
        self.baselines = is_judged.then(|| run.fit.baselines());
        self.steps = outcome.steps;
        let steps = outcome.steps as u32;
        self.per_step = (steps > 0).then(|| outcome.in_steps / steps);
        self.took = took;
        self
    }

    /// Of a comparison of two executors.
    pub fn of_comparison(mut self, steps: usize, agrees: bool, took: Duration) -> Self {
        self.steps = steps;
        self.agrees = Some(agrees);
        self.took = took;
        self
    }

    /// NLL on held-out rows and how many there are, if there are any.
    pub fn held_out(&self) -> Option<(f64, usize)> {
        self.course
            .as_ref()
            .map(|course| (course.best, course.rows))
    }

    /// What simpler models make of the same rows, in words.
    pub fn compared_with(&self) -> Vec<(&'static str, &'static str, f64)> {
        let known = |b: &Baselines| {
            [
                ("a Gaussian", "gaussian", b.gaussian),
                ("single columns", "independent", b.independent),
            ]
        };
        let all = self.baselines.as_ref().map(known).into_iter().flatten();
        all.filter_map(|(words, key, nll)| Some((words, key, nll?)))
            .collect()
    }

    /// Nats a held-out row that the flow is better by than the best of what it is compared with, and what that is.
    fn advantage(&self) -> Option<(f64, &'static str)> {
        let (nll, _) = self.held_out()?;
        let others = self.compared_with().into_iter();
        let others = others.map(|(words, _, other)| (other - nll, words));
        others.reduce(|a, b| if b.0 < a.0 { b } else { a })
    }

    /// Whether the validation loss was still falling at the end.
    fn is_still_falling(&self) -> bool {
        let course = self.course.as_ref();
        course
            .is_some_and(|it| !it.out_of_patience && 10 * it.kept >= 9 * self.steps && it.kept > 0)
    }

    /// Whether the validation loss may fall without bound: it is still falling where the rows seem to lie on a surface, or
    /// further below that of simple models than any width of the rows explains.
    fn is_doubtful(&self) -> bool {
        const NATS_A_COLUMN: f64 = 2.5;
        let far_below = |(nats, _): (f64, _)| nats > NATS_A_COLUMN * self.columns as f64;
        let is_low = || self.is_on_surface || self.advantage().is_some_and(far_below);
        self.truth.is_none() && self.is_still_falling() && is_low()
    }

    /// How good it is, in a sentence; none where no rows were held out to tell.
    pub fn verdict(&self) -> Option<String> {
        if let Some(truth) = &self.truth {
            let KlEstimate {
                mean,
                standard_error,
                ..
            } = truth.kl;
            let words = match mean {
                kl if kl < 2.0 * standard_error => "no further from the truth than chance",
                kl if kl < 0.01 => "as good as the truth",
                kl if kl < 0.1 => "close to the truth",
                kl if kl < 0.5 => "the truth in outline",
                _ => "far from the truth",
            };
            return Some(words.into());
        }
        Some(match self.advantage()? {
            (better, _) if better >= 0.005 && self.has_no_density => format!(
                "the flow is lower by {better:.4} nats, which does not say that it is better: the table was warned of, and where \
                 numbers repeat or follow from one another the NLL can fall without end"
            ),
            (better, _) if better >= 0.005 && self.is_doubtful() => format!(
                "the flow is lower by {better:.4} nats and still falling, which is doubtful: the rows may lie on a curve or a \
                 surface, where there is no density"
            ),
            (better, other) if better >= 0.005 => format!(
                "the flow is better by {better:.4} nats: a typical held-out row is {} as under {other}",
                likelier(better)
            ),
            (worse, _) if worse <= -0.005 => format!(
                "the flow is worse by {:.4} nats a row; it has not learned this table",
                -worse
            ),
            _ => "the flow is as good as that, and no better".into(),
        })
    }

    /// What might make it better.
    pub fn advice(&self) -> Vec<String> {
        // A comparison of executors is not there to find a good model.
        let is_comparison = self.agrees.is_some();
        if is_comparison || self.truth.is_some() && self.course.is_none() {
            return Vec::new();
        }
        let Some(course) = &self.course else {
            return vec![match (self.worth < SHORTEST, self.steps) {
                (true, 0) => format!(
                    "{} different rows are too few to hold some out, and nothing else tells how long to train: the model is a \
                     Gaussian. From {SHORTEST} rows on a flow is trained",
                    self.worth
                ),
                (true, _) => format!(
                    "no rows were held out, so nothing says how good the model is on others; {} different rows are too few for \
                     that, and without --steps the model would be a Gaussian",
                    self.worth
                ),
                (false, _) => "no rows were held out, so nothing says how good the model is on others; --validation 0.1 holds \
                               out a tenth"
                    .into(),
            }];
        };
        if self.has_no_density || self.is_doubtful() {
            return vec![
                "deal with the warnings first, or leave out the columns that they name or that follow from others (--exclude); \
                 until then neither this NLL nor more training tells how good the model is"
                    .into(),
            ];
        }
        let is_better = self.advantage().is_none_or(|(nats, _)| nats > 0.005);
        let advice = if !is_better {
            let when = match course.kept {
                0 => "the validation loss never improved".to_string(),
                kept => format!("the validation loss did not improve after step {kept}"),
            };
            format!(
                "{when}; fewer --layers and --hidden may do better, or the table holds no more than that"
            )
        } else if course.kept == 0 {
            "the validation loss never improved, so the parameters are those that training started from; a lower \
             --learning-rate may do better"
                .into()
        } else if self.is_still_falling() {
            format!(
                "the validation loss was still falling: more steps may do better (--steps {})",
                2 * course.most_steps
            )
        } else if course.last > course.best + 0.05 {
            format!(
                "it overfits after step {}; more rows would help most, then a smaller flow (--layers, --hidden)",
                course.kept
            )
        } else {
            return Vec::new();
        };
        vec![advice]
    }

    /// Prints it.
    pub fn say(&self) {
        let mut lines = vec![format!(
            "final NLL       {:.4} nats, over all {} rows trained on",
            self.nll, self.rows
        )];
        if let Some(AgainstTruth { entropy, kl, known }) = &self.truth {
            lines.push(format!(
                "entropy         {entropy:.4} nats, exact: no model can do better"
            ));
            lines.push(format!(
                "KL divergence   {:.4} +- {:.4} nats, on {} rows that training never saw: {}",
                kl.mean,
                kl.standard_error,
                kl.rows,
                self.verdict().unwrap_or_default()
            ));
            lines.push(format!(
                "                {:.4} = NLL - entropy, which includes sampling noise of the training rows",
                self.nll - entropy
            ));
            if let (Some(mean), Some(cov)) = (known.mean_error, known.cov_error) {
                lines.push(format!(
                    "sample errors   mean {mean:.4}, covariance {cov:.4} (relative, 1,000 samples)"
                ));
            }
        }
        if let Some(course) = &self.course {
            lines.push(format!(
                "validation NLL  {:.4} nats, on the {} rows held out",
                course.best, course.rows
            ));
            let (kept, last) = (course.kept, course.last);
            if course.out_of_patience {
                lines.push(format!(
                    "stopped         at step {}: nothing better since step {kept}; kept are the parameters of step {kept}\n\
                     \x20               (those of the last step: {last:.4})",
                    self.steps
                ));
            } else if kept < self.steps {
                lines.push(format!(
                    "kept            the parameters of step {kept}, the best on held-out rows (those of the last step: {last:.4})"
                ));
            }
        }
        let compared = self.compared_with();
        if let Some(verdict) = self.verdict().filter(|_| !compared.is_empty()) {
            let words: Vec<String> = compared
                .iter()
                .map(|(words, _, nll)| format!("{nll:.4} by {words}"))
                .collect();
            lines.push(format!(
                "for comparison  {};\n                {verdict}",
                words.join(", ")
            ));
        }
        for advice in self.advice() {
            lines.push(format!("note            {advice}"));
        }
        let seconds = self.took.as_secs_f64();
        match self.per_step {
            None => lines.push(format!("time            {seconds:.1} s")),
            Some(each) => lines.push(format!(
                "time            {seconds:.1} s, {:.2} ms a step",
                1e3 * each.as_secs_f64()
            )),
        }
        say!("{}", lines.join("\n"));
    }

    /// The same for machines.
    pub fn json(&self) -> Value {
        let thousandths = |number: f64| json!((number * 1e3).round() / 1e3);
        let mut summary = json!({
            "event": "done",
            "device": self.device,
            "nll": self.nll,
            "model": self.model,
            "steps": self.steps,
            "seconds": thousandths(self.took.as_secs_f64()),
        });
        if let Some(AgainstTruth { entropy, kl, known }) = &self.truth {
            if let (Some(mean), Some(cov)) = (known.mean_error, known.cov_error) {
                summary["mean_error"] = json!(mean);
                summary["cov_error"] = json!(cov);
            }
            summary["entropy"] = json!(entropy);
            summary["kl"] = json!(self.nll - entropy);
            summary["kl_held_out"] = json!(kl.mean);
            summary["kl_standard_error"] = json!(kl.standard_error);
        }
        if let Some(course) = &self.course {
            summary["validation_nll"] = json!(course.best);
            summary["last_validation_nll"] = json!(course.last);
            summary["best_step"] = json!(course.kept);
        }
        for (_, key, nll) in self.compared_with() {
            summary["baselines"][key] = json!(nll);
        }
        if let Some(agrees) = self.agrees {
            summary["agrees"] = json!(agrees);
        }
        if let Some(each) = self.per_step {
            summary["ms_per_step"] = thousandths(1e3 * each.as_secs_f64());
        }
        summary
    }
}

/// What a report shows beside.
#[cfg(feature = "plots")]
impl Summary {
    /// The step whose parameters were kept, as far as held-out rows chose.
    pub fn kept(&self) -> Option<usize> {
        self.course.as_ref().map(|course| course.kept)
    }

    pub fn truth(&self) -> Option<&AgainstTruth> {
        self.truth.as_ref()
    }

    /// The time that the run took, and that of a step.
    pub fn times(&self) -> (Duration, Option<Duration>) {
        (self.took, self.per_step)
    }
}

/// A factor of exp(nats), in words.
fn likelier(nats: f64) -> String {
    match nats.exp() {
        factor if factor < 1.095 => format!("{factor:.2} times as likely"),
        factor if factor < 10.0 => format!("{factor:.1} times as likely"),
        factor if factor < 1e4 => format!("{factor:.0} times as likely"),
        factor => format!("{factor:.0e} times as likely"),
    }
}

/// Names the first row whose log-density is not finite; `rows` are its numbers in the table.
fn warn_of_overflow(log_prob: &[f64], rows: &[u32]) {
    let overflows = |p: &&f64| !p.is_finite();
    let count = log_prob.iter().filter(overflows).count();
    if let Some(place) = log_prob.iter().position(|p| !p.is_finite()) {
        let what = if count == 1 {
            "1 row".into()
        } else {
            format!("{count} rows")
        };
        say!(
            "warning: the log-density of {what} overflows 32-bit numbers, the first of them row {}; set standardize or \
             scale_bound, or look at the row",
            rows[place] + 1
        );
    }
}
