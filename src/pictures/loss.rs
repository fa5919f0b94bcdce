use kuva::plot::ScatterPlot;
use kuva::plot::legend::LegendShape;
use kuva::render::annotations::ReferenceLine;
use kuva::render::plots::Plot;
use kuva::render::render::render_multiple;

use crate::train::LossCurve;

use super::Picture;
use super::axes::{DATA, INK, Interval, KNOWN, MODEL, axes, entry, lines, over_legend};

/// Points that the line of losses has, at most: beyond them it is drawn through means.
const POINTS: usize = 500;

/// Means of as many neighbors as it takes for a line of so many points.
fn thinned(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    let each = points.len().div_ceil(most).max(1);
    let mean = |few: &[(f64, f64)]| {
        let count = few.len() as f64;
        let (x, y) = few.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0, y + p.1));
        (x / count, y / count)
    };
    points.chunks(each).map(mean).collect()
}

/// The fraction of the steps, from the first on, that may leave the picture above: where training begins says little.
const BEGINNING: f64 = 0.1;

/// The interval of the losses that is drawn.
fn span(loss_curve: &LossCurve, losses: &[(f64, f64)]) -> Interval {
    let last = losses.iter().chain(&loss_curve.validation).map(|p| p.0);
    let begin = BEGINNING * last.fold(0.0, f64::max);
    let all = || losses.iter().chain(&loss_curve.validation);
    let late = all().filter(|p| p.0 >= begin).map(|p| p.1);
    let known = loss_curve.entropy.into_iter();
    let mut shown: Vec<f64> = late.chain(known).filter(|y| y.is_finite()).collect();
    if shown.is_empty() {
        shown = all().map(|p| p.1).filter(|y| y.is_finite()).collect();
    }
    let low = shown.iter().copied().fold(f64::INFINITY, f64::min);
    let high = shown.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match low.is_finite() {
        true => Interval { low, high }.wider(0.08),
        false => Interval::of([], 0.0),
    }
}

/// Loss and validation NLL over the steps, the best marked.
pub fn loss(loss_curve: &LossCurve) -> Picture {
    let losses = thinned(&loss_curve.losses, POINTS);
    let y = span(loss_curve, &losses);
    let steps = losses.iter().chain(&loss_curve.validation).map(|p| p.0);
    let x = Interval {
        low: 0.0,
        high: steps.fold(1.0, f64::max),
    };
    // What leaves the picture ends at its edge.
    let inside = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
        let cut = |&(x, value): &(f64, f64)| match y.holds(value) {
            true => (x, value),
            false => (x, f64::NAN),
        };
        points.iter().map(cut).collect()
    };
    let mut plots: Vec<Plot> = Vec::new();
    let mut legend = vec![entry("rows trained on", DATA, LegendShape::Line)];
    plots.extend(
        lines(&inside(&losses), DATA, 1.4)
            .into_iter()
            .map(Plot::from),
    );
    if !loss_curve.validation.is_empty() {
        legend.push(entry("rows held out", MODEL, LegendShape::Line));
        let held_out = lines(&inside(&loss_curve.validation), MODEL, 2.4);
        plots.extend(held_out.into_iter().map(Plot::from));
    }
    let mut layout = axes(x, y, "step", "NLL in nats");
    if let Some(entropy) = loss_curve.entropy {
        let mut known = entry("entropy, the least", KNOWN, LegendShape::Line);
        known.dasharray = Some("2 3".into());
        legend.push(known);
        let line = ReferenceLine::horizontal(entropy).with_color(KNOWN);
        layout = layout.with_reference_line(line.with_stroke_width(1.5).with_dasharray("2 3"));
    }
    if let Some(best) = loss_curve.best {
        let mut kept = entry(format!("kept: step {best}"), INK, LegendShape::Line);
        kept.dasharray = Some("6 4".into());
        legend.push(kept);
        let line = ReferenceLine::vertical(best).with_color(INK);
        layout = layout.with_reference_line(line.with_stroke_width(1.2).with_dasharray("6 4"));
        let at = |p: &&(f64, f64)| (p.0 - best).abs() < 0.5 && y.holds(p.1);
        if let Some(&point) = loss_curve.validation.iter().find(at) {
            let mark = ScatterPlot::new().with_data([point]).with_color(INK);
            plots.push(mark.with_size(4.0).into());
        }
    }
    let layout = over_legend(layout, legend, 420.0);
    let beyond = losses.iter().chain(&loss_curve.validation);
    let beyond = beyond.filter(|p| !y.holds(p.1)).count();
    let mut caption = "Mean of -log_prob over the steps, in nats: lower is better.".to_string();
    if beyond > 0 {
        caption += " The first steps lie above the picture.";
    }
    Picture {
        name: "loss",
        caption,
        scene: render_multiple(plots, layout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_may_leave_the_picture_and_the_end_does_not() {
        let losses: Vec<(f64, f64)> = (0..1000)
            .map(|k| (f64::from(k), 1.0 + 1e4 * (-0.2 * f64::from(k)).exp()))
            .collect();
        let loss_curve = LossCurve {
            losses: losses.clone(),
            entropy: Some(0.9),
            ..LossCurve::default()
        };
        let span = span(&loss_curve, &losses);
        assert!(span.holds(0.9) && span.holds(1.0) && span.high < 2.0);
    }

    #[test]
    fn a_long_line_is_drawn_through_means() {
        let points: Vec<(f64, f64)> = (0..1001)
            .map(|k| (f64::from(k), f64::from(k % 2)))
            .collect();
        let thin = thinned(&points, 500);
        assert!(thin.len() <= 500);
        assert!(thin.iter().take(300).all(|p| (p.1 - 0.5).abs() < 0.2));
    }

    #[test]
    fn any_loss_curve_can_be_drawn() {
        for losses in [vec![], vec![(0.0, 1.0)], vec![(0.0, f64::NAN), (1.0, 2.0)]] {
            let of = LossCurve {
                losses,
                validation: vec![(0.0, f64::INFINITY)],
                best: Some(0.0),
                entropy: None,
            };
            assert!(loss(&of).svg().contains("NLL in nats"));
        }
    }
}
