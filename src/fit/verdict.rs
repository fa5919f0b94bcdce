//! The verdict and the advice of a report, as sentences.

use crate::config::SHORTEST;
use crate::error::{Message, Remedy};
use crate::train::KlEstimate;

use super::{QualityKind, Report};

/// Nats below which two models are equally good.
const TIE: f64 = 0.005;

impl Report {
    /// How good the model is, in a sentence; none where no rows were held out to tell.
    pub fn verdict(&self) -> Option<String> {
        if let Some(truth) = &self.ground_truth {
            return Some(distance(&truth.kl).into());
        }
        let verdict = self.comparison()?;
        Some(match self.worth_of_context() {
            None => verdict,
            Some(worth) if worth >= TIE => {
                format!("{verdict}; the context is worth {worth:.2} nats")
            }
            Some(_) => format!("{verdict}; it has learned nothing from the context"),
        })
    }

    /// What is compared, in a sentence.
    fn subject(&self) -> &'static str {
        match self.members {
            None => "the flow",
            Some(_) => "the model",
        }
    }

    /// How good the model is compared with the best baseline.
    fn comparison(&self) -> Option<String> {
        let subject = self.subject();
        Some(match self.advantage()? {
            (better, _) if better >= TIE && self.has_no_density() => format!(
                "{subject} is lower by {better:.4} nats, which does not say that it is better: the table was warned of, and where \
                 numbers repeat or follow from one another the NLL can fall without end"
            ),
            (better, _) if better >= TIE && self.is_doubtful() => format!(
                "{subject} is lower by {better:.4} nats and still falling, which is doubtful: the rows may lie on a curve or a \
                 surface, where there is no density"
            ),
            (better, other) if better >= TIE => format!(
                "{subject} is better by {better:.4} nats: a typical held-out row is {} as under {other}",
                likelier(better)
            ),
            (worse, _) if worse <= -TIE => format!(
                "{subject} is worse by {:.4} nats a row; it has not learned this table",
                -worse
            ),
            _ => format!("{subject} is as good as that, and no better"),
        })
    }

    /// What might make the model better.
    pub fn advice(&self) -> Option<Message> {
        // A comparison of executors is not there to find a good model.
        if self.is_comparison || self.ground_truth.is_some() && self.validation.is_none() {
            return None;
        }
        let Some(validation) = &self.validation else {
            return Some(self.advice_without_validation());
        };
        if self.has_no_density() || self.is_doubtful() {
            let text = "until the warnings are dealt with, neither this NLL nor more training tells how good the model is";
            let action = "leave out the columns that they name or that follow from others";
            return Some(Message::new(text).remedy(Remedy::with(action, "exclude")));
        }
        let is_better = self.advantage().is_none_or(|(nats, _)| nats > TIE);
        if validation.by_folds {
            let text = "the table may hold no more than that: more rows would help most";
            return (!is_better).then(|| Message::new(text));
        }
        if !is_better {
            let when = match self.best_step {
                0 => "the validation loss never improved".to_string(),
                best => format!("the validation loss did not improve after step {best}"),
            };
            let text = format!("{when}: the table may hold no more than that");
            return Some(smaller(Message::new(text)));
        }
        if self.best_step == 0 {
            let text = "the validation loss never improved, so the parameters are those that training started from";
            let remedy = Remedy::with("try a lower learning rate", "learning_rate");
            return Some(Message::new(text).remedy(remedy));
        }
        let train = &self.config.train;
        let has_ended_early = train.extension > 0 && self.steps <= train.steps;
        if self.is_still_falling() && !has_ended_early {
            let text = "the validation loss was still falling when training ended";
            let steps = 2 * self.config.train.steps;
            return Some(Message::new(text).remedy(Remedy::new("try more steps", "steps", steps)));
        }
        (validation.last_nll > validation.nll + 0.05).then(|| {
            let text = format!(
                "it overfits after step {}: more rows would help most",
                self.best_step
            );
            smaller(Message::new(text))
        })
    }

    fn advice_without_validation(&self) -> Message {
        let rows = self.effective_rows;
        match (rows < SHORTEST, self.steps) {
            (true, 0) => format!(
                "{rows} different rows are too few to hold some out, and nothing else tells how long to train: the model is a \
                 Gaussian. From {SHORTEST} rows on a flow is trained"
            )
            .into(),
            (true, _) => {
                let text = format!(
                    "no rows were held out, so nothing says how good the model is on others: {rows} different rows are too few \
                     for that"
                );
                Message::new(text).remedy(Remedy::new("fit a Gaussian", "steps", 0))
            }
            (false, _) => {
                let text = "no rows were held out, so nothing says how good the model is on others";
                Message::new(text).remedy(Remedy::new("hold out a tenth", "validation", 0.1))
            }
        }
    }

    /// Nats a held-out row that the flow is better by than the best of what it is compared with, and what that is.
    fn advantage(&self) -> Option<(f64, &'static str)> {
        let nll = self.validation_nll()?;
        let others = self.baseline_scores().into_iter();
        let others = others.map(|(words, _, other)| (other - nll, words));
        others.reduce(|a, b| if b.0 < a.0 { b } else { a })
    }

    fn has_no_density(&self) -> bool {
        let mut warnings = self.warnings.iter();
        warnings.any(|warning| warning.kind.has_no_density())
    }

    /// Whether the validation loss was still falling at the end.
    fn is_still_falling(&self) -> bool {
        let is_late = 10 * self.best_step >= 9 * self.steps && self.best_step > 0;
        self.validation.is_some() && !self.out_of_patience && is_late
    }

    /// Whether the validation loss may fall without bound: it is still falling where the rows seem to lie on a surface, or
    /// further below that of simple models than any width of the rows explains.
    fn is_doubtful(&self) -> bool {
        // What is given may all but say what a column is.
        let nats_a_column = if self.context == 0 { 2.5 } else { 6.0 };
        let mut warnings = self.warnings.iter();
        let is_on_surface = warnings.any(|warning| warning.kind == QualityKind::Surface);
        let far_below = |(nats, _): (f64, _)| nats > nats_a_column * self.columns as f64;
        let is_low = || is_on_surface || self.advantage().is_some_and(far_below);
        self.ground_truth.is_none() && self.is_still_falling() && is_low()
    }
}

fn smaller(message: Message) -> Message {
    message
        .remedy(Remedy::with("try fewer layers", "layers"))
        .remedy(Remedy::with("narrower ones", "hidden"))
}

/// How far from the truth a divergence is, in words.
fn distance(kl: &KlEstimate) -> &'static str {
    match kl.mean {
        nats if nats < 2.0 * kl.standard_error => "no further from the truth than chance",
        nats if nats < 0.01 => "as good as the truth",
        nats if nats < 0.1 => "close to the truth",
        nats if nats < 0.5 => "the truth in outline",
        _ => "far from the truth",
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
