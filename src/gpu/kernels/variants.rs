//! The variants of some kernels, and the choice between them.

use super::constants::TILE;
use crate::gpu::device::UNIFORM_PARAMETERS;

/// How a matrix product is cut up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// Tiles in workgroup memory, for wide maps.
    Tiled,
    /// Straight from the buffers, for maps with few inputs or outputs.
    Narrow,
    /// As `Narrow`, with the parameters in a uniform buffer.
    NarrowUniform,
}

impl Form {
    #[cfg(feature = "testing")]
    pub const ALL: [Form; 3] = [Form::Tiled, Form::Narrow, Form::NarrowUniform];

    /// The form of a product that makes `made` columns of sums over `summed`, in a model of so many parameters.
    pub fn of(made: usize, summed: usize, parameters: usize) -> Self {
        // A map that leaves more than half of a tile empty is better off without.
        if made.min(summed) > TILE as usize / 2 {
            Form::Tiled
        } else if parameters <= UNIFORM_PARAMETERS as usize {
            Form::NarrowUniform
        } else {
            Form::Narrow
        }
    }
}

/// How the weight gradients are cut up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightForm {
    /// Tiles in workgroup memory, for wide maps.
    Tiled,
    /// Four by four a group, for maps with few inputs or outputs.
    Narrow,
    /// At most two inputs.
    PairInputs,
    /// At most two outputs.
    PairOutputs,
}

impl WeightForm {
    /// Every form that can make the weight gradients of a map of this shape, the best one first.
    pub fn of(inputs: usize, outputs: usize) -> Vec<Self> {
        let mut forms = vec![WeightForm::Narrow, WeightForm::Tiled];
        if inputs.min(outputs) > TILE as usize / 2 {
            forms.reverse();
        }
        if outputs <= 2 {
            forms.insert(0, WeightForm::PairOutputs);
        }
        if inputs <= 2 {
            forms.insert(0, WeightForm::PairInputs);
        }
        forms
    }
}

/// Where a transform's parameters lie, and their gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Heads {
    /// In one buffer.
    One,
    /// Each in its own.
    Two,
}

/// What a row counts for in the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowWeights {
    /// As much as any other.
    Uniform,
    /// Its weight, which is stored for each row of the batch.
    Stored,
}

impl RowWeights {
    #[cfg(feature = "testing")]
    pub const ALL: [RowWeights; 2] = [RowWeights::Uniform, RowWeights::Stored];
}
