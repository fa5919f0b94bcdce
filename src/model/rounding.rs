use crate::data::{decimals, rounded};
use crate::kinds::NumberColumn;

use super::Model;

/// Rounds samples to the digits that the arithmetic of a model gives them.
pub struct SampleRounding {
    /// To which width each column is known, on the real line; none where a column is as the flow has it.
    resolved: Option<Vec<f64>>,
    /// What each column holds; none where all are real.
    kinds: Vec<NumberColumn>,
}

impl Model {
    /// How samples are rounded for a table.
    pub fn sample_rounding(&self) -> SampleRounding {
        // What the flow computes in f32 is known to some 1e-7 of the width that it sees.
        let widths = self.preprocessing.widths();
        SampleRounding {
            resolved: widths.map(|widths| widths.iter().map(|width| 1e-7 * width).collect()),
            kinds: self.preprocessing.kinds.clone(),
        }
    }
}

impl SampleRounding {
    /// A number of a column.
    pub fn round(&self, value: f64, column: usize) -> f64 {
        let Some(kind) = self.kinds.get(column) else {
            return match &self.resolved {
                Some(resolved) => rounded(value, decimals(resolved[column])),
                None => shortest(value),
            };
        };
        if kind.is_discrete() {
            return value;
        }
        let rounded = match &self.resolved {
            None => shortest(value),
            Some(resolved) => {
                // The width there, of what is no straight line.
                let slope = kind.log_slope(kind.to_real(value)).exp();
                rounded(
                    value,
                    decimals((resolved[column] / slope).max(f64::MIN_POSITIVE)),
                )
            }
        };
        // What rounds out of the column's numbers, or beyond the circle's end, stays as it is.
        match kind.contains(rounded) && kind.image(rounded) == rounded {
            true => rounded,
            false => value,
        }
    }
}

/// A plain f32 number, in its shortest form.
fn shortest(value: f64) -> f64 {
    let mut shortest = zmij::Buffer::new();
    let shortest = shortest.format(value as f32);
    shortest.parse().unwrap_or(f64::NAN)
}
