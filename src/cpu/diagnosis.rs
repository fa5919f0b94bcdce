use crate::executor::Batch;
use crate::flow::{Op, Plan};
use crate::matrix::Matrix;

use super::adamw::gradient_norm;
use super::block::Block;
use super::columns::BLOCK_ROWS;

/// What made a step's numbers not finite, as the CPU finds it in f32.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnosis {
    /// The row of the training data.
    pub row: u32,
    /// Its position in the flow: the number of the coupling layer, or none for the base.
    pub layer: Option<usize>,
    /// What went wrong there.
    pub cause: Cause,
}

/// What is not finite, or larger than all else.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// A value on the way from data to latent.
    Value {
        /// The tensor that made it, if one did.
        tensor: Option<String>,
        /// How many rows of the batch have one.
        rows: usize,
    },
    /// The gradient of a tensor, most of which this row makes.
    Gradient {
        /// The tensor.
        tensor: String,
        /// The gradient's norm; none where it is not finite.
        norm: Option<f32>,
    },
}

/// Looks through a batch for the row, the layer and the tensor where numbers stop being finite; where all values are, for
/// the row with the largest gradient.
///
/// # Panics
/// If the number of parameters is not that of the layout, or the batch is empty.
pub fn diagnose(plan: &Plan, parameters: &[f32], rows: &Matrix<f32>, batch: &Batch) -> Diagnosis {
    assert_eq!(
        parameters.len(),
        plan.layout.len(),
        "parameters of the layout"
    );
    let mut block = Block::<f32>::new(plan);
    // The earliest op, and the first row that has it.
    let mut earliest: Option<(usize, u32)> = None;
    let mut bad_rows = 0;
    for first in (0..batch.rows).step_by(BLOCK_ROWS) {
        let visited = load(&mut block, rows, batch, first);
        for (lane, op) in block
            .first_not_finite(plan, parameters)
            .into_iter()
            .enumerate()
        {
            let (Some(op), Some(&row)) = (op, visited.get(lane)) else {
                continue;
            };
            bad_rows += 1;
            if earliest.is_none_or(|(known, _)| op < known) {
                earliest = Some((op, row));
            }
        }
    }
    match earliest {
        Some((op, row)) => Diagnosis {
            row,
            layer: plan.layer_of(op).map(|layer| layer.number),
            cause: Cause::Value {
                tensor: tensor(plan, op),
                rows: bad_rows,
            },
        },
        None => steepest(plan, &mut block, parameters, rows, batch),
    }
}

/// Puts up to [`BLOCK_ROWS`] rows of a batch into a block; lanes beyond the last one repeat it. Returns the rows.
fn load(block: &mut Block<f32>, rows: &Matrix<f32>, batch: &Batch, first: u32) -> Vec<u32> {
    let indices = first..batch.rows.min(first + BLOCK_ROWS as u32);
    let visited: Vec<u32> = indices.map(|index| batch.row(index)).collect();
    for (j, column) in block.state(0).iter_mut().enumerate() {
        for (lane, value) in column.iter_mut().enumerate() {
            let row = visited[lane.min(visited.len() - 1)];
            *value = rows.column(j)[row as usize];
        }
    }
    visited
}

/// The tensor whose numbers an op multiplies: that of a linear map, of the map that follows a basis, or of the one that
/// made a coupling's log-scale.
fn tensor(plan: &Plan, op: usize) -> Option<String> {
    let weight = match plan.forward.get(op)? {
        Op::Linear(linear) => linear.weight.start,
        Op::Triangular(triangular) => triangular.matrix.start,
        Op::Concat(_) => return None,
        Op::Basis(basis) => {
            let mut later = plan.forward[op..].iter();
            later.find_map(|op| match op {
                Op::Linear(linear) if linear.input.buffer == basis.output.buffer => {
                    Some(linear.weight.start)
                }
                _ => None,
            })?
        }
        Op::Coupling(coupling) => {
            // The log-scale's, where that has a network of its own: only it can overflow.
            let head = coupling.heads[0].buffer;
            let mut earlier = plan.forward[..op].iter().rev();
            earlier.find_map(|op| match op {
                Op::Linear(linear) if linear.output.buffer == head => Some(linear.weight.start),
                _ => None,
            })?
        }
    };
    name(plan, weight)
}

fn name(plan: &Plan, index: usize) -> Option<String> {
    let mut tensors = plan.layout.tensors().iter();
    let tensor = tensors.find(|tensor| tensor.range.contains(&index))?;
    Some(tensor.name.clone())
}

/// The row with the largest gradient, and the tensor that it is largest in.
fn steepest(
    plan: &Plan,
    block: &mut Block<f32>,
    parameters: &[f32],
    rows: &Matrix<f32>,
    batch: &Batch,
) -> Diagnosis {
    let row_weight = -1.0 / batch.rows as f32;
    let mut gradient = vec![0.0; plan.layout.len()];
    let mut length = |block: &mut Block<f32>, lanes: std::ops::Range<usize>| {
        let mut row_gradient = [0.0; BLOCK_ROWS];
        row_gradient[lanes].fill(row_weight);
        block.forward(plan, parameters);
        block.begin();
        block.backward(plan, parameters, &row_gradient, &mut gradient);
        block.end(&mut gradient);
        (sortable(gradient_norm(&gradient)), gradient.clone())
    };
    let mut worst = (-1.0, 0);
    for first in (0..batch.rows).step_by(BLOCK_ROWS) {
        let count = load(block, rows, batch, first).len();
        let (norm, _) = length(block, 0..count);
        if norm > worst.0 {
            worst = (norm, first);
        }
    }
    let visited = load(block, rows, batch, worst.1);
    let mut steepest = (-1.0, visited[0], Vec::new());
    for (lane, &row) in visited.iter().enumerate() {
        let (norm, gradient) = length(block, lane..lane + 1);
        if norm > steepest.0 {
            steepest = (norm, row, gradient);
        }
    }
    let (_, row, gradient) = steepest;
    let norm_of =
        |range: &std::ops::Range<usize>| sortable(gradient_norm(&gradient[range.clone()]));
    let tensor = plan
        .layout
        .tensors()
        .iter()
        .max_by(|a, b| norm_of(&a.range).total_cmp(&norm_of(&b.range)))
        .expect("a flow has tensors");
    let stem = tensor.name.strip_prefix("layers.");
    Diagnosis {
        row,
        layer: stem.and_then(|stem| stem.split('.').next()?.parse().ok()),
        cause: Cause::Gradient {
            tensor: tensor.name.clone(),
            norm: gradient_norm(&gradient),
        },
    }
}

/// A norm that is not finite is larger than any other.
fn sortable(norm: Option<f32>) -> f32 {
    norm.unwrap_or(f32::INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConditionerName, ModelConfig};
    use crate::executor::Batches;
    use crate::flow::initial_parameters;

    fn rows() -> Matrix<f32> {
        Matrix::from_fn(150, 4, |row, column| {
            if (row, column) == (97, 3) {
                1e9
            } else {
                ((row * 7 + column * 3) % 11) as f32 / 11.0 - 0.5
            }
        })
    }

    #[test]
    fn the_row_that_overflows_is_found() {
        let config = ModelConfig {
            conditioner: ConditionerName::Hermite,
            degree: 8,
            total_degree: 8,
            ..ModelConfig::default()
        };
        let plan = Plan::new(&config.spec(4).unwrap()).unwrap();
        let parameters = initial_parameters(&plan.layout, 1);
        for size in [0, 100] {
            let batches = Batches::new(150, size, 1);
            let step = (0..2).find(|&step| {
                let batch = batches.batch(step);
                (0..batch.rows).any(|index| batch.row(index) == 97)
            });
            let found = diagnose(&plan, &parameters, &rows(), &batches.batch(step.unwrap()));
            assert_eq!((found.row, found.layer), (97, Some(0)));
            let tensor = Some("layers.0.s.coefficients".to_string());
            assert_eq!(found.cause, Cause::Value { tensor, rows: 1 });
        }
    }

    /// All values are finite; the row's square is too large for a gradient.
    #[test]
    fn the_row_with_the_steepest_gradient_is_found() {
        let plan = Plan::new(&ModelConfig::default().spec(4).unwrap()).unwrap();
        let parameters = initial_parameters(&plan.layout, 1);
        let found = diagnose(
            &plan,
            &parameters,
            &rows(),
            &Batches::new(150, 0, 1).batch(0),
        );
        assert_eq!(found.row, 97);
        assert!(matches!(found.cause, Cause::Gradient { norm: Some(norm), .. } if norm > 1e9));
    }
}
