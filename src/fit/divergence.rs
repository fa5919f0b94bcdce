use crate::cpu::{Cause, Diagnosis, diagnose};
use crate::error::{Message, Remedy, Result, format_row};
use crate::executor::Fault;
use crate::flow::{Plan, TransformKind};
use crate::matrix::Matrix;
use crate::train::Divergence;

use super::Prepared;

/// Explains a divergence: which step, which row, layer and tensor, and what to change.
///
/// # Errors
/// Those of reading rows that are streamed.
pub fn explain(fit: &Prepared, plan: &Plan, divergence: &Divergence) -> Result<Message> {
    let step = divergence.step;
    let parameters: Vec<f32> = divergence.parameters.iter().map(|&p| p as f32).collect();
    let mut few_rows = false;
    let mut sentences = vec![format!(
        "training diverged at step {step}: {}",
        divergence.fault
    )];
    let mut found = None;
    if divergence.fault == Fault::Parameters {
        let mut tensors = plan.layout.tensors().iter();
        if let Some(tensor) = tensors.find(|tensor| {
            !parameters[tensor.range.clone()]
                .iter()
                .all(|p| p.is_finite())
        }) {
            sentences.push(format!(
                "It is the update itself that made numbers of {} overflow, with learning_rate {:e} and weight_decay {:e}",
                tensor.name, fit.config.train.learning_rate, fit.config.train.weight_decay
            ));
        }
    } else {
        let ((rows, _), batch) = fit.rows_of_step(step)?;
        if batch.rows > 0 {
            let diagnosis = diagnose(plan, &parameters, &rows, &batch);
            sentences.push(describe(fit, &rows, &diagnosis, batch.rows));
            few_rows = match diagnosis.cause {
                Cause::Value { rows, .. } => rows * 10 <= batch.rows as usize,
                Cause::Gradient { .. } => true,
            };
            found = Some(diagnosis);
        }
    }
    let at_once = divergence.retries == 0;
    sentences.push(match divergence.retries {
        0 => "No step had been taken that a lower learning rate could have changed".to_string(),
        retries => {
            format!("Going back and lowering the learning rate, {retries} times, did not help")
        }
    });
    let mut message = Message::new(sentences.join(". "));
    if let Some(found) = found {
        if let Some(number) = table_row(fit, found.row) {
            message = message.at_row(number);
        }
        if let Some(layer) = found.layer {
            message = message.in_layer(layer);
        }
        match &found.cause {
            Cause::Value {
                tensor: Some(tensor),
                ..
            }
            | Cause::Gradient { tensor, .. } => message = message.in_tensor(tensor),
            Cause::Value { tensor: None, .. } => {}
        }
    }
    Ok(message.remedies(remedies(fit, at_once, few_rows)))
}

fn describe(fit: &Prepared, rows: &Matrix<f32>, found: &Diagnosis, batch_rows: u32) -> String {
    let row = row(fit, rows, found.row);
    let layer = match found.layer {
        Some(layer) => format!("in layer {layer}"),
        None => "in the base density".into(),
    };
    match &found.cause {
        Cause::Value { tensor, rows } => {
            let through = match tensor {
                Some(tensor) => format!(", through tensor {tensor}"),
                None => String::new(),
            };
            let more = match rows {
                1 => String::new(),
                rows => format!(
                    ", and so do {} more of the step's {batch_rows} rows",
                    rows - 1
                ),
            };
            format!("{row} overflows {layer}{through}{more}")
        }
        Cause::Gradient { tensor, norm } => {
            let norm = match norm {
                Some(norm) => format!("{norm:e}"),
                None => "not finite".into(),
            };
            format!(
                "{row} makes the largest gradient (its norm is {norm}), most of it {layer}, in tensor {tensor}"
            )
        }
    }
}

/// The number in the table of a row trained on, counted from 1; none where rows are not all in memory.
fn table_row(fit: &Prepared, row: u32) -> Option<u64> {
    let number = || u64::from(fit.split.training[row as usize]) + 1;
    fit.apart.is_none().then(number)
}

/// A row by its number in the table, with its values.
fn row(fit: &Prepared, rows: &Matrix<f32>, row: u32) -> String {
    let as_seen = crate::data::take(rows, &[row]).map(f64::from);
    let values = fit.model.preprocessing.undo(&as_seen);
    // With the digits that the flow saw.
    let values = values.row(0).map(|x| x as f32);
    let values = format_row(&fit.model.columns, values);
    match table_row(fit, row) {
        Some(number) => format!("Row {number} ({values})"),
        None => format!("A row ({values})"),
    }
}

/// What to change: safeguards that are off, the learning rate if it contributed, the row if it is the only one.
fn remedies(fit: &Prepared, at_once: bool, few_rows: bool) -> Vec<Remedy> {
    use crate::config::ConditionerName;
    let (model, train) = (&fit.config.model, &fit.config.train);
    let polynomial = model.conditioner != ConditionerName::Mlp;
    let mut remedies = Vec::new();
    if fit.model.preprocessing.standardize.is_none() {
        remedies.push(Remedy::new("standardize the columns", "standardize", true));
    }
    if polynomial && model.input_bound == 0.0 {
        let bound = match model.conditioner {
            ConditionerName::Legendre => "1.0",
            _ => "3.0",
        };
        let action = "bound the inputs of the polynomials";
        remedies.push(Remedy::new(action, "input_bound", bound));
    }
    if model.transform == TransformKind::Affine && model.scale_bound == 0.0 {
        remedies.push(Remedy::new("bound the log-scale", "scale_bound", "3.0"));
    }
    if train.clip_norm == 0.0 {
        remedies.push(Remedy::new("clip gradients", "clip_norm", "1.0"));
    }
    if few_rows || (at_once && remedies.is_empty()) {
        let action = "look at the row: if it is an error in the data, remove it";
        remedies.push(Remedy::by_hand(action));
    }
    if !at_once {
        let rate = train.learning_rate;
        let action = format!("lower the learning rate from {rate:e}");
        remedies.push(Remedy::with(action, "learning_rate"));
    }
    remedies
}
