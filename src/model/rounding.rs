use crate::data::{decimals, rounded};

use super::Model;

/// Rounds samples to the digits that the arithmetic of a model gives them.
pub struct SampleRounding {
    /// The decimals of each column; none where a column is as the flow has it.
    decimals: Option<Vec<i32>>,
}

impl Model {
    /// How samples are rounded for a table.
    pub fn sample_rounding(&self) -> SampleRounding {
        // What the flow computes in f32 is known to some 1e-7 of the width that it sees.
        let resolved = |width: &f64| decimals(1e-7 * width);
        let widths = self.preprocessing.widths();
        SampleRounding {
            decimals: widths.map(|widths| widths.iter().map(resolved).collect()),
        }
    }
}

impl SampleRounding {
    /// A number of a column.
    pub fn round(&self, value: f64, column: usize) -> f64 {
        match &self.decimals {
            Some(decimals) => rounded(value, decimals[column]),
            // Plain f32 numbers, in their shortest form.
            None => {
                let mut shortest = zmij::Buffer::new();
                let shortest = shortest.format(value as f32);
                shortest.parse().unwrap_or(f64::NAN)
            }
        }
    }
}
